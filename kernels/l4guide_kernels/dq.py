"""The backward pass for queries: one program holds a block of queries and walks over the keys, as in `forward`."""

import triton
import triton.language as tl

from l4guide_kernels.arguments import NOT_SPECIALISED
from l4guide_kernels.dialect import (
    ALIGN,
    dot_heads,
    dot_rows,
    head_ptr,
    load_rows,
    narrow,
    scale_rows,
    store_rows,
    zero_rows,
)
from l4guide_kernels.dkdv import load_lse
from l4guide_kernels.scores import (
    hide,
    kept_by_dropout,
    key_blocks,
    keys_from,
    keys_until,
    score,
    slope_of,
)
from l4guide_kernels.sequences import keys_of, queries_of


@triton.jit
def _walk_keys(
    dq,
    q,
    do,
    lse,
    delta,
    k_ptr,
    v_ptr,
    first,
    last,
    places,
    slope,
    stream,
    stride_ks,
    stride_vs,
    seqlen_k,
    scale_log2,
    extras,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Keys `first` to `last` (exclusive) into dQ, for queries at `places`."""
    columns = tl.arange(0, BLOCK_N)
    since, until = keys_from(places, seqlen_k, extras), keys_until(places, seqlen_k, extras, CAUSAL)
    for start_n in range(first, last, BLOCK_N):
        keys = start_n + columns
        valid = keys < seqlen_k
        k_block = head_ptr(k_ptr, 0, 0, start_n, 0, 0, stride_ks)
        v_block = head_ptr(v_ptr, 0, 0, start_n, 0, 0, stride_vs)
        k = load_rows(k_block, columns * stride_ks, valid, HEAD_DIM, MASKED)
        scores, kept = score(q, k, places[:, None], keys[None, :], slope, scale_log2, extras)  # (M, N)
        if MASKED:
            scores = hide(scores, keys[None, :], since[:, None], until[:, None], extras)
        v = load_rows(v_block, columns * stride_vs, valid, HEAD_DIM_V, MASKED)
        dp = dot_heads(do, v)
        if extras.seed is not None:
            stay = kept_by_dropout(places[:, None], keys[None, :], stream, extras)
            dp = tl.where(stay, dp / (1.0 - extras.dropout), 0.0)
        ds = tl.exp2(scores - lse[:, None]) * (dp - delta[:, None])
        if extras.softcap is not None:
            ds = ds * kept
        dq = dot_rows(narrow(ds, k_ptr.dtype.element_ty), k, dq)
    return dq


@triton.jit(do_not_specialize=[*NOT_SPECIALISED, "rows_q"])
def dq_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    do_ptr,
    lse_ptr,
    delta_ptr,
    dq_ptr,
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
    rows_q,
    scale_log2,
    scale,
    span,
    extras,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (query blocks, heads, batch): dQ of BLOCK_M queries, longest programs first.

    Strides in units of ALIGN; dO and dQ are contiguous, LSE and D (heads, rows_q).
    """
    start_m = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M
    head, batch = tl.program_id(1), tl.program_id(2)
    first_q, row, seqlen_q = queries_of(batch, seqlen_q, span)
    if span.cu_q is not None:  # noqa: SIM102 - the compiler decides this one, and leaves no trace of it
        if start_m >= seqlen_q:
            return
    slot, first_k, _, seqlen_k = keys_of(batch, seqlen_k, span)
    kv_head = head // group
    row += start_m
    stride_do = heads * (HEAD_DIM_V // ALIGN)
    q_ptr = head_ptr(q_ptr, batch, head, first_q + start_m, stride_qb, stride_qh, stride_qs)
    do_ptr = head_ptr(do_ptr, 0, head, row, 0, HEAD_DIM_V // ALIGN, stride_do)
    k_ptr = head_ptr(k_ptr, slot, kv_head, first_k, stride_kb, stride_kh, stride_ks)
    v_ptr = head_ptr(v_ptr, slot, kv_head, first_k, stride_vb, stride_vh, stride_vs)

    rows = tl.arange(0, BLOCK_M)
    valid = start_m + rows < seqlen_q
    q = load_rows(q_ptr, rows * stride_qs, valid, HEAD_DIM, True)
    do = load_rows(do_ptr, rows * stride_do, valid, HEAD_DIM_V, True)
    at = tl.cast(head, tl.int64) * rows_q + row
    lse = load_lse(lse_ptr + at, rows, valid, True)
    delta = tl.load(delta_ptr + at + rows, mask=valid, other=0.0)
    dq = zero_rows(BLOCK_M, HEAD_DIM, q_ptr.dtype.element_ty)

    first_place = start_m + seqlen_k - seqlen_q
    last_place = first_place + BLOCK_M - 1
    if extras.left is not None:
        last_place = tl.minimum(last_place, seqlen_k - 1)
    start, whole_from, whole_to, stop = key_blocks(first_place, last_place, seqlen_k, extras, CAUSAL, BLOCK_N)
    places, slope, stream = first_place + rows, slope_of(batch, head, extras), batch * heads + head
    if extras.left is not None:
        dq = _walk_keys(
            *(dq, q, do, lse, delta, k_ptr, v_ptr, start, whole_from, places, slope, stream),
            *(stride_ks, stride_vs, seqlen_k, scale_log2, extras),
            *(CAUSAL, True, HEAD_DIM, HEAD_DIM_V, BLOCK_N),
        )
    dq = _walk_keys(
        *(dq, q, do, lse, delta, k_ptr, v_ptr, whole_from, whole_to, places, slope, stream),
        *(stride_ks, stride_vs, seqlen_k, scale_log2, extras),
        *(CAUSAL, False, HEAD_DIM, HEAD_DIM_V, BLOCK_N),
    )
    dq = _walk_keys(
        *(dq, q, do, lse, delta, k_ptr, v_ptr, whole_to, stop, places, slope, stream),
        *(stride_ks, stride_vs, seqlen_k, scale_log2, extras),
        *(CAUSAL, True, HEAD_DIM, HEAD_DIM_V, BLOCK_N),
    )
    dq = scale_rows(dq, tl.full((BLOCK_M,), 1.0, tl.float32) * scale)
    stride_dq = heads * (HEAD_DIM // ALIGN)
    dq_ptr = head_ptr(dq_ptr, 0, head, row, 0, HEAD_DIM // ALIGN, stride_dq)
    # Not `valid`, see `dkdv_kernel`.
    store_rows(dq_ptr, dq, rows * stride_dq, rows < seqlen_q - start_m, HEAD_DIM)
