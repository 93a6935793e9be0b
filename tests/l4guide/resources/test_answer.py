"""The answer as a whole, from the record and the formula; `test_compiler.py` asks the compiler."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from l4guide.catalogue import gpu
from l4guide.errors import BadInput, CannotDo, Problem
from l4guide.resources import Resources, resources_for

L4 = gpu("L4")
FLAGSHIP: dict[str, Any] = {"block_m": 128, "block_n": 128, "warps": 8, "stages": 2}
KERNELS = ("forward", "backward-dkdv", "backward-dq", "decode")


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("head_dim", [16, 32, 64, 72, 80, 96, 128, 192, 256])
def test_every_default_tile_fits_l4_without_spilling(
    kernel: str, head_dim: int, dtype: str, causal: bool
) -> None:
    """What we run with on an L4 was compiled, is within 101,376 bytes, and keeps its values in registers."""
    found = resources_for(L4, kernel, head_dim, dtype, causal=causal)
    assert causal is found.causal
    assert ("recorded", "compiled") == (found.basis, found.kind)
    assert found.fits
    assert 101_376 == found.limit_bytes
    assert 0 == found.spill_bytes
    assert found.ctas_per_sm is not None
    assert found.ctas_per_sm >= 1
    assert () == found.fixes


@pytest.mark.parametrize(("head_dim", "head_dim_v"), [(192, 128), (576, 512)])
def test_values_of_their_own_width_are_answered_from_the_record(head_dim: int, head_dim_v: int) -> None:
    """Latent attention, as it is trained and as it is served, was compiled; another pair asks for the compiler."""
    found = resources_for(L4, "forward", head_dim, head_dim_v=head_dim_v)
    assert ("recorded", head_dim_v, True) == (found.basis, found.head_dim_v, found.fits)
    with pytest.raises(CannotDo, match="--compile"):
        resources_for(L4, "forward", 96, head_dim_v=40)


@pytest.mark.parametrize("head_dim", [257, 320, 384, 500, 512, 576])
def test_wide_heads_are_recorded_in_16_bits(head_dim: int) -> None:
    """Each kernel has a tile that fits an L4; in fp32 nobody compiled it, and the answer says how to."""
    for kernel in KERNELS:
        found = resources_for(L4, kernel, head_dim)
        assert ("recorded", True) == (found.basis, found.fits)
        with pytest.raises(CannotDo, match="--compile"):
            resources_for(L4, kernel, head_dim, "fp32")


def test_a_mask_that_nobody_recorded_still_tells_the_bytes() -> None:
    """On a card whose formula is not known the bytes are those of the causal form, and no more is said."""
    card = gpu("B200 SXM")
    causal, full = (resources_for(card, "forward", 128, causal=causal) for causal in (True, False))
    assert ("recorded", "formula", "estimated") == (causal.basis, full.basis, full.kind)
    assert causal.shared_bytes == full.shared_bytes
    assert full.registers is None


@pytest.mark.parametrize("head_dim", [1, 8, 17, 40, 65, 112, 129, 250])
def test_any_head_dim_has_an_answer(head_dim: int) -> None:
    """A head dim between the usual ones takes the figures of the specialisation that serves it."""
    for kernel in KERNELS:
        assert resources_for(L4, kernel, head_dim, "fp32").fits


def test_flash_attention_1s_backward_tile_fits_an_a100_and_not_an_l4() -> None:
    """132,096 bytes are within 166,912 and over 101,376, and it spills on both."""
    on_l4 = resources_for(L4, "backward-dkdv", 128, **FLAGSHIP)
    on_a100 = resources_for(gpu("A100-80GB-SXM"), "backward-dkdv", 128, **FLAGSHIP)
    assert (132_096, 101_376, False) == (on_l4.shared_bytes, on_l4.limit_bytes, on_l4.fits)
    assert (132_096, 166_912, True) == (on_a100.shared_bytes, on_a100.limit_bytes, on_a100.fits)
    assert (0, "shared memory") == (on_l4.ctas_per_sm, on_l4.limiter)
    assert on_l4.spill_bytes
    assert on_a100.spill_bytes
    assert "does not fit" in on_l4.say()
    assert "spills" in on_a100.say()
    assert "放不下" in on_l4.say("zh")
    assert on_l4.fixes
    assert all(fix.figures.shared_bytes <= 101_376 for fix in on_l4.fixes)
    assert all(0 == fix.figures.spill_bytes for fix in on_l4.fixes), "what was not compiled is not proposed"


def test_an_unrecorded_tile_is_answered_by_the_formula() -> None:
    """The formula knows bytes; registers, spills and occupancy are absent, and the kind says estimated."""
    found = resources_for(L4, "forward", 64, block_m=64, block_n=32, warps=4, stages=2)
    assert ("formula", "estimated") == (found.basis, found.kind)
    assert 64 * 64 * 2 + 2 * 32 * 64 * 2 == found.shared_bytes
    assert {"registers", "spill_bytes", "ctas_per_sm", "triton_version"}.isdisjoint(found.to_json())


def test_one_tile_option_leaves_the_others_at_their_default() -> None:
    """Asking for a shorter pipeline keeps the blocks and warps."""
    usual = resources_for(L4, "forward", 64).tile
    assert replace(usual, stages=2) == resources_for(L4, "forward", 64, stages=2).tile


def test_json_has_the_promised_keys() -> None:
    """The keys that other programs read, as plain values."""
    found = json.loads(json.dumps(resources_for(L4, "backward-dkdv", 128).to_json()))
    promised = (
        "tile shared_bytes limit_bytes fits registers spill_bytes ctas_per_sm limiter basis triton_version"
    )
    assert {*promised.split(), "fixes", "kind", "text"} <= set(found)
    assert {"block_m", "block_n", "warps", "stages"} == set(found["tile"])
    assert found["fixes"] == []


@pytest.mark.parametrize("name", ["T4", "V100-SXM2-16GB", "MI300X"])
def test_a_card_without_tiles_gets_a_reason(name: str) -> None:
    """Cards that Triton cannot serve are refused by name, with a way out, in both languages."""
    with pytest.raises(CannotDo, match=name) as refusal:
        resources_for(gpu(name), "forward", 128)
    assert "SDPA" in str(refusal.value)
    assert "SDPA" in refusal.value.say("zh")


def test_an_unknown_capability_gets_a_reason() -> None:
    """A capability between the ones that we have tiles for is refused with the list of those."""
    with pytest.raises(CannotDo, match=r"8\.7.*8\.0, 8\.6, 8\.9"):
        resources_for(replace(L4, capability="8.7"), "forward", 128)


@pytest.mark.parametrize(
    ("kernel", "head_dim", "dtype", "problem", "said"),
    [
        ("foward", 128, "bf16", BadInput, "did you mean forward"),
        ("forward", 0, "bf16", BadInput, "head-dim is 0"),
        ("forward", 1.5, "bf16", BadInput, "head-dim"),
        ("forward", "abc", "bf16", BadInput, "'abc'"),
        ("forward", 577, "bf16", CannotDo, "head_dim up to 576, not 577"),
        ("forward", 128, "fp8", CannotDo, "fp8, only fp16, bf16, fp32"),
        ("forward", 128, "int3", BadInput, "'int3'"),
    ],
)
def test_what_is_not_served_is_refused_by_name(
    kernel: str, head_dim: int, dtype: str, problem: type[Problem], said: str
) -> None:
    """The message names the value, the limit and the way out."""
    with pytest.raises(problem) as refusal:
        resources_for(L4, kernel, head_dim, dtype)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"block_m": 100}, "block-m must be a power of two, not 100; the nearest are 64 and 128"),
        ({"block_n": 8}, "block-n is 8; it must be from 16 to 256"),
        ({"warps": 3}, "the nearest are 2 and 4"),
        ({"stages": 0}, "stages is 0"),
        ({"stages": "two"}, "'two'"),
    ],
)
def test_an_impossible_tile_is_refused(option: dict[str, Any], said: str) -> None:
    """Blocks and warps are powers of two within limits."""
    with pytest.raises(BadInput) as refusal:
        resources_for(L4, "forward", 128, **option)
    assert said in str(refusal.value)


def test_an_unrecorded_fp32_tile_asks_for_the_compiler() -> None:
    """Where neither record nor formula knows, the answer says how to find out."""
    with pytest.raises(CannotDo, match="--compile"):
        resources_for(L4, "forward", 128, "fp32", block_m=256, block_n=16, warps=8, stages=3)


def test_answering_from_the_record_loads_no_torch_and_no_triton() -> None:
    """The record answers on machines that have neither."""
    script = (
        "import sys; from l4guide.catalogue import gpu; from l4guide.resources import resources_for; "
        "resources_for(gpu('L4'), 'forward', 128); print({'torch', 'triton', 'numpy'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "set()" == said.stdout.strip()


def test_answers_are_values() -> None:
    """Two equal questions have equal answers."""
    first: Resources = resources_for(L4, "decode", 96)
    assert first == resources_for(L4, "decode", 96)
