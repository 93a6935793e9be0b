"""The forward pass on codes of 8 bits: S from int8 Q and K, P V from e4m3 or fp16, both on tensor cores.

    S = (Qc Kcᵀ) · q_scale · k_scale      P = exp2(S - max S + shift)      O = P Vc / sum P · v_scale

Codes come from `quantize`: Q has a scale for each row, K one for each GROUP keys, V one for each column. V lies
transposed, since tensor cores take 8-bit operands along the keys only: (blocks of GROUP keys, columns, GROUP).

e4m3 holds nothing between 0 and 2**-9, so P is spread up to 2**8 by a `shift` of the maximum, which the sum undoes.
"""

import triton
import triton.language as tl

from l4guide_kernels.dialect import (
    ALIGN,
    INTERPRET,
    constexpr_function,
    dot_heads,
    first_block,
    head_ptr,
    load_rows,
    narrow,
    scale_rows,
    second_block,
    store_rows,
    unit,
    zero_rows,
)
from l4guide_kernels.scores import hide, key_blocks, keys_until
from l4guide_kernels.softmax import softmax_end, softmax_start, softmax_step
from l4guide_kernels.tiles import SCALED_KEYS

GROUP = tl.constexpr(SCALED_KEYS)
#: Rows of int8 lie a multiple of this many elements apart.
CODES = tl.constexpr(unit(tl.int8))
_SHIFT = tl.constexpr(8.0)


@constexpr_function
def shift_of(dtype: tl.dtype) -> float:
    """By how many powers of two the weights are spread: e4m3 ends at 448 and starts at 2**-9."""
    return float(_SHIFT.value) if dtype == tl.float8e4nv else 0.0


@triton.jit
def _step(sums, scale, m_i, l_i, SHIFT: tl.constexpr):
    """`softmax_step` of sums · scale where no key is hidden.

    A scale is never negative, so that the highest score is that of the highest sum, and the product is left to the
    fma that takes the maximum off: one instruction a score less.
    """
    m_new = tl.maximum(m_i, tl.max(sums, 1) * scale - SHIFT)
    p = tl.exp2(sums * scale[:, None] - m_new[:, None])
    alpha = tl.exp2(m_i - m_new)
    return m_new, l_i * alpha + tl.sum(p, 1), p, alpha


@triton.jit
def _values(ptr, FIRST: tl.constexpr, WIDTH: tl.constexpr, BLOCK_N: tl.constexpr):
    """Columns of V by keys, (WIDTH, BLOCK_N)."""
    columns, keys = FIRST + tl.arange(0, WIDTH), tl.arange(0, BLOCK_N)
    v = tl.load(ptr + columns[:, None] * GROUP + keys[None, :])
    if INTERPRET:
        v = v.to(tl.float32)
    return v


@triton.jit
def _add(acc, alpha, p, v, BLOCK_N: tl.constexpr):
    """The sum acc · alpha + P V.

    A product of e4m3 is summed from zero and added once: Ada's tensor cores keep 22 bits of such a sum, and a long
    one would lose the last keys. Without the bound the compiler would hand them `acc` to add to.
    """
    if v.dtype == tl.float8e4nv:
        fresh = tl.dot(p, tl.trans(v), max_num_imprecise_acc=BLOCK_N, out_dtype=tl.float32)
        return acc * alpha[:, None] + fresh
    else:
        return tl.dot(p, tl.trans(v), acc * alpha[:, None])


