"""Engines by name and release."""

import pytest

from l4guide.catalogue import gpu
from l4guide.errors import BadInput
from l4guide.serving.engine import engine_of, names, shown_gib


def test_releases_build_on_each_other() -> None:
    """A release takes what the newest step before it says, and the rest from older ones."""
    old, middle, new = (engine_of(f"vllm:{release}").defaults for release in ("0.7.3", "0.11", "0.31"))
    assert [False, True, True] == [one.chunked for one in (old, middle, new)]
    assert [False, True, True] == [one.hybrid for one in (old, middle, new)]
    assert [0.90, 0.90, 0.92] == [one.utilization for one in (old, middle, new)]


def test_a_release_may_be_left_out() -> None:
    """Without one the newest is meant; case, spaces and a v do not matter."""
    assert engine_of("vllm") == engine_of(" vLLM:v" + engine_of("vllm").release)


@pytest.mark.parametrize("said", ["vllm:0.1", "vllm:new", "vllm:0.8rc1", "tgi", ""])
def test_unknown_engines_and_releases(said: str) -> None:
    """The complaint names what there is."""
    with pytest.raises(BadInput) as error:
        engine_of(said)
    assert any(name in str(error.value) for name in names())


def test_steps_go_by_memory() -> None:
    """Cards of 70 GiB and more take larger steps, but for the A100."""
    steps = {
        name: engine_of("vllm").batched_tokens(gpu(name)) for name in ("L4", "A100-80GB-SXM", "H100 SXM")
    }
    assert {"L4": 2048, "A100-80GB-SXM": 2048, "H100 SXM": 8192} == steps


def test_what_cuda_shows_is_less_than_what_is_sold() -> None:
    """An L4 shows 22.03 to 22.17 of its 24 GiB; a card that nobody printed lies between zero and its size."""
    low, _, high = shown_gib(gpu("L4"))
    assert (22.03, 22.17) == (low, high)
    low, value, high = shown_gib(gpu("RTX A5000"))
    assert 0 < low < value < high < 24


def test_sglang_reserves_by_memory_and_gpus() -> None:
    """SGLang keeps free what its formula says: a step by tiers of memory, graphs, GPUs, and 10 GiB on a large card."""
    sglang = engine_of("sglang")
    tokens = {
        "T4": 2048,
        "L4": 2048,
        "L40S": 4096,
        "A100-80GB-SXM": 8192,
        "H200 SXM": 8192,
        "B200 SXM": 16384,
    }
    assert tokens == {name: sglang.batched_tokens(gpu(name)) for name in tokens}
    rtx, h100 = gpu("RTX 4090"), gpu("H100 SXM")
    for card, step, gpus, reserved in ((rtx, 2048, 1, 3760), (h100, 8192, 1, 13440), (h100, 8192, 4, 14336)):
        shown = 1024 * shown_gib(card)[1]
        assert round(1 - reserved / shown, 3) == sglang.utilization(card, step, gpus)
    shown = 1024 * shown_gib(h100)[1]
    assert round(1 - 10240 / shown, 3) == sglang.utilization(h100, 2048)
