"""The few words that every kernel is written in: rows of a head loaded, stored, multiplied and rounded.

A head is one or two column blocks (`tiles.head_parts`), so a tile of rows is a tuple of one or two
Triton tensors, cut by `HEAD_DIM` alone; `dot_heads` contracts two such tuples over the head, `dot_rows`
multiplies into each block.

Triton's interpreter holds bf16 as raw 16-bit integers, so its arithmetic on them is wrong and its cast
to bf16 truncates. There (`INTERPRET`) rows are widened to fp32 as they are loaded, which is exact, and
`narrow` rounds to the nearest bf16 by integer arithmetic while staying fp32, so that what follows sees
the values a GPU would. It does the same for e4m3, to which the interpreter's cast is wrong too.
"""

import os
from functools import wraps

import l4guide_kernels.installed  # noqa: F401 - before all that it checks

# isort: split
import triton
import triton.language as tl

from l4guide_kernels.tiles import HEAD_MULTIPLE, SPECIALISATIONS

# Read once, because Triton decides at decoration whether a function is compiled or interpreted.
INTERPRET = tl.constexpr(os.environ.get("TRITON_INTERPRET", "0").lower() in {"1", "true", "on", "yes", "y"})

# Base addresses and strides are multiples of this many elements (the launchers see to it), which is what lets
# Triton load 16 bytes at a time for any number of heads and any head_dim. Of 8-bit ones: `unit`.
ALIGN = tl.constexpr(HEAD_MULTIPLE)

# `tiles.head_parts` as data: Triton lets a compile-time function call no ordinary one.
_PARTS = tl.constexpr(tuple(SPECIALISATIONS.items()))

if hasattr(triton, "constexpr_function"):
    constexpr_function = triton.constexpr_function
else:

    def constexpr_function(function):
        """Triton 3.4's, which gives a plain value outside of compiled code, as later versions do."""
        of_triton = tl.constexpr_function(function)

        @wraps(of_triton)
        def evaluated(*known: object, _semantic: object = None):
            value = of_triton(*known)
            return value.value if INTERPRET or _semantic is None else value

        return evaluated


def interpreted() -> bool:
    """Whether the kernels run in Triton's interpreter, on the CPU."""
    return bool(INTERPRET.value)


@constexpr_function
def first_block(head_dim: int) -> int:
    """Columns of a head's first block."""
    return next(int(first) for width, (first, _) in _PARTS.value if width >= head_dim)


@constexpr_function
def second_block(head_dim: int) -> int:
    """Columns of a head's second block, 0 when it has none."""
    return next(int(second) for width, (_, second) in _PARTS.value if width >= head_dim)


@constexpr_function
def unit(dtype: tl.dtype) -> int:
    """Elements that strides are counted in: ALIGN, or of 8 bits the twice as many that 16 bytes hold."""
    return HEAD_MULTIPLE * (2 if dtype.primitive_bitwidth == 8 else 1)


@constexpr_function
def operand_type(dtype: tl.dtype, wide: tl.dtype) -> tl.dtype:
    """What weights are multiplied in with rows of DTYPE: codes of 8 bits are widened to `wide`."""
    return wide if dtype.primitive_bitwidth == 8 else dtype


@constexpr_function
def sum_type(dtype: tl.dtype) -> tl.dtype:
    """What sums over DTYPE are kept in: fp32, but int32 for int8, and fp64 for fp64 in the interpreter."""
    if dtype == tl.int8:
        return tl.int32
    return tl.float64 if dtype == tl.float64 else tl.float32


@triton.jit
def narrow(x, DTYPE: tl.constexpr):
    """`x` (fp32) rounded to DTYPE, to nearest even, as an operand of a dot or a value to store."""
    if INTERPRET and tl.bfloat16 == DTYPE:
        bits = x.to(tl.int32, bitcast=True)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & -0x10000
        return tl.where(x != x, bits, rounded).to(tl.float32, bitcast=True)
    elif INTERPRET and tl.float8e4nv == DTYPE:
        # 3 bits of fraction; below 2**-6 steps of 2**-9, which are those of fp32 from 2**14 on.
        bits = x.to(tl.int32, bitcast=True)
        rounded = (bits + 0x7FFFF + ((bits >> 20) & 1)) & -0x100000
        small = (x + 24576.0) - 24576.0
        return tl.where(tl.abs(x) < 0.015625, small, rounded.to(tl.float32, bitcast=True))
    else:
        return x.to(DTYPE)


@triton.jit
def dot(a, b, acc=None):
    """The product a @ b (+ acc) in the type of sums; fp32 operands are multiplied as fp32, not as TF32."""
    return tl.dot(a, b, acc, input_precision="ieee", out_dtype=sum_type(a.dtype))