@triton.jit
def _attend(
    acc,
    m_i,
    l_i,
    q,
    q_scale,
    k_ptr,
    k_scale_ptr,
    v_ptr,
    first,
    last,
    places,
    seqlen_k,
    extras,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Keys `first` to `last` (exclusive) into acc, m_i and l_i, for queries at `places`."""
    D1: tl.constexpr = first_block(HEAD_DIM_V)
    D2: tl.constexpr = second_block(HEAD_DIM_V)
    V_TYPE: tl.constexpr = v_ptr.dtype.element_ty
    columns = tl.arange(0, BLOCK_N)
    until = keys_until(places, seqlen_k, extras, CAUSAL)
    for start_n in range(first, last, BLOCK_N):
        group = start_n // GROUP
        scale = q_scale * tl.load(k_scale_ptr + group)
        # Keys are filled up to whole groups, so that no load needs a mask.
        block = head_ptr(k_ptr, 0, 0, start_n, 0, 0, HEAD_DIM // CODES)
        k = load_rows(block, columns * (HEAD_DIM // CODES), columns >= 0, HEAD_DIM, False)
        sums = dot_heads(q, k).to(tl.float32)  # (M, N)
        if MASKED:
            scores = hide(sums * scale[:, None], (start_n + columns)[None, :], 0, until[:, None], extras)
            m_i, l_i, p, alpha = softmax_step(scores, m_i, l_i, True, shift_of(V_TYPE))
        else:
            m_i, l_i, p, alpha = _step(sums, scale, m_i, l_i, shift_of(V_TYPE))
        p = narrow(p, V_TYPE)
        if INTERPRET:
            p = p.to(tl.float32)
        block = head_ptr(v_ptr, 0, 0, group, 0, 0, HEAD_DIM_V * GROUP // unit(V_TYPE))
        if BLOCK_N < GROUP:
            # Said aloud, or the compiler loads byte by byte.
            block += tl.multiple_of(start_n - group * GROUP, BLOCK_N)
        head = _add(acc[0], alpha, p, _values(block, 0, D1, BLOCK_N), BLOCK_N)
        if D2 == 0:
            acc = (head,)
        else:
            acc = (head, _add(acc[1], alpha, p, _values(block, D1, D2, BLOCK_N), BLOCK_N))
    return acc, m_i, l_i


@triton.jit(do_not_specialize=["heads", "group", "seqlen_q", "seqlen_k", "groups_k"])
def quantized_kernel(
    q_ptr,
    q_scale_ptr,
    k_ptr,
    k_scale_ptr,
    v_ptr,
    v_scale_ptr,
    o_ptr,
    lse_ptr,
    heads,
    group,
    seqlen_q,
    seqlen_k,
    groups_k,
    extras,
    CAUSAL: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HEAD_DIM_V: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Grid (query blocks, heads, batch).

    Q (batch, heads, seqlen_q, HEAD_DIM) and its scales (batch, heads, seqlen_q); K (batch, kv_heads, groups_k,
    GROUP, HEAD_DIM) and its scales (batch, kv_heads, groups_k); V (batch, kv_heads, groups_k, HEAD_DIM_V, GROUP)
    and its scales (batch, kv_heads, HEAD_DIM_V); O (batch, seqlen_q, heads, HEAD_DIM_V), LSE (heads, batch,
    seqlen_q), base 2. All contiguous.
    """
    # The last queries see the most keys: start them first, so that the short programs fill the tail.
    start_m = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M
    head, batch = tl.program_id(1), tl.program_id(2)
    offset = seqlen_k - seqlen_q
    at_q = (tl.cast(batch, tl.int64) * heads + head) * seqlen_q + start_m
    at_kv = tl.cast(batch, tl.int64) * (heads // group) + head // group
    q_ptr = head_ptr(q_ptr, 0, 0, at_q, 0, 0, HEAD_DIM // CODES)
    k_ptr = head_ptr(k_ptr, 0, 0, at_kv * groups_k, 0, 0, GROUP * HEAD_DIM // CODES)
    v_unit: tl.constexpr = unit(v_ptr.dtype.element_ty)
    v_ptr = head_ptr(v_ptr, 0, 0, at_kv * groups_k, 0, 0, GROUP * HEAD_DIM_V // v_unit)
    k_scale_ptr += at_kv * groups_k

    rows = tl.arange(0, BLOCK_M)
    q = load_rows(q_ptr, rows * (HEAD_DIM // CODES), start_m + rows < seqlen_q, HEAD_DIM, True)
    q_scale = tl.load(q_scale_ptr + at_q + rows, mask=start_m + rows < seqlen_q, other=0.0)
    acc = zero_rows(BLOCK_M, HEAD_DIM_V, tl.float32)
    m_i, l_i = softmax_start(BLOCK_M, tl.float32)

    first_place = start_m + offset
    start, _, whole_to, stop = key_blocks(
        first_place, first_place + BLOCK_M - 1, seqlen_k, extras, CAUSAL, BLOCK_N
    )
    places = first_place + rows
    acc, m_i, l_i = _attend(
        *(acc, m_i, l_i, q, q_scale, k_ptr, k_scale_ptr, v_ptr, start, whole_to, places, seqlen_k, extras),
        *(CAUSAL, False, HEAD_DIM, HEAD_DIM_V, BLOCK_N),
    )
    acc, m_i, l_i = _attend(
        *(acc, m_i, l_i, q, q_scale, k_ptr, k_scale_ptr, v_ptr, whole_to, stop, places, seqlen_k, extras),
        *(CAUSAL, True, HEAD_DIM, HEAD_DIM_V, BLOCK_N),
    )

    inverse, lse = softmax_end(m_i, l_i, 0.0, False)
    acc = _scale_columns(scale_rows(acc, inverse), v_scale_ptr + at_kv * HEAD_DIM_V, HEAD_DIM_V)
    room = rows < seqlen_q - start_m
    row = tl.cast(batch, tl.int64) * seqlen_q + start_m
    stride_o = heads * (HEAD_DIM_V // ALIGN)
    o_ptr = head_ptr(o_ptr, 0, head, row, 0, HEAD_DIM_V // ALIGN, stride_o)
    store_rows(o_ptr, acc, rows * stride_o, room, HEAD_DIM_V)
    lse_ptr += tl.cast(head, tl.int64) * tl.num_programs(2) * seqlen_q + row
    tl.store(lse_ptr + rows, lse, mask=room)


@triton.jit
def _scale_columns(x, scale_ptr, HEAD_DIM_V: tl.constexpr):
    """Each column of `x` times its scale."""
    D1: tl.constexpr = first_block(HEAD_DIM_V)
    D2: tl.constexpr = second_block(HEAD_DIM_V)
    first = x[0] * tl.load(scale_ptr + tl.arange(0, D1))[None, :]
    if D2 == 0:
        return (first,)
    else:
        return (first, x[1] * tl.load(scale_ptr + D1 + tl.arange(0, D2))[None, :])
