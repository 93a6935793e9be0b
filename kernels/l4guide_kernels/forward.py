"""The forward pass: one program holds `BLOCK_M` queries of one head and walks over the keys.

    S = Q Kᵀ · scale · log2(e)      P = exp2(S - max S)      O = P V / sum P      LSE = max S + log2(sum P)

Blocks of keys that every query sees go through the inner loop without any mask; the causal diagonal and the ragged
end go through the same loop with MASKED set.
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
from l4guide_kernels.softmax import softmax_end, softmax_step, visible


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
    offs_m,
    stride_ks,
    stride_vs,
    seqlen_k,
    offset,
    scale_log2,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Keys `first` to `last` (exclusive) into the accumulator, maximum and sum; `offs_m` are the queries' positions."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in range(first, last, BLOCK_N):
        valid = start_n + offs_n < seqlen_k
        k_block = head_ptr(k_ptr, 0, 0, start_n, 0, 0, stride_ks)
        v_block = head_ptr(v_ptr, 0, 0, start_n, 0, 0, stride_vs)
        k = load_rows(k_block, offs_n * stride_ks, valid, HEAD_DIM, D1, D2, MASKED)
        scores = dot_heads(q, k, D2) * scale_log2  # (M, N)
        if MASKED:
            seen = visible(offs_m[:, None], start_n + offs_n[None, :], seqlen_k, offset, CAUSAL)
            scores = tl.where(seen, scores, float("-inf"))
        m_i, l_i, p, alpha = softmax_step(scores, m_i, l_i, MASKED)
        v = load_rows(v_block, offs_n * stride_vs, valid, HEAD_DIM, D1, D2, MASKED)
        acc = dot_rows(narrow(p, v_ptr.dtype.element_ty), v, scale_rows(acc, alpha, D2), D2)
    return acc, m_i, l_i


@triton.jit
def seen_keys(first_query, last_query, seqlen_k, offset, CAUSAL: tl.constexpr):
    """How many leading keys all queries of the range see, and how many any of them sees."""
    if CAUSAL:
        whole = tl.maximum(tl.minimum(seqlen_k, first_query + 1 + offset), 0)
        last = tl.maximum(tl.minimum(seqlen_k, last_query + 1 + offset), 0)
    else:
        whole, last = seqlen_k, seqlen_k
    return whole, last


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
    o_ptr = head_ptr(o_ptr, batch, head, start_m, stride_ob, stride_oh, stride_os)
    k_ptr = head_ptr(k_ptr, batch, kv_head, 0, stride_kb, stride_kh, stride_ks)
    v_ptr = head_ptr(v_ptr, batch, kv_head, 0, stride_vb, stride_vh, stride_vs)

    rows = tl.arange(0, BLOCK_M)
    offs_m = start_m + rows
    valid = offs_m < seqlen_q
    q = load_rows(q_ptr, rows * stride_qs, valid, HEAD_DIM, D1, D2, True)
    acc = zero_rows(BLOCK_M, D1, D2)
    m_i = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    l_i = tl.zeros((BLOCK_M,), tl.float32)

    whole, last = seen_keys(start_m, start_m + BLOCK_M - 1, seqlen_k, offset, CAUSAL)
    whole = whole // BLOCK_N * BLOCK_N
    acc, m_i, l_i = attend(
        *(
            acc,
            m_i,
            l_i,
            q,
            k_ptr,
            v_ptr,
            0,
            whole,
            offs_m,
            stride_ks,
            stride_vs,
            seqlen_k,
            offset,
            scale_log2,
        ),
        *(CAUSAL, False, HEAD_DIM, D1, D2, BLOCK_N),
    )
    acc, m_i, l_i = attend(
        *(
            acc,
            m_i,
            l_i,
            q,
            k_ptr,
            v_ptr,
            whole,
            last,
            offs_m,
            stride_ks,
            stride_vs,
            seqlen_k,
            offset,
            scale_log2,
        ),
        *(CAUSAL, True, HEAD_DIM, D1, D2, BLOCK_N),
    )

    inverse, lse = softmax_end(m_i, l_i)
    store_rows(o_ptr, scale_rows(acc, inverse, D2), rows * stride_os, valid, HEAD_DIM, D1, D2)
    lse_ptr += (tl.cast(batch, tl.int64) * heads + head) * seqlen_q
    tl.store(lse_ptr + offs_m, lse, mask=valid)
