"""Decoding: few queries against a long cache, split along the keys so that the whole GPU has work.

The queries of all heads that share a KV head are packed as the rows of one tile: row r is position r //
group of head r % group, so the cache is read once per group. Each split leaves its own normalised output
and log-sum-exp; `merge_kernel` weighs them by exp2(LSE - max LSE). The number of splits is
FlashAttention-2's choice.
"""

import triton
import triton.language as tl

from l4guide_kernels.arguments import NOT_SPECIALISED
from l4guide_kernels.dialect import (
    ALIGN,
    add_rows,
    head_ptr,
    load_rows,
    scale_rows,
    store_rows,
    sum_rows,
    sum_type,
    zero_rows,
)
from l4guide_kernels.forward import attend
from l4guide_kernels.scores import key_blocks, sink_of, slope_of
from l4guide_kernels.sequences import keys_of, keys_ptr
from l4guide_kernels.softmax import softmax_end, softmax_start

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


@triton.jit(do_not_specialize=[*NOT_SPECIALISED, "splits"])
def decode_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    lse_ptr,
    stride_qb,
    stride_qs,
    stride_qh,
    stride_kb,
    stride_ks,
    stride_kh,
    stride_vb,
    stride_vs,
    stride_vh,
    heads,
    group,
    seqlen_q,
    seqlen_k,
    splits,
    scale_log2,
    span,
    extras,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (row blocks * splits, kv heads, batch): every split's normalised O and its LSE.

    Strides in units of ALIGN; O (splits, batch, seqlen_q, heads, HEAD_DIM_V) is contiguous, LSE (splits, heads,
    batch, seqlen_q), base 2.
    """
    split, start_m = tl.program_id(0) % splits, tl.program_id(0) // splits * BLOCK_M
    kv_head, batch = tl.program_id(1), tl.program_id(2)
    slot, first_k, _, seqlen_k = keys_of(batch, seqlen_k, span)
    offset = seqlen_k - seqlen_q
    head = kv_head * group
    q_ptr = head_ptr(q_ptr, batch, head, 0, stride_qb, stride_qh, stride_qs)
    k_ptr = keys_ptr(k_ptr, batch, slot, kv_head, first_k, stride_kb, stride_kh, stride_ks, span)
    v_ptr = keys_ptr(v_ptr, batch, slot, kv_head, first_k, stride_vb, stride_vh, stride_vs, span)

    packed = start_m + tl.arange(0, BLOCK_M)
    position, member = packed // group, packed % group
    valid = position < seqlen_q
    DTYPE: tl.constexpr = q_ptr.dtype.element_ty
    q = load_rows(q_ptr, position * stride_qs + member * stride_qh, valid, HEAD_DIM, True)
    acc = zero_rows(BLOCK_M, HEAD_DIM_V, DTYPE)
    m_i, l_i = softmax_start(BLOCK_M, sum_type(DTYPE))

    last_position = tl.minimum((start_m + BLOCK_M - 1) // group, seqlen_q - 1)
    start, whole_from, whole_to, stop = key_blocks(
        start_m // group + offset, last_position + offset, seqlen_k, extras, CAUSAL, BLOCK_N
    )
    share = tl.cdiv(tl.cdiv(seqlen_k, BLOCK_N), splits) * BLOCK_N
    first, last = split * share, tl.minimum(stop, (split + 1) * share)
    whole_to = tl.maximum(tl.minimum(whole_to, last // BLOCK_N * BLOCK_N), first)
    places = position + offset
    # Rows of other heads than the block's first have other slopes and sinks; those of no head take the first's.
    row_head = head + tl.where(valid, member, 0)
    at_descale = batch * tl.num_programs(1) + kv_head
    if extras.k_descale is not None:
        scale_log2 *= tl.load(extras.k_descale + at_descale)
    slope = 0.0
    if extras.slopes is not None:
        slope = slope_of(batch, row_head, extras)[:, None]
    if extras.left is not None:
        first = tl.maximum(first, start)
        whole_to = tl.maximum(whole_to, first)
        whole_from = tl.minimum(tl.maximum(whole_from, first), whole_to)
        acc, m_i, l_i = attend(
            *(acc, m_i, l_i, q, k_ptr, v_ptr, batch, first, tl.minimum(whole_from, last), places, slope, 0),
            *(stride_kb, stride_ks, stride_vb, stride_vs, seqlen_k, scale_log2, span, extras),
            *(CAUSAL, True, HEAD_DIM, HEAD_DIM_V, BLOCK_N),
        )
    else:
        whole_from = first
    acc, m_i, l_i = attend(
        *(acc, m_i, l_i, q, k_ptr, v_ptr, batch, whole_from, whole_to, places, slope, 0),
        *(stride_kb, stride_ks, stride_vb, stride_vs, seqlen_k, scale_log2, span, extras),
        *(CAUSAL, False, HEAD_DIM, HEAD_DIM_V, BLOCK_N),
    )
    acc, m_i, l_i = attend(
        *(acc, m_i, l_i, q, k_ptr, v_ptr, batch, whole_to, last, places, slope, 0),
        *(stride_kb, stride_ks, stride_vb, stride_vs, seqlen_k, scale_log2, span, extras),
        *(CAUSAL, True, HEAD_DIM, HEAD_DIM_V, BLOCK_N),
    )

    sink = sink_of(row_head, extras)
    if extras.sink is not None:
        # One split stands for the sink; merging weighs it like any other.
        sink = tl.where(split == 0, sink, float("-inf"))
    inverse, lse = softmax_end(m_i, l_i, sink, extras.sink is not None)
    if extras.v_descale is not None:
        inverse *= tl.load(extras.v_descale + at_descale)
    acc = scale_rows(acc, inverse)
    batches = tl.num_programs(2)
    row = (tl.cast(split, tl.int64) * batches + batch) * seqlen_q
    o_ptr = head_ptr(o_ptr, 0, head, row, 0, HEAD_DIM_V // ALIGN, heads * (HEAD_DIM_V // ALIGN))
    offsets = (position * heads + member) * (HEAD_DIM_V // ALIGN)
    store_rows(o_ptr, acc, offsets, valid, HEAD_DIM_V)
    lse_ptr += ((tl.cast(split, tl.int64) * heads + head) * batches + batch) * seqlen_q
    tl.store(lse_ptr + member * (batches * seqlen_q) + position, lse, mask=valid)


@triton.jit(do_not_specialize=["splits"])
def merge_kernel(
    part_ptr,
    part_lse_ptr,
    o_ptr,
    lse_ptr,
    splits,
    HEAD_DIM: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """Grid (rows, heads): one row from `splits` partial ones (SPLITS: the next power of two).

    O (splits, rows, heads, HEAD_DIM) and LSE (splits, heads, rows) become one each; all contiguous.
    """
    row, head = tl.program_id(0), tl.program_id(1)
    rows, heads = tl.num_programs(0), tl.num_programs(1)
    every = tl.cast(heads, tl.int64) * rows
    at_lse = tl.cast(head, tl.int64) * rows + row
    all_splits = tl.arange(0, SPLITS)
    part_lse = tl.load(
        part_lse_ptr + at_lse + all_splits * every, mask=all_splits < splits, other=float("-inf")
    )
    highest = tl.max(part_lse, 0)
    pivot = tl.where(highest == float("-inf"), 0.0, highest)
    total = tl.sum(tl.exp2(part_lse - pivot), 0)
    inverse = tl.where(total == 0.0, 0.0, 1.0 / tl.where(total == 0.0, 1.0, total))

    part_ptr = head_ptr(part_ptr, 0, head, row, 0, HEAD_DIM // ALIGN, heads * (HEAD_DIM // ALIGN))
    acc = zero_rows(MERGE_ROWS, HEAD_DIM, part_ptr.dtype.element_ty)
    for start in range(0, splits, MERGE_ROWS):
        parts = start + tl.arange(0, MERGE_ROWS)
        one_lse = tl.load(part_lse_ptr + at_lse + parts * every, mask=parts < splits, other=float("-inf"))
        weight = tl.exp2(one_lse - pivot) * inverse
        part = load_rows(part_ptr, parts * (every * (HEAD_DIM // ALIGN)), parts < splits, HEAD_DIM, True)
        acc = add_rows(acc, scale_rows(part, weight))

    out = sum_rows(acc)
    o_ptr = head_ptr(o_ptr, 0, head, row, 0, HEAD_DIM // ALIGN, heads * (HEAD_DIM // ALIGN))
    zero = tl.zeros((1,), tl.int32)
    store_rows(o_ptr, out, zero, zero == 0, HEAD_DIM)
    tl.store(
        lse_ptr + at_lse,
        tl.where(total == 0.0, float("-inf"), pivot + tl.log2(tl.where(total == 0.0, 1.0, total))),
    )
