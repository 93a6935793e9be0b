"""New keys and values written into a cache, and rotary embedding of them and of queries.

A rotated pair (x1, x2) at position t becomes (x1 cos t - x2 sin t, x2 cos t + x1 sin t). Pairs are neighbouring
columns (`INTERLEAVED`, GPT-J) or column i with i + rotary_dim / 2 (GPT-NeoX, Llama).
"""

import triton
import triton.language as tl

from l4guide_kernels.dialect import ALIGN, head_ptr, narrow


@triton.jit
def _load(ptr, mask):
    """Values in the type of sums; see `dialect` for bf16 in the interpreter."""
    x = tl.load(ptr, mask=mask, other=0.0)
    if ptr.dtype.element_ty == tl.float64:
        return x
    else:
        return x.to(tl.float32)


@triton.jit
def append_kernel(
    x_ptr,
    y_ptr,
    lengths_ptr,
    cos_ptr,
    sin_ptr,
    stride_xb,
    stride_xs,
    stride_xh,
    stride_yb,
    stride_ys,
    stride_yh,
    seqlen,
    capacity,
    entries,
    positions,
    span,
    IN_CACHE: tl.constexpr,
    STEP: tl.constexpr,
    ROTARY_HALF: tl.constexpr,
    INTERLEAVED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    """Grid (row blocks, heads, batch): rows of x, rotated by their position, to y.

    Row i of a sequence is at position `lengths[batch] + i * STEP`. It goes to that row of the cache (IN_CACHE) or
    to row i of y. A cache has `entries` sequences, or pages, and `capacity` rows of a sequence: a row that would lie
    outside, before the first as of a sequence that only pads a batch, is not written. Strides in units of ALIGN; cos
    and sin (positions, ROTARY_HALF) are contiguous, COLUMNS is the next power of two of HEAD_DIM.
    """
    start, head, batch = tl.program_id(0) * BLOCK_M, tl.program_id(1), tl.program_id(2)
    rows, columns = start + tl.arange(0, BLOCK_M), tl.arange(0, COLUMNS)
    length = tl.load(lengths_ptr + batch)
    valid = rows < seqlen
    if IN_CACHE:
        valid = valid & (length + rows >= 0) & (length + rows < capacity)
    mask = valid[:, None] & (columns < HEAD_DIM)[None, :]
    x_ptr = head_ptr(x_ptr, batch, head, 0, stride_xb, stride_xh, stride_xs)
    from_rows = x_ptr + tl.cast(rows, tl.int64)[:, None] * (stride_xs * ALIGN)
    x = _load(from_rows + columns[None, :], mask)
    if ROTARY_HALF > 0:
        if INTERLEAVED:
            pair, second, partner = columns // 2, columns % 2 == 1, columns ^ 1
        else:
            second = columns >= ROTARY_HALF
            pair = tl.where(second, columns - ROTARY_HALF, columns)
            partner = tl.where(second, columns - ROTARY_HALF, columns + ROTARY_HALF)
        turned = mask & (columns < 2 * ROTARY_HALF)[None, :]
        places = length + rows * STEP
        angles = tl.cast(places, tl.int64)[:, None] * ROTARY_HALF + pair[None, :]
        known = turned & ((places >= 0) & (places < positions))[:, None]
        cos, sin = _load(cos_ptr + angles, known), _load(sin_ptr + angles, known)
        other = _load(from_rows + partner[None, :], turned)
        x = tl.where(turned, x * cos + other * tl.where(second[None, :], sin, -sin), x)
    if IN_CACHE:
        places, slots = length + rows, batch + tl.zeros_like(rows)
        if span.pages is not None:
            table = span.pages + tl.cast(batch, tl.int64) * span.pages_stride
            slots = tl.load(table + places // span.page_size, mask=valid, other=0)
            places = places % span.page_size
        elif span.slots is not None:
            slots = tl.load(span.slots + batch) + tl.zeros_like(rows)
        mask = mask & (valid & (slots >= 0) & (slots < entries))[:, None]
        y_ptr = head_ptr(y_ptr, 0, head, 0, stride_yb, stride_yh, stride_ys)
        offsets = tl.cast(slots, tl.int64) * stride_yb + tl.cast(places, tl.int64) * stride_ys
    else:
        y_ptr = head_ptr(y_ptr, batch, head, 0, stride_yb, stride_yh, stride_ys)
        offsets = tl.cast(rows, tl.int64) * stride_ys
    y = y_ptr + offsets[:, None] * ALIGN + columns[None, :]
    tl.store(y, narrow(x, y_ptr.dtype.element_ty), mask=mask)