@triton.jit
def _load_block(
    ptr,
    offsets,
    valid,
    FIRST: tl.constexpr,
    WIDTH: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    MASKED: tl.constexpr,
):
    columns = FIRST + tl.arange(0, WIDTH)
    address = ptr + (offsets[:, None] * unit(ptr.dtype.element_ty) + columns[None, :])
    if MASKED and FIRST + WIDTH > HEAD_DIM:
        x = tl.load(address, mask=valid[:, None] & (columns[None, :] < HEAD_DIM), other=0.0)
    elif MASKED:
        x = tl.load(address, mask=valid[:, None], other=0.0)
    elif FIRST + WIDTH > HEAD_DIM:
        x = tl.load(address, mask=columns[None, :] < HEAD_DIM, other=0.0)
    else:
        x = tl.load(address)
    if INTERPRET and ptr.dtype.element_ty == tl.bfloat16:
        x = x.to(tl.float32)
    return x


@triton.jit
def load_rows(ptr, offsets, valid, HEAD_DIM: tl.constexpr, MASKED: tl.constexpr):
    """Rows of a head as a tuple of its column blocks, each (ROWS, columns).

    Args:
        ptr: Address of the head's first column in row 0.
        offsets: (ROWS,) distance of each row from `ptr`, in `unit`s.
        valid: (ROWS,) which rows exist; the others read as zeros when MASKED, and are not checked otherwise.
    """
    D1: tl.constexpr = first_block(HEAD_DIM)
    D2: tl.constexpr = second_block(HEAD_DIM)
    first = _load_block(ptr, offsets, valid, 0, D1, HEAD_DIM, MASKED)
    if D2 == 0:
        return (first,)
    else:
        return (first, _load_block(ptr, offsets, valid, D1, D2, HEAD_DIM, MASKED))


@triton.jit
def widen(x, DTYPE: tl.constexpr):
    """Rows of 8-bit codes in DTYPE, which holds each of them exactly; other rows as they are."""
    first = x[0].to(operand_type(x[0].dtype, DTYPE))
    if len(x) > 1:
        return (first, x[1].to(operand_type(x[1].dtype, DTYPE)))
    else:
        return (first,)


@triton.jit
def _store_block(ptr, x, offsets, valid, FIRST: tl.constexpr, WIDTH: tl.constexpr, HEAD_DIM: tl.constexpr):
    columns = FIRST + tl.arange(0, WIDTH)
    address = ptr + offsets[:, None] * ALIGN + columns[None, :]
    mask = valid[:, None]
    if FIRST + WIDTH > HEAD_DIM:
        mask = mask & (columns[None, :] < HEAD_DIM)
    tl.store(address, narrow(x, ptr.dtype.element_ty), mask=mask)


@triton.jit
def store_rows(ptr, parts, offsets, valid, HEAD_DIM: tl.constexpr):
    """Writes the `valid` rows of `parts`, rounded to the type of `ptr`; `offsets` as in `load_rows`."""
    D1: tl.constexpr = first_block(HEAD_DIM)
    D2: tl.constexpr = second_block(HEAD_DIM)
    _store_block(ptr, parts[0], offsets, valid, 0, D1, HEAD_DIM)
    if D2 > 0:
        _store_block(ptr, parts[1], offsets, valid, D1, D2, HEAD_DIM)


@triton.jit
def head_ptr(ptr, batch, head, row, stride_b, stride_h, stride_s):
    """Address of a row of a head, in 64-bit arithmetic: a tensor may hold more than 2**31 elements."""
    distance = tl.cast(batch, tl.int64) * stride_b + tl.cast(head, tl.int64) * stride_h
    return ptr + (distance + tl.cast(row, tl.int64) * stride_s) * unit(ptr.dtype.element_ty)


@triton.jit
def zero_rows(ROWS: tl.constexpr, HEAD_DIM: tl.constexpr, DTYPE: tl.constexpr):
    """An accumulator for ROWS rows of a head whose elements are DTYPE."""
    D1: tl.constexpr = first_block(HEAD_DIM)
    D2: tl.constexpr = second_block(HEAD_DIM)
    first = tl.zeros((ROWS, D1), sum_type(DTYPE))
    if D2 == 0:
        return (first,)
    else:
        return (first, tl.zeros((ROWS, D2), sum_type(DTYPE)))


@triton.jit
def dot_heads(a, b):
    """The product a @ b.T over the columns of the head: (A, D) by (B, D) gives (A, B)."""
    product = dot(a[0], tl.trans(b[0]))
    if len(a) > 1:
        product = dot(a[1], tl.trans(b[1]), product)
    return product


@triton.jit
def dot_rows(weights, x, acc):
    """The sum acc + weights @ x: (A, B) by (B, D) into (A, D)."""
    first = dot(weights, x[0], acc[0])
    if len(x) > 1:
        return (first, dot(weights, x[1], acc[1]))
    else:
        return (first,)


@triton.jit
def scale_rows(x, factor):
    """Each row of `x` times its `factor`."""
    first = x[0] * factor[:, None]
    if len(x) > 1:
        return (first, x[1] * factor[:, None])
    else:
        return (first,)


@triton.jit
def add_rows(x, y):
    """The sum of two tiles of rows."""
    first = x[0] + y[0]
    if len(x) > 1:
        return (first, x[1] + y[1])
    else:
        return (first,)


@triton.jit
def sum_rows(x):
    """All rows of `x` added up into one."""
    first = tl.sum(x[0], 0, keep_dims=True)
    if len(x) > 1:
        return (first, tl.sum(x[1], 0, keep_dims=True))
    else:
        return (first,)
