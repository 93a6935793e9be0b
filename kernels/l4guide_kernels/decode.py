"""Decoding: few queries against a long cache, split along the keys so that the whole GPU has work.

The queries of all heads that share a KV head are packed as the rows of one tile: row r is position r //
group of head r % group, so the cache is read once per group. Each split leaves its own normalised output
and log-sum-exp; `merge_kernel` weighs them by exp2(LSE - max LSE). The number of splits is
FlashAttention-2's choice.
"""

import triton
import triton.language as tl

from l4guide_kernels.dialect import (
    add_rows,
    head_ptr,
    load_rows,
    scale_rows,
    store_rows,
    sum_rows,
    zero_rows,
)
from l4guide_kernels.forward import attend
from l4guide_kernels.softmax import keys_seen, softmax_end

MERGE_ROWS = tl.constexpr(16)


def split_count(programs: int, blocks: int, processors: int, most: int = 128) -> int:
    """Into how many parts to split the keys, as FlashAttention-2's `num_splits_heuristic` does.

    Args:
        programs: Programs without splitting (batch × KV heads × row blocks).
        blocks: Blocks of keys.
        processors: Programs the GPU runs at once.
        most: No more splits than this.

    Returns:
        1 when the programs already fill 80 % of the GPU; else the fewest splits whose last wave is
        filled at least 85 % as well as the best choice's.
    """
    if programs >= 0.8 * processors or blocks <= 1:
        return 1
    efficiency = {}
    for splits in range(1, min(most, processors, blocks) + 1):
        # A count that leaves as many blocks to a split as the count before it only adds empty splits.
        if splits == 1 or -(-blocks // splits) != -(-blocks // (splits - 1)):
            waves = programs * splits / processors
            efficiency[splits] = waves / -(-programs * splits // processors)
    best = max(efficiency.values())
    return next(splits for splits, filled in efficiency.items() if filled >= 0.85 * best)


@triton.jit(
    do_not_specialize=[
        *("stride_qb", "stride_qs", "stride_qh", "stride_kb", "stride_ks", "stride_kh"),
        *("stride_vb", "stride_vs", "stride_vh", "stride_op", "stride_ob", "stride_os", "stride_oh"),
        *("heads", "group", "seqlen_q", "splits"),
    ]
)
def decode_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    lse_ptr,
    seqlens_ptr,
    stride_qb,
    stride_qs,
    stride_qh,
    stride_kb,
    stride_ks,
    stride_kh,
    stride_vb,
    stride_vs,
    stride_vh,
    stride_op,
    stride_ob,
    stride_os,
    stride_oh,
    heads,
    group,
    seqlen_q,
    splits,
    scale_log2,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (row blocks × splits, kv heads, batch).

    The output is (splits, batch, seqlen_q, heads, head_dim), the LSE (splits, batch, heads, seqlen_q) in
    base 2.
    """
    split, start_m = tl.program_id(0) % splits, tl.program_id(0) // splits * BLOCK_M
    kv_head, batch = tl.program_id(1), tl.program_id(2)
    seqlen_k = tl.load(seqlens_ptr + batch)
    offset = seqlen_k - seqlen_q
    head = kv_head * group
    q_ptr = head_ptr(q_ptr, batch, head, 0, stride_qb, stride_qh, stride_qs)
    k_ptr = head_ptr(k_ptr, batch, kv_head, 0, stride_kb, stride_kh, stride_ks)
    v_ptr = head_ptr(v_ptr, batch, kv_head, 0, stride_vb, stride_vh, stride_vs)
    o_ptr = head_ptr(o_ptr, batch, head, split, stride_ob, stride_oh, stride_op)

    packed = start_m + tl.arange(0, BLOCK_M)
    position, member = packed // group, packed % group
    valid = position < seqlen_q
    q = load_rows(q_ptr, position * stride_qs + member * stride_qh, valid, HEAD_DIM, D1, D2, True)
    acc = zero_rows(BLOCK_M, D1, D2)
    m_i = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    l_i = tl.zeros((BLOCK_M,), tl.float32)

    share = tl.cdiv(tl.cdiv(seqlen_k, BLOCK_N), splits) * BLOCK_N
    first = split * share
    limit = keys_seen(position, seqlen_k, offset, CAUSAL)
    whole = keys_seen(start_m // group, seqlen_k, offset, CAUSAL)
    last = keys_seen((start_m + BLOCK_M - 1) // group, seqlen_k, offset, CAUSAL)
    last = tl.minimum(last, first + share)
    whole = tl.maximum(tl.minimum(whole, last) // BLOCK_N * BLOCK_N, first)
    acc, m_i, l_i = attend(
        *(acc, m_i, l_i, q, k_ptr, v_ptr, first, whole, limit, stride_ks, stride_vs, seqlen_k, scale_log2),
        *(False, HEAD_DIM, D1, D2, BLOCK_N),
    )
    acc, m_i, l_i = attend(
        *(acc, m_i, l_i, q, k_ptr, v_ptr, whole, last, limit, stride_ks, stride_vs, seqlen_k, scale_log2),
        *(True, HEAD_DIM, D1, D2, BLOCK_N),
    )

    inverse, lse = softmax_end(m_i, l_i)
    acc = scale_rows(acc, inverse, D2)
    store_rows(o_ptr, acc, position * stride_os + member * stride_oh, valid, HEAD_DIM, D1, D2)
    row = ((tl.cast(split, tl.int64) * tl.num_programs(2) + batch) * heads + head) * seqlen_q
    tl.store(lse_ptr + row + member * seqlen_q + position, lse, mask=valid)


@triton.jit(do_not_specialize=["stride_op", "stride_ob", "stride_os", "stride_oh", "splits"])
def merge_kernel(
    part_ptr,
    part_lse_ptr,
    o_ptr,
    lse_ptr,
    stride_pp,
    stride_pb,
    stride_ps,
    stride_ph,
    stride_ob,
    stride_os,
    stride_oh,
    splits,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """Grid (seqlen_q, heads, batch): one row from `splits` partial ones (SPLITS: the next power of two)."""
    position, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row = (tl.cast(batch, tl.int64) * tl.num_programs(1) + head) * tl.num_programs(0) + position
    every = tl.cast(tl.num_programs(2), tl.int64) * tl.num_programs(1) * tl.num_programs(0)
    all_splits = tl.arange(0, SPLITS)
    part_lse = tl.load(part_lse_ptr + row + all_splits * every, mask=all_splits < splits, other=float("-inf"))
    highest = tl.max(part_lse, 0)
    pivot = tl.where(highest == float("-inf"), 0.0, highest)
    total = tl.sum(tl.exp2(part_lse - pivot), 0)
    inverse = tl.where(total == 0.0, 0.0, 1.0 / tl.where(total == 0.0, 1.0, total))

    part_ptr = head_ptr(part_ptr, batch, head, position, stride_pb, stride_ph, stride_ps)
    acc = zero_rows(MERGE_ROWS, D1, D2)
    for start in range(0, splits, MERGE_ROWS):
        parts = start + tl.arange(0, MERGE_ROWS)
        part_lse = tl.load(part_lse_ptr + row + parts * every, mask=parts < splits, other=float("-inf"))
        weight = tl.exp2(part_lse - pivot) * inverse
        part = load_rows(
            part_ptr, parts * tl.cast(stride_pp, tl.int64), parts < splits, HEAD_DIM, D1, D2, True
        )
        acc = add_rows(acc, scale_rows(part, weight, D2), D2)

    out = sum_rows(acc, D2)
    o_ptr = head_ptr(o_ptr, batch, head, position, stride_ob, stride_oh, stride_os)
    zero = tl.zeros((1,), tl.int32)
    store_rows(o_ptr, out, zero, zero == 0, HEAD_DIM, D1, D2)
    tl.store(
        lse_ptr + row,
        tl.where(total == 0.0, float("-inf"), pivot + tl.log2(tl.where(total == 0.0, 1.0, total))),
    )
