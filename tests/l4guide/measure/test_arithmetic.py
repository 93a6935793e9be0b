"""Operations and bytes of one attention call."""

import pytest

from l4guide.measure.arithmetic import kv_bytes, rates
from l4guide.workload import ask


def test_flops_follow_the_published_convention() -> None:
    """Forward is 4 B H Sq Sk D, halved (to within the diagonal) for causal; backward is 2.5 times that."""
    shape = {"task": "training", "batch": 2, "seqlen": 1024, "heads": 16, "head_dim": 64}
    full, causal = (ask({**shape, "causal": causal})[0] for causal in (False, True))
    whole = 4 * 2 * 16 * 1024 * 1024 * 64 / 1e-3 / 1e12
    assert pytest.approx(whole) == rates(full, "forward", 1.0)[0]
    assert pytest.approx(2.5 * whole) == rates(full, "backward", 1.0)[0]
    assert pytest.approx(whole / 2, rel=2e-3) == rates(causal, "forward", 1.0)[0]


def test_decode_is_rated_by_bytes() -> None:
    """A decode step is rated by the bytes of its cache: keys and values of the KV heads."""
    workload, _ = ask(
        {"task": "decode", "batch": 4, "seqlen_kv": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128}
    )
    assert 2 * 4 * 4096 * 8 * 128 * 2 == kv_bytes(workload)
    tflops, gb_per_s = rates(workload, "forward", 0.25)
    assert tflops is None
    assert kv_bytes(workload) / 0.25e-3 / 1e9 == pytest.approx(gb_per_s)
