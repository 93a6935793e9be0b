"""The backward pass for keys and values; `dq.py` has the queries'.

    D = rowsum(dO ∘ O)              one number a query
    P = exp2(S - LSE)               recomputed, block by block
    dV = Pᵀ dO      dP = dO Vᵀ      dS = P ∘ (dP - D)      dK = dSᵀ Q · scale      dQ = dS K · scale

`dkdv_kernel` holds a block of keys and walks over the queries of every query head that shares them, so
the sum over the group happens in its accumulators. `dq_kernel` holds a block of queries and walks over
the keys. They share no output, hence no atomics and the same bits every time.
"""

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
from l4guide_kernels.scores import hide, kept_by_dropout, keys_from, keys_until, score, slope_of
from l4guide_kernels.sequences import keys_of, queries_of


@triton.jit
def delta_kernel(o_ptr, do_ptr, delta_ptr, heads, rows_q, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr):
    """D = rowsum(dO ∘ O). Grid (row blocks, heads); O and dO (rows_q, heads, HEAD_DIM), D (heads, rows_q)."""
    start_m, head = tl.program_id(0) * BLOCK_M, tl.program_id(1)
    rows = tl.arange(0, BLOCK_M)
    valid = start_m + rows < rows_q
    stride = heads * (HEAD_DIM // ALIGN)
    o_ptr = head_ptr(o_ptr, 0, head, start_m, 0, HEAD_DIM // ALIGN, stride)
    do_ptr = head_ptr(do_ptr, 0, head, start_m, 0, HEAD_DIM // ALIGN, stride)
    o = load_rows(o_ptr, rows * stride, valid, HEAD_DIM, True)
    do = load_rows(do_ptr, rows * stride, valid, HEAD_DIM, True)
    DTYPE: tl.constexpr = delta_ptr.dtype.element_ty
    delta = tl.sum(o[0].to(DTYPE) * do[0].to(DTYPE), 1)
    if len(o) > 1:
        delta += tl.sum(o[1].to(DTYPE) * do[1].to(DTYPE), 1)
    tl.store(delta_ptr + tl.cast(head, tl.int64) * rows_q + start_m + rows, delta, mask=valid)


@triton.jit
def load_lse(lse_ptr, offsets, valid, MASKED: tl.constexpr):
    """LSE of queries; 0 for one that sees no key: its scores are -inf, and -inf - -inf is NaN."""
    if MASKED:
        lse = tl.load(lse_ptr + offsets, mask=valid, other=0.0)
        return tl.where(lse == float("-inf"), 0.0, lse)
    else:
        return tl.load(lse_ptr + offsets)


@triton.jit
def _walk_queries(
    dk,
    dv,
    k,
    v,
    q_ptr,
    do_ptr,
    lse_ptr,
    delta_ptr,
    first,
    blocks,
    gap_at,
    gap,
    keys,
    slope,
    stream,
    stride_qs,
    stride_dos,
    seqlen_q,
    seqlen_k,
    scale_log2,
    extras,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    """`blocks` blocks of queries from block `first` on, leaving out `gap` of them after `gap_at`."""
    rows = tl.arange(0, BLOCK_M)
    for i in range(blocks):
        if MASKED:
            start_m = (first + i + tl.where(i >= gap_at, gap, 0)) * BLOCK_M
        else:
            start_m = (first + i) * BLOCK_M
        offs_m = start_m + rows
        valid = offs_m < seqlen_q
        q_block = head_ptr(q_ptr, 0, 0, start_m, 0, 0, stride_qs)
        do_block = head_ptr(do_ptr, 0, 0, start_m, 0, 0, stride_dos)
        q = load_rows(q_block, rows * stride_qs, valid, HEAD_DIM, MASKED)
        lse = load_lse(lse_ptr, offs_m, valid, MASKED)
        places = offs_m + (seqlen_k - seqlen_q)
        scores, kept = score(k, q, places[None, :], keys[:, None], slope, scale_log2, extras)  # (N, M)
        if MASKED:
            since = keys_from(places, seqlen_k, extras)
            until = tl.where(valid, keys_until(places, seqlen_k, extras, CAUSAL), 0)
            scores = hide(scores, keys[:, None], since[None, :], until[None, :], extras)
        do = load_rows(do_block, rows * stride_dos, valid, HEAD_DIM_V, MASKED)
        # dP before dV: both products are short-lived then, and the compiler needs 70 registers less.
        dp = dot_heads(v, do)
        p = tl.exp2(scores - lse[None, :])
        if extras.seed is not None:
            stay = kept_by_dropout(places[None, :], keys[:, None], stream, extras)
            dv = dot_rows(narrow(tl.where(stay, p, 0.0), do_ptr.dtype.element_ty), do, dv)
            dp = tl.where(stay, dp / (1.0 - extras.dropout), 0.0)
        else:
            dv = dot_rows(narrow(p, do_ptr.dtype.element_ty), do, dv)
        if MASKED:
            delta = tl.load(delta_ptr + offs_m, mask=valid, other=0.0)
        else:
            delta = tl.load(delta_ptr + offs_m)
        ds = p * (dp - delta[None, :])
        if extras.softcap is not None:
            ds = ds * kept
        dk = dot_rows(narrow(ds, q_ptr.dtype.element_ty), q, dk)
    return dk, dv


@triton.jit
def _query_blocks(
    start_n,
    seqlen_q,
    offset,
    extras,
    CAUSAL: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Blocks of queries for keys from `start_n` on: (first that sees any, first and last that see all, end).

    Keys past the end need no mask: their rows of dK and dV are never stored.
    """
    end, first, whole_from = tl.cdiv(seqlen_q, BLOCK_M), 0, 0
    whole_to = seqlen_q // BLOCK_M
    if extras.left is not None:
        seeing = start_n - offset + extras.left + 1
        end = tl.minimum(tl.cdiv(tl.maximum(seeing + BLOCK_N - 1, 0), BLOCK_M), end)
        whole_to = tl.minimum(tl.maximum(seeing, 0) // BLOCK_M, tl.minimum(whole_to, end))
    if CAUSAL or extras.right is not None:
        seen_from = start_n - offset
        if not CAUSAL:
            seen_from -= extras.right
        whole_from = tl.cdiv(tl.maximum(seen_from + BLOCK_N - 1, 0), BLOCK_M)
        first = tl.maximum(seen_from, 0) // BLOCK_M
    if extras.left is not None:
        whole_from = tl.minimum(whole_from, end)
        first = tl.minimum(first, end)
        whole_to = tl.maximum(whole_to, whole_from)
    elif CAUSAL or extras.right is not None:
        whole_from = tl.minimum(whole_from, whole_to)
        first = tl.minimum(first, whole_to)
    return first, whole_from, whole_to, end


@triton.jit(do_not_specialize=[*NOT_SPECIALISED, "rows_q"])
def dkdv_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    do_ptr,
    lse_ptr,
    delta_ptr,
    dk_ptr,
    dv_ptr,
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
    """Grid (key blocks, kv heads, batch): dK and dV of BLOCK_N keys, summed over the group's heads.

    Strides in units of ALIGN; dO, dK and dV are contiguous, LSE and D (heads, rows_q).
    """
    start_n, kv_head, batch = tl.program_id(0) * BLOCK_N, tl.program_id(1), tl.program_id(2)
    first_q, row_q, seqlen_q = queries_of(batch, seqlen_q, span)
    slot, first_k, row_k, seqlen_k = keys_of(batch, seqlen_k, span)
    if span.cu_k is not None:  # noqa: SIM102 - the compiler decides this one, and leaves no trace of it
        if start_n >= seqlen_k:
            return
    k_ptr = head_ptr(k_ptr, slot, kv_head, first_k + start_n, stride_kb, stride_kh, stride_ks)
    v_ptr = head_ptr(v_ptr, slot, kv_head, first_k + start_n, stride_vb, stride_vh, stride_vs)

    columns = tl.arange(0, BLOCK_N)
    keys = start_n + columns
    k = load_rows(k_ptr, columns * stride_ks, keys < seqlen_k, HEAD_DIM, True)
    v = load_rows(v_ptr, columns * stride_vs, keys < seqlen_k, HEAD_DIM_V, True)
    dk = zero_rows(BLOCK_N, HEAD_DIM, k_ptr.dtype.element_ty)
    dv = zero_rows(BLOCK_N, HEAD_DIM_V, k_ptr.dtype.element_ty)

    first, whole_from, whole_to, end = _query_blocks(
        start_n, seqlen_q, seqlen_k - seqlen_q, extras, CAUSAL, BLOCK_M, BLOCK_N
    )
    stride_dos = heads * (HEAD_DIM_V // ALIGN)
    for member in range(group):
        head = kv_head * group + member
        q_head = head_ptr(q_ptr, batch, head, first_q, stride_qb, stride_qh, stride_qs)
        do_head = head_ptr(do_ptr, 0, head, row_q, 0, HEAD_DIM_V // ALIGN, stride_dos)
        row = tl.cast(head, tl.int64) * rows_q + row_q
        slope, stream = slope_of(batch, head, extras), batch * heads + head
        before = whole_from - first
        dk, dv = _walk_queries(
            *(dk, dv, k, v, q_head, do_head, lse_ptr + row, delta_ptr + row),
            *(first, before + end - whole_to, before, whole_to - whole_from, keys, slope, stream),
            *(stride_qs, stride_dos, seqlen_q, seqlen_k, scale_log2, extras),
            *(CAUSAL, True, HEAD_DIM, HEAD_DIM_V, BLOCK_M),
        )
        dk, dv = _walk_queries(
            *(dk, dv, k, v, q_head, do_head, lse_ptr + row, delta_ptr + row),
            *(whole_from, whole_to - whole_from, 0, 0, keys, slope, stream),
            *(stride_qs, stride_dos, seqlen_q, seqlen_k, scale_log2, extras),
            *(CAUSAL, False, HEAD_DIM, HEAD_DIM_V, BLOCK_M),
        )
    every = tl.full((BLOCK_N,), 1.0, tl.float32)
    dk = scale_rows(dk, every * scale)
    if extras.dropout is not None:
        dv = scale_rows(dv, every / (1.0 - extras.dropout))
    kv_heads = heads // group
    stride_dk, stride_dv = kv_heads * (HEAD_DIM // ALIGN), kv_heads * (HEAD_DIM_V // ALIGN)
    row_k += start_n
    dk_ptr = head_ptr(dk_ptr, 0, kv_head, row_k, 0, HEAD_DIM // ALIGN, stride_dk)
    dv_ptr = head_ptr(dv_ptr, 0, kv_head, row_k, 0, HEAD_DIM_V // ALIGN, stride_dv)
    # The mask of the loads, asked in other words: held through the loops it would cost registers, and spill.
    room = seqlen_k - start_n
    store_rows(dk_ptr, dk, columns * stride_dk, columns < room, HEAD_DIM)
    store_rows(dv_ptr, dv, columns * stride_dv, columns < room, HEAD_DIM_V)
