"""Decoding: few queries against a long cache, split along the keys so that the whole GPU has work.

The queries of all heads that share a KV head are packed as the rows of one tile: row r is position r //
group of head r % group, so the cache is read once per group. Each split leaves its own normalised output
and log-sum-exp; the last of a block's splits to end weighs them all by exp2(LSE - max LSE), in their own order,
so that the result does not depend on which it was. The number of splits is FlashAttention-2's choice.
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
    sum_type,
    zero_rows,
)
from l4guide_kernels.forward import attend
from l4guide_kernels.scores import key_blocks, sink_of, slope_of
from l4guide_kernels.sequences import keys_of, keys_ptr
from l4guide_kernels.softmax import softmax_end, softmax_start, softmax_step

#: No more splits than this, as FlashAttention-2 has it.
MOST_SPLITS = 128
#: Blocks of keys in a split, or more: to write a part, count it and read it takes as long as two or three blocks.
LEAST_BLOCKS = 4
# Log-sum-exps that a merge loads at once.
_SIDE_BY_SIDE = tl.constexpr(32)


def split_count(programs: int, blocks: int, processors: int) -> int:
    """Into how many parts to split the keys, as FlashAttention-2's `num_splits_heuristic` does.

    Args:
        programs: Programs without splitting (batch × KV heads × row blocks).
        blocks: Blocks of keys.
        processors: Programs the GPU runs at once.

    Returns:
        1 when the programs already fill 80 % of the GPU; else the fewest splits whose last wave is
        filled at least 85 % as well as the best choice's, of at least `LEAST_BLOCKS` each.
    """
    if programs >= 0.8 * processors or blocks < 2 * LEAST_BLOCKS:
        return 1
    efficiency = {}
    for splits in range(1, min(MOST_SPLITS, processors, blocks // LEAST_BLOCKS) + 1):
        # A count that leaves as many blocks to a split as the count before it only adds empty splits.
        if splits == 1 or -(-blocks // splits) != -(-blocks // (splits - 1)):
            waves = programs * splits / processors
            efficiency[splits] = waves / -(-programs * splits // processors)
    best = max(efficiency.values())
    return next(splits for splits, filled in efficiency.items() if filled >= 0.85 * best)


@triton.jit
def _arrives_last(counter, parts):
    """Whether this program is the last of `parts` to come here; what the others stored before can then be read.

    The barrier puts what all threads stored before the count, which one thread makes. Release hands that on with it,
    to every multiprocessor; acquire, with the barrier behind which the threads are told the count, puts all loads that
    follow after it, and drops what lies in this processor's L1.
    """
    tl.debug_barrier()
    last = tl.atomic_add(counter, 1, sem="acq_rel", scope="gpu") == parts - 1
    if last:
        tl.store(counter, 0)
    return last


@triton.jit
def _merged(part_ptr, part_lse_ptr, offsets, valid, parts, every, HEAD_DIM: tl.constexpr):
    """Rows and their LSE of `parts` partial ones, `every` rows apart; `part_lse_ptr` are those of the first part."""
    m_i, l_i = softmax_start(offsets.shape[0], part_ptr.dtype.element_ty)
    for start in range(0, parts, _SIDE_BY_SIDE):
        splits = start + tl.arange(0, _SIDE_BY_SIDE)
        address = part_lse_ptr[:, None] + splits[None, :] * every
        part_lse = tl.load(address, mask=valid[:, None] & (splits < parts)[None, :], other=float("-inf"))
        m_i, l_i, _, _ = softmax_step(part_lse, m_i, l_i, True)
    pivot = tl.where(m_i == float("-inf"), 0.0, m_i)
    inverse, lse = softmax_end(m_i, l_i, 0.0, False)
    acc = zero_rows(offsets.shape[0], HEAD_DIM, part_ptr.dtype.element_ty)
    for split in tl.range(0, parts, loop_unroll_factor=2):
        weight = tl.exp2(tl.load(part_lse_ptr + split * every, mask=valid, other=0.0) - pivot) * inverse
        part = head_ptr(part_ptr, 0, 0, split, 0, 0, every * (HEAD_DIM // ALIGN))
        acc = add_rows(acc, scale_rows(load_rows(part, offsets, valid, HEAD_DIM, True), weight))
    return acc, lse


@triton.jit(do_not_specialize=[*NOT_SPECIALISED, "splits", "least"])
def decode_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    lse_ptr,
    part_ptr,
    part_lse_ptr,
    arrived_ptr,
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
    least,
    scale_log2,
    span,
    extras,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (row blocks * splits, kv heads, batch): O and its LSE.

    Strides in units of ALIGN; O (batch, seqlen_q, heads, HEAD_DIM_V) is contiguous, LSE (heads, batch, seqlen_q), base
    2. With several splits, of `least` blocks of keys or more, each has a part of both, fp32, and `arrived` (batch, kv
    heads, row blocks) is 0 before and after.
    """
    split, block = tl.program_id(0) % splits, tl.program_id(0) // splits
    kv_head, batch = tl.program_id(1), tl.program_id(2)
    slot, first_k, _, seqlen_k = keys_of(batch, seqlen_k, span)
    offset, start_m = seqlen_k - seqlen_q, block * BLOCK_M
    last_position = tl.minimum((start_m + BLOCK_M - 1) // group, seqlen_q - 1)
    start, whole_from, whole_to, stop = key_blocks(
        start_m // group + offset, last_position + offset, seqlen_k, extras, CAUSAL, BLOCK_N
    )
    # Shared out by what these rows see, not by what the cache could hold; of little some splits have no part.
    share = tl.maximum(tl.cdiv(tl.cdiv(stop - start, BLOCK_N), splits), least) * BLOCK_N
    parts = tl.maximum(tl.cdiv(stop - start, share), 1)
    if split >= parts:
        return
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

    first = start + split * share
    last = tl.minimum(stop, first + share)
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
        whole_from = tl.minimum(tl.maximum(whole_from, first), whole_to)
        acc, m_i, l_i = attend(
            *(acc, m_i, l_i, q, k_ptr, v_ptr, batch, first, whole_from, places, slope, 0),
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
    at_row = tl.cast(batch, tl.int64) * seqlen_q
    WIDTH: tl.constexpr = HEAD_DIM_V // ALIGN
    offsets = (position * heads + member) * WIDTH
    rows = tl.num_programs(2) * seqlen_q
    lse_at = tl.cast(head, tl.int64) * rows + at_row + member * rows + position
    if part_ptr is not None:  # noqa: SIM102 - the compiler decides this one
        if parts > 1:
            every = tl.cast(heads, tl.int64) * rows
            part_ptr = head_ptr(part_ptr, 0, head, at_row, 0, WIDTH, heads * WIDTH)
            store_rows(head_ptr(part_ptr, 0, 0, split, 0, 0, every * WIDTH), acc, offsets, valid, HEAD_DIM_V)
            tl.store(part_lse_ptr + split * every + lse_at, lse, mask=valid)
            blocks = tl.num_programs(0) // splits
            if not _arrives_last(arrived_ptr + at_descale * blocks + block, parts):
                return
            acc, lse = _merged(part_ptr, part_lse_ptr + lse_at, offsets, valid, parts, every, HEAD_DIM_V)
    o_ptr = head_ptr(o_ptr, 0, head, at_row, 0, WIDTH, heads * WIDTH)
    store_rows(o_ptr, acc, offsets, valid, HEAD_DIM_V)
    tl.store(lse_ptr + lse_at, lse, mask=valid)
