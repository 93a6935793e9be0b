"""The forward pass: one program holds `BLOCK_M` queries of one head and walks over the keys.

    S = Q Kᵀ · scale · log2(e)      P = exp2(S - max S)      O = P V / sum P      LSE = max S + log2(sum P)

Blocks of keys that every query sees go through the inner loop without any mask; the causal diagonal, the
edges of a window and the ragged end go through the same loop with MASKED set.
"""

import triton
import triton.language as tl

from l4guide_kernels.arguments import NOT_SPECIALISED
from l4guide_kernels.boxes import boxes_of, load_boxes
from l4guide_kernels.dialect import (
    ALIGN,
    dot_rows,
    head_ptr,
    load_rows,
    narrow,
    operand_type,
    scale_rows,
    store_rows,
    sum_type,
    widen,
    zero_rows,
)
from l4guide_kernels.scores import (
    hide,
    kept_by_dropout,
    key_blocks,
    keys_from,
    keys_until,
    score,
    sink_of,
    slope_of,
)
from l4guide_kernels.sequences import key_block, keys_of, keys_ptr, queries_of
from l4guide_kernels.softmax import softmax_end, softmax_start, softmax_step


@triton.jit
def attend(
    acc,
    m_i,
    l_i,
    q,
    k_ptr,
    v_ptr,
    batch,
    first,
    last,
    places,
    slope,
    stream,
    stride_kb,
    stride_ks,
    stride_vb,
    stride_vs,
    seqlen_k,
    scale_log2,
    span,
    extras,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_N: tl.constexpr,
    k_boxes=None,
    v_boxes=None,
    slot=0,
    kv_head=0,
):
    """Keys `first` to `last` (exclusive) into acc, m_i and l_i, for queries at `places`.

    `slope` is one for all rows or (M, 1); `stream` tells this sequence and head from others in dropout; `scale_log2`
    is above 0, but for codes of 8 bits. Keys and values come in boxes of `slot` and `kv_head` where there are any,
    else from `k_ptr` and `v_ptr`.
    """
    columns = tl.arange(0, BLOCK_N)
    factor = 1.0
    if extras.softcap is None and extras.slopes is None and extras.k_descale is None:
        # Nothing comes between the products and their maximum: the softmax can scale them for nothing.
        factor, scale_log2 = scale_log2, factor
    since, until = keys_from(places, seqlen_k, extras), keys_until(places, seqlen_k, extras, CAUSAL)
    for start_n in range(first, last, BLOCK_N):
        keys = start_n + columns
        valid = keys < seqlen_k
        if k_boxes is None:
            block, offsets = key_block(k_ptr, batch, start_n, columns, valid, stride_kb, stride_ks, span)
            k = widen(load_rows(block, offsets, valid, HEAD_DIM, MASKED), q[0].dtype)
        else:
            k = load_boxes(k_boxes, slot, start_n, kv_head)
        scores, _ = score(q, k, places[:, None], keys[None, :], slope, scale_log2, extras)  # (M, N)
        if MASKED:
            scores = hide(scores, keys[None, :], since[:, None], until[:, None], extras)
        m_i, l_i, p, alpha = softmax_step(scores, m_i, l_i, MASKED, factor=factor)
        if extras.seed is not None:
            p = tl.where(kept_by_dropout(places[:, None], keys[None, :], stream, extras), p, 0.0)
        if v_boxes is None:
            block, offsets = key_block(v_ptr, batch, start_n, columns, valid, stride_vb, stride_vs, span)
            v = widen(load_rows(block, offsets, valid, HEAD_DIM_V, MASKED), q[0].dtype)
        else:
            v = load_boxes(v_boxes, slot, start_n, kv_head)
        weights = narrow(p, operand_type(v_ptr.dtype.element_ty, q[0].dtype))
        acc = dot_rows(weights, v, scale_rows(acc, alpha))
    return acc, m_i, l_i


