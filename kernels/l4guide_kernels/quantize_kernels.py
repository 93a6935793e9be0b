"""Rows to codes, one program for each group of keys or queries: read once, written once."""

import triton
import triton.language as tl

from l4guide_kernels.dialect import ALIGN, head_ptr, narrow
from l4guide_kernels.tiles import SCALED_KEYS

GROUP = tl.constexpr(SCALED_KEYS)
_INT8_MOST = tl.constexpr(127.0)
# Added to and taken off a number below 2**22, it leaves the nearest integer, ties to even.
_ROUNDER = tl.constexpr(12582912.0)


@triton.jit
def _rows_of(x_ptr, heads, seqlen, HEAD_DIM: tl.constexpr, COLUMNS: tl.constexpr):
    """This program's group of rows of x (batch, seqlen, heads, HEAD_DIM) in fp32, zeros where there are none."""
    start, head, batch = tl.program_id(0) * GROUP, tl.program_id(1), tl.program_id(2)
    rows, columns = tl.arange(0, GROUP), tl.arange(0, COLUMNS)
    first = tl.cast(batch, tl.int64) * seqlen + start
    x_ptr = head_ptr(x_ptr, 0, head, first, 0, HEAD_DIM // ALIGN, heads * (HEAD_DIM // ALIGN))
    offsets = rows * (heads * (HEAD_DIM // ALIGN))
    there = (start + rows < seqlen)[:, None] & (columns < HEAD_DIM)[None, :]
    x = tl.load(x_ptr + offsets[:, None] * ALIGN + columns[None, :], mask=there, other=0.0)
    return x.to(tl.float32), there


@triton.jit(do_not_specialize=["heads", "seqlen", "rows_out"])
def code_rows_kernel(
    x_ptr,
    mean_ptr,
    codes_ptr,
    scale_ptr,
    heads,
    seqlen,
    rows_out,
    factor,
    BY_ROW: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Grid (groups, heads, batch): x · factor, less a mean where one is given, to int8.

    The mean is (batch, heads, HEAD_DIM), the codes (batch, heads, rows_out, WIDTH), the scales (batch, heads,
    rows_out) BY_ROW, else (batch, heads, groups). All contiguous; COLUMNS is a power of two that holds WIDTH.
    """
    x, there = _rows_of(x_ptr, heads, seqlen, HEAD_DIM, COLUMNS)
    rows, columns = tl.program_id(0) * GROUP + tl.arange(0, GROUP), tl.arange(0, COLUMNS)
    at = tl.cast(tl.program_id(2), tl.int64) * heads + tl.program_id(1)
    if mean_ptr is not None:
        mean = tl.load(mean_ptr + at * HEAD_DIM + columns, mask=columns < HEAD_DIM, other=0.0)
        x = tl.where(there, x - mean[None, :], 0.0)
    x *= factor
    highest = tl.max(tl.abs(x), 1)
    if BY_ROW:
        scale = highest / _INT8_MOST
        tl.store(scale_ptr + at * rows_out + rows, scale, mask=rows < rows_out)
        codes = x / tl.where(scale == 0.0, 1.0, scale)[:, None]
    else:
        scale = tl.max(highest, 0) / _INT8_MOST
        tl.store(scale_ptr + at * tl.num_programs(0) + tl.program_id(0), scale)
        codes = x / tl.where(scale == 0.0, 1.0, scale)
    codes = ((codes + _ROUNDER) - _ROUNDER).to(tl.int8)
    codes_ptr += (at * rows_out + tl.program_id(0) * GROUP) * WIDTH
    room = (rows < rows_out)[:, None] & (columns < WIDTH)[None, :]
    tl.store(codes_ptr + tl.arange(0, GROUP)[:, None] * WIDTH + columns[None, :], codes, mask=room)


@triton.jit(do_not_specialize=["heads", "seqlen"])
def code_values_kernel(
    x_ptr,
    scale_ptr,
    codes_ptr,
    heads,
    seqlen,
    LARGEST: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Grid (groups, heads, batch): values over their columns' scales (batch, heads, WIDTH), transposed.

    The codes are (batch, heads, groups, WIDTH, GROUP). LARGEST is the largest of their type.
    """
    x, _ = _rows_of(x_ptr, heads, seqlen, HEAD_DIM, COLUMNS)
    columns, keys = tl.arange(0, COLUMNS), tl.arange(0, GROUP)
    at = tl.cast(tl.program_id(2), tl.int64) * heads + tl.program_id(1)
    scale = tl.load(scale_ptr + at * WIDTH + columns, mask=columns < WIDTH, other=1.0)
    x = x / tl.where(scale == 0.0, 1.0, scale)[None, :]
    # What rounding lifts above the largest would be NaN in e4m3.
    x = tl.trans(tl.minimum(tl.maximum(x, -LARGEST), LARGEST))
    DTYPE: tl.constexpr = codes_ptr.dtype.element_ty
    codes_ptr += (at * tl.num_programs(0) + tl.program_id(0)) * (WIDTH * GROUP)
    address = codes_ptr + columns[:, None] * GROUP + keys[None, :]
    tl.store(address, narrow(x, DTYPE).to(DTYPE), mask=(columns < WIDTH)[:, None])
