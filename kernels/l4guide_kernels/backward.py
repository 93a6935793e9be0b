"""The backward pass, in three programs that share no output, hence no atomics and the same bits every time.

    D = rowsum(dO ∘ O)              one number a query
    P = exp2(S - LSE)               recomputed, block by block
    dV = Pᵀ dO      dP = dO Vᵀ      dS = P ∘ (dP - D)      dK = dSᵀ Q · scale      dQ = dS K · scale

`dkdv_kernel` holds a block of keys and walks over the queries of every query head that shares them, so
the sum over the group happens in its accumulators. `dq_kernel` holds a block of queries and walks over
the keys.
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
from l4guide_kernels.softmax import keys_seen

_SIZES = ("heads", "group", "seqlen_q", "seqlen_k")
_STRIDES = tuple(
    f"stride_{tensor}{axis}" for tensor in ("q", "k", "v", "do", "dq", "dk", "dv") for axis in "bsh"
)


@triton.jit(
    do_not_specialize=["stride_ob", "stride_os", "stride_oh", "stride_dob", "stride_dos", "stride_doh"]
)
def delta_kernel(
    o_ptr,
    do_ptr,
    delta_ptr,
    stride_ob,
    stride_os,
    stride_oh,
    stride_dob,
    stride_dos,
    stride_doh,
    heads,
    seqlen_q,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    """D = rowsum(dO ∘ O) in fp32. Grid (query blocks, heads, batch); delta (batch, heads, seqlen_q)."""
    start_m, head, batch = tl.program_id(0) * BLOCK_M, tl.program_id(1), tl.program_id(2)
    rows = tl.arange(0, BLOCK_M)
    valid = start_m + rows < seqlen_q
    o_ptr = head_ptr(o_ptr, batch, head, start_m, stride_ob, stride_oh, stride_os)
    do_ptr = head_ptr(do_ptr, batch, head, start_m, stride_dob, stride_doh, stride_dos)
    o = load_rows(o_ptr, rows * stride_os, valid, HEAD_DIM, D1, D2, True)
    do = load_rows(do_ptr, rows * stride_dos, valid, HEAD_DIM, D1, D2, True)
    delta = tl.sum(o[0].to(tl.float32) * do[0].to(tl.float32), 1)
    if D2 > 0:
        delta += tl.sum(o[1].to(tl.float32) * do[1].to(tl.float32), 1)
    delta_ptr += (tl.cast(batch, tl.int64) * heads + head) * seqlen_q + start_m
    tl.store(delta_ptr + rows, delta, mask=valid)


@triton.jit
def _load_lse(lse_ptr, offs_m, valid, MASKED: tl.constexpr):
    """LSE of the queries; 0 for one that sees no key: its scores are -inf, and -inf - -inf is NaN."""
    if MASKED:
        lse = tl.load(lse_ptr + offs_m, mask=valid, other=0.0)
        return tl.where(lse == float("-inf"), 0.0, lse)
    else:
        return tl.load(lse_ptr + offs_m)


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
    offs_n,
    stride_qs,
    stride_dos,
    seqlen_q,
    seqlen_k,
    scale_log2,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
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
        q = load_rows(q_block, rows * stride_qs, valid, HEAD_DIM, D1, D2, MASKED)
        lse = _load_lse(lse_ptr, offs_m, valid, MASKED)
        scores = dot_heads(k, q, D2) * scale_log2  # (N, M)
        if MASKED:
            limit = tl.where(valid, keys_seen(offs_m, seqlen_k, seqlen_k - seqlen_q, CAUSAL), 0)
            scores = tl.where(offs_n[:, None] < limit[None, :], scores, float("-inf"))
        do = load_rows(do_block, rows * stride_dos, valid, HEAD_DIM, D1, D2, MASKED)
        # dP before dV: both products are short-lived then, and the compiler needs 70 registers less.
        dp = dot_heads(v, do, D2)
        p = tl.exp2(scores - lse[None, :])
        dv = dot_rows(narrow(p, do_ptr.dtype.element_ty), do, dv, D2)
        if MASKED:
            delta = tl.load(delta_ptr + offs_m, mask=valid, other=0.0)
        else:
            delta = tl.load(delta_ptr + offs_m)
        ds = p * (dp - delta[None, :])
        dk = dot_rows(narrow(ds, q_ptr.dtype.element_ty), q, dk, D2)
    return dk, dv


@triton.jit(do_not_specialize=[*_STRIDES, *_SIZES])
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
    stride_dob,
    stride_dos,
    stride_doh,
    stride_dkb,
    stride_dks,
    stride_dkh,
    stride_dvb,
    stride_dvs,
    stride_dvh,
    heads,
    group,
    seqlen_q,
    seqlen_k,
    scale_log2,
    scale,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (key blocks, kv heads, batch): dK and dV of BLOCK_N keys, summed over the group's heads."""
    start_n, kv_head, batch = tl.program_id(0) * BLOCK_N, tl.program_id(1), tl.program_id(2)
    offset = seqlen_k - seqlen_q
    k_ptr = head_ptr(k_ptr, batch, kv_head, start_n, stride_kb, stride_kh, stride_ks)
    v_ptr = head_ptr(v_ptr, batch, kv_head, start_n, stride_vb, stride_vh, stride_vs)

    columns = tl.arange(0, BLOCK_N)
    offs_n = start_n + columns
    k = load_rows(k_ptr, columns * stride_ks, offs_n < seqlen_k, HEAD_DIM, D1, D2, True)
    v = load_rows(v_ptr, columns * stride_vs, offs_n < seqlen_k, HEAD_DIM, D1, D2, True)
    dk = zero_rows(BLOCK_N, D1, D2)
    dv = zero_rows(BLOCK_N, D1, D2)

    # Blocks of queries: `first` is the first that sees any of the keys, `whole` the first that sees them all,
    # `tail` the ragged last one. Keys past the end need no mask: their rows of dK and dV are never stored.
    tail, blocks = seqlen_q // BLOCK_M, tl.cdiv(seqlen_q, BLOCK_M)
    if CAUSAL:
        first = tl.minimum(tl.maximum(start_n - offset, 0) // BLOCK_M, tail)
        whole = tl.minimum(tl.cdiv(tl.maximum(start_n + BLOCK_N - 1 - offset, 0), BLOCK_M), tail)
    else:
        first, whole = 0, 0
    for member in range(group):
        head = kv_head * group + member
        q_head = head_ptr(q_ptr, batch, head, 0, stride_qb, stride_qh, stride_qs)
        do_head = head_ptr(do_ptr, batch, head, 0, stride_dob, stride_doh, stride_dos)
        row = (tl.cast(batch, tl.int64) * heads + head) * seqlen_q
        dk, dv = _walk_queries(
            *(dk, dv, k, v, q_head, do_head, lse_ptr + row, delta_ptr + row),
            *(first, whole - first + blocks - tail, whole - first, tail - whole, offs_n),
            *(stride_qs, stride_dos, seqlen_q, seqlen_k, scale_log2, CAUSAL, True, HEAD_DIM, D1, D2, BLOCK_M),
        )
        dk, dv = _walk_queries(
            *(
                dk,
                dv,
                k,
                v,
                q_head,
                do_head,
                lse_ptr + row,
                delta_ptr + row,
                whole,
                tail - whole,
                0,
                0,
                offs_n,
            ),
            *(
                stride_qs,
                stride_dos,
                seqlen_q,
                seqlen_k,
                scale_log2,
                CAUSAL,
                False,
                HEAD_DIM,
                D1,
                D2,
                BLOCK_M,
            ),
        )
    dk = scale_rows(dk, tl.full((BLOCK_N,), 1.0, tl.float32) * scale, D2)
    dk_ptr = head_ptr(dk_ptr, batch, kv_head, start_n, stride_dkb, stride_dkh, stride_dks)
    dv_ptr = head_ptr(dv_ptr, batch, kv_head, start_n, stride_dvb, stride_dvh, stride_dvs)
    # The mask of the loads, asked in other words: held through the loops it would cost registers, and spill.
    room = seqlen_k - start_n
    store_rows(dk_ptr, dk, columns * stride_dks, columns < room, HEAD_DIM, D1, D2)
    store_rows(dv_ptr, dv, columns * stride_dvs, columns < room, HEAD_DIM, D1, D2)


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
    """Keys `first` to `last` (exclusive) into dQ; row i sees `limit[i]` keys."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in range(first, last, BLOCK_N):
        valid = start_n + offs_n < seqlen_k
        k_block = head_ptr(k_ptr, 0, 0, start_n, 0, 0, stride_ks)
        v_block = head_ptr(v_ptr, 0, 0, start_n, 0, 0, stride_vs)
        k = load_rows(k_block, offs_n * stride_ks, valid, HEAD_DIM, D1, D2, MASKED)
        scores = dot_heads(q, k, D2) * scale_log2  # (M, N)
        if MASKED:
            scores = tl.where(start_n + offs_n[None, :] < limit[:, None], scores, float("-inf"))
        v = load_rows(v_block, offs_n * stride_vs, valid, HEAD_DIM, D1, D2, MASKED)
        dp = dot_heads(do, v, D2)
        ds = tl.exp2(scores - lse[:, None]) * (dp - delta[:, None])
        dq = dot_rows(narrow(ds, k_ptr.dtype.element_ty), k, dq, D2)
    return dq


@triton.jit(do_not_specialize=[*_STRIDES, *_SIZES])
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
    stride_dob,
    stride_dos,
    stride_doh,
    stride_dqb,
    stride_dqs,
    stride_dqh,
    heads,
    group,
    seqlen_q,
    seqlen_k,
    scale_log2,
    scale,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    D1: tl.constexpr,
    D2: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (query blocks, heads, batch): dQ of BLOCK_M queries, longest programs first."""
    start_m = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M
    head, batch = tl.program_id(1), tl.program_id(2)
    kv_head = head // group
    offset = seqlen_k - seqlen_q
    q_ptr = head_ptr(q_ptr, batch, head, start_m, stride_qb, stride_qh, stride_qs)
    do_ptr = head_ptr(do_ptr, batch, head, start_m, stride_dob, stride_doh, stride_dos)
    k_ptr = head_ptr(k_ptr, batch, kv_head, 0, stride_kb, stride_kh, stride_ks)
    v_ptr = head_ptr(v_ptr, batch, kv_head, 0, stride_vb, stride_vh, stride_vs)

    rows = tl.arange(0, BLOCK_M)
    offs_m = start_m + rows
    valid = offs_m < seqlen_q
    q = load_rows(q_ptr, rows * stride_qs, valid, HEAD_DIM, D1, D2, True)
    do = load_rows(do_ptr, rows * stride_dos, valid, HEAD_DIM, D1, D2, True)
    row = (tl.cast(batch, tl.int64) * heads + head) * seqlen_q
    lse = _load_lse(lse_ptr + row, offs_m, valid, True)
    delta = tl.load(delta_ptr + row + offs_m, mask=valid, other=0.0)
    dq = zero_rows(BLOCK_M, D1, D2)

    limit = keys_seen(offs_m, seqlen_k, offset, CAUSAL)
    whole = keys_seen(start_m, seqlen_k, offset, CAUSAL) // BLOCK_N * BLOCK_N
    last = keys_seen(start_m + BLOCK_M - 1, seqlen_k, offset, CAUSAL)
    dq = _walk_keys(
        *(dq, q, do, lse, delta, k_ptr, v_ptr, 0, whole, limit, stride_ks, stride_vs, seqlen_k, scale_log2),
        *(False, HEAD_DIM, D1, D2, BLOCK_N),
    )
    dq = _walk_keys(
        *(
            dq,
            q,
            do,
            lse,
            delta,
            k_ptr,
            v_ptr,
            whole,
            last,
            limit,
            stride_ks,
            stride_vs,
            seqlen_k,
            scale_log2,
        ),
        *(True, HEAD_DIM, D1, D2, BLOCK_N),
    )
    dq = scale_rows(dq, tl.full((BLOCK_M,), 1.0, tl.float32) * scale, D2)
    dq_ptr = head_ptr(dq_ptr, batch, head, start_m, stride_dqb, stride_dqh, stride_dqs)
    store_rows(
        dq_ptr,
        dq,
        rows * stride_dqs,
        rows < seqlen_q - start_m,  # not `valid`, see dkdv_kernel
        HEAD_DIM,
        D1,
        D2,
    )
