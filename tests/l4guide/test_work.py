"""FLOPs and bytes are counted, so they can be checked by counting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4guide.work import score_pairs, work_of
from l4guide.workload import Workload, ask

SIZES = st.integers(1, 12)


def counted(workload: Workload) -> int:
    """Pairs by looking at every one of them."""
    offset = workload.seqlen_kv - workload.seqlen_q
    seen = 0
    for query in range(workload.seqlen_q):
        for key in range(workload.seqlen_kv):
            visible = not workload.causal or key <= query + offset
            if workload.causal and workload.window is not None:
                visible = visible and key >= query + offset - workload.window
            seen += visible
    return seen


@given(SIZES, SIZES, st.booleans())
def test_pairs_are_those_that_the_mask_leaves(seqlen_q: int, seqlen_kv: int, causal: bool) -> None:
    """The closed form equals the count, on every short shape."""
    workload, _ = ask({"task": "prefill", "seqlen_q": seqlen_q, "seqlen_kv": seqlen_kv, "causal": causal})
    assert counted(workload) == score_pairs(workload)


@given(SIZES, SIZES, st.integers(1, 12))
def test_a_window_leaves_the_nearest_keys(seqlen_q: int, seqlen_kv: int, window: int) -> None:
    """With a window the closed form still equals the count."""
    workload, _ = ask({"task": "prefill", "seqlen_q": seqlen_q, "seqlen_kv": seqlen_kv, "window": window})
    assert counted(workload) == score_pairs(workload)


def test_forward_flops_are_four_per_pair_and_column() -> None:
    """Two products of 2 FLOPs a multiply-add; the backward has five products."""
    workload, _ = ask({"task": "training", "seqlen": 64, "heads": 2, "kv_heads": 1, "causal": False, "head_dim": 16})
    work = work_of(workload)
    assert 4 * 2 * 64 * 64 * 16 == work.forward_flops
    assert 2.5 * work.forward_flops == work.backward_flops


def test_decode_reads_the_cache_in_its_own_type() -> None:
    """An 8-bit cache halves the bytes of a 16-bit one, the queries aside."""
    wide, _ = ask({"task": "decode", "seqlen": 100_000, "dtype": "bf16"})
    narrow, _ = ask({"task": "decode", "seqlen": 100_000, "dtype": "bf16", "kv_dtype": "fp8"})
    assert work_of(narrow).forward_bytes / work_of(wide).forward_bytes == pytest.approx(0.5, abs=0.001)
