"""Rows of a head fetched by the copy engine (TMA), which cards have from sm_90 on, rather than by threads.

A *box* is a tensor descriptor: a whole tensor (batch, rows, heads, head_dim) and the block that one copy takes of
it. A head of two column blocks has two. What lies beyond the tensor reads as zeros, so that neither the ragged end
nor the columns that fill a head up need a mask; what lies beyond a sequence inside a tensor does not, so that
packed and padded sequences go without boxes.
"""

import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from l4guide_kernels.dialect import INTERPRET
from l4guide_kernels.tiles import head_parts

# Of an axis of one element, along which nothing moves: the interpreters before 3.6 ask for 16 elements, not bytes.
_ANY_STRIDE = 16
Boxes = tuple[TensorDescriptor | None, TensorDescriptor | None]


def boxes(x: torch.Tensor, rows: int) -> Boxes:
    """The boxes of `rows` rows of a head of `x`, one for each of its column blocks."""
    shape = list(x.shape)
    # An axis of one element may have any stride, which the copy engine would refuse all the same.
    strides = [*(s if n > 1 else _ANY_STRIDE for n, s in zip(shape[:-1], x.stride()[:-1], strict=True)), 1]
    first, second = (
        TensorDescriptor(x, shape, strides, [1, rows, 1, columns]) if columns else None
        for columns in head_parts(shape[-1])
    )
    return first, second


@triton.jit
def boxes_of(first, second):
    """The boxes that there are: Triton 3.6 takes no None in a tuple."""
    if second is None:
        return (first,)
    else:
        return (first, second)


@triton.jit
def _load_box(box, batch, row, head, FIRST: tl.constexpr):
    x = box.load([batch, row, head, FIRST]).reshape(box.block_shape[1], box.block_shape[3])
    if INTERPRET and box.dtype == tl.bfloat16:
        x = x.to(tl.float32)
    return x


@triton.jit
def load_boxes(boxes, batch, row, head):
    """Rows of a head from `row` on, as `dialect.load_rows` gives them: a tuple of its column blocks."""
    first = _load_box(boxes[0], batch, row, head, 0)
    if len(boxes) == 1:
        return (first,)
    else:
        return (first, _load_box(boxes[1], batch, row, head, first.shape[1]))
