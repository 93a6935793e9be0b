"""The forward pass: one program holds `BLOCK_M` queries of one head and walks over the keys.

    S = Q Kᵀ · scale · log2(e)      P = exp2(S - max S)      O = P V / sum P      LSE = max S + log2(sum P)

Blocks of keys that every query sees go through the inner loop without any mask; the causal diagonal and
the ragged end go through the same loop with MASKED set.
"""

import triton
import triton.language as tl

from l4guide_kernels.dialect import (
    dot_heads,
    dot_rows,
    head_ptr,
    load_rows,
    narrow,
    scale_rows,
    store_rows,
    zero_rows,
)
from l4guide_kernels.softmax import keys_seen, softmax_end, softmax_step


@triton.jit
def attend(
    acc,
    m_i,
    l_i,
    q,
    k_ptr,
    v_ptr,
    first,
    last,
    limit,
    stride_ks,
    stride_vs,
    seqlen_k,
    scale_log2,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Keys `first` to `last` (exclusive) into acc, m_i and l_i; row i sees `limit[i]` keys."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in range(first, last, BLOCK_N):
        valid = start_n + offs_n < seqlen_k
        k_block = head_ptr(k_ptr, 0, 0, start_n, 0, 0, stride_ks)
        v_block = head_ptr(v_ptr, 0, 0, start_n, 0, 0, stride_vs)
        k = load_rows(k_block, offs_n * stride_ks, valid, HEAD_DIM, D1, D2, MASKED)
        scores = dot_heads(q, k, D2) * scale_log2  # (M, N)
        if MASKED:
            scores = tl.where(start_n + offs_n[None, :] < limit[:, None], scores, float("-inf"))
        m_i, l_i, p, alpha = softmax_step(scores, m_i, l_i, MASKED)
        v = load_rows(v_block, offs_n * stride_vs, valid, HEAD_DIM, D1, D2, MASKED)
        acc = dot_rows(narrow(p, v_ptr.dtype.element_ty), v, scale_rows(acc, alpha, D2), D2)
    return acc, m_i, l_i


@triton.jit(
    do_not_specialize=[
        *("stride_qb", "stride_qs", "stride_qh", "stride_kb", "stride_ks", "stride_kh"),
        *("stride_vb", "stride_vs", "stride_vh", "stride_ob", "stride_os", "stride_oh"),
        *("heads", "group", "seqlen_q", "seqlen_k"),
    ]
)
def forward_kernel(
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
    stride_ob,
    stride_os,
    stride_oh,
    heads,
    group,
    seqlen_q,
    seqlen_k,
    scale_log2,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (query blocks, heads, batch); strides in units of ALIGN; LSE (batch, heads, seqlen_q), base 2."""
    # The last queries see the most keys: start them first, so that the short programs fill the tail.
    start_m = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M
    head, batch = tl.program_id(1), tl.program_id(2)
    kv_head = head // group
    offset = seqlen_k - seqlen_q
    q_ptr = head_ptr(q_ptr, batch, head, start_m, stride_qb, stride_qh, stride_qs)
    k_ptr = head_ptr(k_ptr, batch, kv_head, 0, stride_kb, stride_kh, stride_ks)
    v_ptr = head_ptr(v_ptr, batch, kv_head, 0, stride_vb, stride_vh, stride_vs)

    rows = tl.arange(0, BLOCK_M)
    offs_m = start_m + rows
    valid = offs_m < seqlen_q
    q = load_rows(q_ptr, rows * stride_qs, valid, HEAD_DIM, D1, D2, True)
    acc = zero_rows(BLOCK_M, D1, D2)
    m_i = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    l_i = tl.zeros((BLOCK_M,), tl.float32)

    limit = keys_seen(offs_m, seqlen_k, offset, CAUSAL)
    whole = keys_seen(start_m, seqlen_k, offset, CAUSAL) // BLOCK_N * BLOCK_N
    last = keys_seen(start_m + BLOCK_M - 1, seqlen_k, offset, CAUSAL)
    acc, m_i, l_i = attend(
        *(acc, m_i, l_i, q, k_ptr, v_ptr, 0, whole, limit, stride_ks, stride_vs, seqlen_k, scale_log2),
        *(False, HEAD_DIM, D1, D2, BLOCK_N),
    )
    acc, m_i, l_i = attend(
        *(acc, m_i, l_i, q, k_ptr, v_ptr, whole, last, limit, stride_ks, stride_vs, seqlen_k, scale_log2),
        *(True, HEAD_DIM, D1, D2, BLOCK_N),
    )

    inverse, lse = softmax_end(m_i, l_i)
    o_ptr = head_ptr(o_ptr, batch, head, start_m, stride_ob, stride_oh, stride_os)
    # `valid` in other words: held through the loops it would cost registers, and spill.
    room = rows < seqlen_q - start_m
    store_rows(o_ptr, scale_rows(acc, inverse, D2), rows * stride_os, room, HEAD_DIM, D1, D2)
    lse_ptr += (tl.cast(batch, tl.int64) * heads + head) * seqlen_q
    tl.store(lse_ptr + start_m + rows, lse, mask=room)
