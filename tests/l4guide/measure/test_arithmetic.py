"""Operations and bytes of one attention call."""

import pytest

from l4guide.measure.arithmetic import flops, kv_bytes, rates, visible_pairs
from l4guide.workload import ask


@pytest.mark.parametrize(
    ("seqlen_q", "seqlen_kv", "causal", "pairs"),
    [
        (64, 64, False, 4096),
        (64, 64, True, 2048),
        (1, 64, True, 64),
        (32, 64, True, 1536),
        (64, 32, True, 512),
    ],
)
def test_causal_pairs_are_those_that_see_each_other(
    seqlen_q: int, seqlen_kv: int, causal: bool, pairs: float
) -> None:
    """A causal square is half, a decode step sees every key, and a rectangle is aligned bottom-right."""
    workload, _ = ask({"seqlen_q": seqlen_q, "seqlen_kv": seqlen_kv, "causal": causal})
    assert pairs == visible_pairs(workload)


def test_flops_follow_the_published_convention() -> None:
    """Forward is 4 B H Sq Sk D, halved for causal; backward is 2.5 times that."""
    workload, _ = ask(
        {"task": "training", "batch": 2, "seqlen": 1024, "heads": 16, "head_dim": 64, "causal": True}
    )
    forward = 4 * 2 * 16 * 1024 * 1024 * 64 / 2
    assert (forward, 2.5 * forward) == (flops(workload, "forward"), flops(workload, "backward"))


def test_decode_is_rated_by_bytes() -> None:
    """A decode step is rated by the bytes of its cache: keys and values of the KV heads."""
    workload, _ = ask(
        {"task": "decode", "batch": 4, "seqlen_kv": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128}
    )
    assert 2 * 4 * 4096 * 8 * 128 * 2 == kv_bytes(workload)
    tflops, gb_per_s = rates(workload, "forward", 0.25)
    assert tflops is None
    assert kv_bytes(workload) / 0.25e-3 / 1e9 == pytest.approx(gb_per_s)


def test_prefill_is_rated_by_operations() -> None:
    """A prefill is rated by operations per second."""
    workload, _ = ask({"task": "prefill"})
    tflops, gb_per_s = rates(workload, "forward", 2.0)
    assert gb_per_s is None
    assert flops(workload, "forward") / 2e-3 / 1e12 == pytest.approx(tflops)
