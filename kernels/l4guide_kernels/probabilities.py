"""The probabilities of a forward pass, for those who ask to see them, with the sign telling what dropout left."""

import triton
import triton.language as tl

from l4guide_kernels.dialect import head_ptr, load_rows, narrow
from l4guide_kernels.dkdv import load_lse
from l4guide_kernels.scores import hide, kept_by_dropout, keys_from, keys_until, score, slope_of
from l4guide_kernels.sequences import keys_of, queries_of


@triton.jit
def probabilities_kernel(
    q_ptr,
    k_ptr,
    lse_ptr,
    p_ptr,
    stride_qb,
    stride_qs,
    stride_qh,
    stride_kb,
    stride_ks,
    stride_kh,
    heads,
    group,
    seqlen_q,
    seqlen_k,
    rows_q,
    scale_log2,
    span,
    extras,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (query blocks, key blocks, batch * heads): P (batch, heads, seqlen_q, seqlen_k), negative where dropped."""
    start_m, start_n = tl.program_id(0) * BLOCK_M, tl.program_id(1) * BLOCK_N
    stream = tl.program_id(2)
    batch, head = stream // heads, stream % heads
    p_ptr += tl.cast(stream, tl.int64) * seqlen_q * seqlen_k
    most_k = seqlen_k
    first_q, row, seqlen_q = queries_of(batch, seqlen_q, span)
    slot, first_k, _, seqlen_k = keys_of(batch, seqlen_k, span)
    q_ptr = head_ptr(q_ptr, batch, head, first_q + start_m, stride_qb, stride_qh, stride_qs)
    k_ptr = head_ptr(k_ptr, slot, head // group, first_k + start_n, stride_kb, stride_kh, stride_ks)

    rows, columns = tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_N)
    valid, keys = start_m + rows < seqlen_q, start_n + columns
    q = load_rows(q_ptr, rows * stride_qs, valid, HEAD_DIM, True)
    k = load_rows(k_ptr, columns * stride_ks, keys < seqlen_k, HEAD_DIM, True)
    lse = load_lse(lse_ptr + tl.cast(head, tl.int64) * rows_q + row + start_m, rows, valid, True)
    places = start_m + rows + (seqlen_k - seqlen_q)
    slope = slope_of(batch, head, extras)
    scores, _ = score(q, k, places[:, None], keys[None, :], slope, scale_log2, extras)
    since, until = keys_from(places, seqlen_k, extras), keys_until(places, seqlen_k, extras, CAUSAL)
    scores = hide(scores, keys[None, :], since[:, None], until[:, None], extras)
    p = tl.exp2(scores - lse[:, None])
    p = tl.where(kept_by_dropout(places[:, None], keys[None, :], stream, extras), p, -p)
    mask = valid[:, None] & (keys < seqlen_k)[None, :]
    at = p_ptr + tl.cast(start_m + rows, tl.int64)[:, None] * most_k + keys[None, :]
    tl.store(at, narrow(p, p_ptr.dtype.element_ty), mask=mask)