@triton.jit(do_not_specialize=[*NOT_SPECIALISED, "rows_q"])
def forward_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    lse_ptr,
    k_box,
    k_box_2,
    v_box,
    v_box_2,
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
    span,
    extras,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (query blocks, heads, batch). Strides in units of ALIGN; O is contiguous, LSE (heads, rows_q), base 2.

    The boxes are those of K and V, each None where there is none; pointers and strides are given either way.
    """
    # The last queries see the most keys: start them first, so that the short programs fill the tail.
    start_m = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M
    head, batch = tl.program_id(1), tl.program_id(2)
    first_q, row, seqlen_q = queries_of(batch, seqlen_q, span)
    if span.cu_q is not None:  # noqa: SIM102 - the compiler decides this one, and leaves no trace of it
        if start_m >= seqlen_q:
            return
    slot, first_k, _, seqlen_k = keys_of(batch, seqlen_k, span)
    kv_head = head // group
    offset = seqlen_k - seqlen_q
    q_ptr = head_ptr(q_ptr, batch, head, first_q + start_m, stride_qb, stride_qh, stride_qs)
    k_ptr = keys_ptr(k_ptr, batch, slot, kv_head, first_k, stride_kb, stride_kh, stride_ks, span)
    v_ptr = keys_ptr(v_ptr, batch, slot, kv_head, first_k, stride_vb, stride_vh, stride_vs, span)

    rows = tl.arange(0, BLOCK_M)
    DTYPE: tl.constexpr = q_ptr.dtype.element_ty
    q = load_rows(q_ptr, rows * stride_qs, start_m + rows < seqlen_q, HEAD_DIM, True)
    acc = zero_rows(BLOCK_M, HEAD_DIM_V, DTYPE)
    m_i, l_i = softmax_start(BLOCK_M, sum_type(DTYPE))

    first_place = start_m + offset
    last_place = first_place + BLOCK_M - 1
    if extras.left is not None:
        last_place = tl.minimum(last_place, seqlen_k - 1)
    start, whole_from, whole_to, stop = key_blocks(first_place, last_place, seqlen_k, extras, CAUSAL, BLOCK_N)
    k_boxes, v_boxes = None, None
    if k_box is not None:
        k_boxes, v_boxes = boxes_of(k_box, k_box_2), boxes_of(v_box, v_box_2)
    places, slope, stream = first_place + rows, slope_of(batch, head, extras), batch * heads + head
    if extras.left is not None:
        acc, m_i, l_i = attend(
            *(acc, m_i, l_i, q, k_ptr, v_ptr, batch, start, whole_from, places, slope, stream),
            *(stride_kb, stride_ks, stride_vb, stride_vs, seqlen_k, scale_log2, span, extras),
            *(CAUSAL, True, HEAD_DIM, HEAD_DIM_V, BLOCK_N, k_boxes, v_boxes, slot, kv_head),
        )
    acc, m_i, l_i = attend(
        *(acc, m_i, l_i, q, k_ptr, v_ptr, batch, whole_from, whole_to, places, slope, stream),
        *(stride_kb, stride_ks, stride_vb, stride_vs, seqlen_k, scale_log2, span, extras),
        *(CAUSAL, False, HEAD_DIM, HEAD_DIM_V, BLOCK_N, k_boxes, v_boxes, slot, kv_head),
    )
    acc, m_i, l_i = attend(
        *(acc, m_i, l_i, q, k_ptr, v_ptr, batch, whole_to, stop, places, slope, stream),
        *(stride_kb, stride_ks, stride_vb, stride_vs, seqlen_k, scale_log2, span, extras),
        *(CAUSAL, True, HEAD_DIM, HEAD_DIM_V, BLOCK_N, k_boxes, v_boxes, slot, kv_head),
    )

    inverse, lse = softmax_end(m_i, l_i, sink_of(head, extras), extras.sink is not None)
    if extras.dropout is not None:
        inverse = inverse / (1.0 - extras.dropout)
    # Asked anew: held through the loops, the mask would cost registers, and spill.
    room = rows < seqlen_q - start_m
    row += start_m
    stride_o = heads * (HEAD_DIM_V // ALIGN)
    o_ptr = head_ptr(o_ptr, 0, head, row, 0, HEAD_DIM_V // ALIGN, stride_o)
    store_rows(o_ptr, scale_rows(acc, inverse), rows * stride_o, room, HEAD_DIM_V)
    lse_ptr += tl.cast(head, tl.int64) * rows_q + row
    tl.store(lse_ptr + rows, lse, mask=room)
