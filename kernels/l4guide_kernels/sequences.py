"""Where a sequence's rows lie: in a batch, one after another (varlen), or in a cache, paged or not."""

import triton
import triton.language as tl

from l4guide_kernels.dialect import head_ptr


@triton.jit
def queries_of(batch, seqlen_q, span):
    """(first row along the tensor's sequence axis, the same in a contiguous tensor of all rows, how many)."""
    if span.cu_q is None:
        return 0, tl.cast(batch, tl.int64) * seqlen_q, seqlen_q
    else:
        first = tl.load(span.cu_q + batch)
        return first, tl.cast(first, tl.int64), tl.load(span.cu_q + batch + 1) - first


@triton.jit
def keys_of(batch, seqlen_k, span):
    """The same of the keys, whose first row counts from the start of `slot`: (slot, first, row, how many)."""
    slot, first, length = batch, 0, seqlen_k
    row = tl.cast(batch, tl.int64) * seqlen_k
    if span.cu_k is not None:
        first = tl.load(span.cu_k + batch)
        row = tl.cast(first, tl.int64)
        length = tl.load(span.cu_k + batch + 1) - first
    if span.used_k is not None:
        length = tl.load(span.used_k + batch)
    if span.leftpad is not None:
        first = tl.load(span.leftpad + batch)
        length = tl.maximum(length - first, 0)
    if span.slots is not None:
        slot = tl.load(span.slots + batch)
    return slot, first, row, length


@triton.jit
def keys_ptr(ptr, batch, slot, kv_head, first, stride_b, stride_h, stride_s, span):
    """Address of a sequence's first key; in a paged cache, of the head in page 0."""
    if span.pages is None:
        return head_ptr(ptr, slot, kv_head, first, stride_b, stride_h, stride_s)
    else:
        return head_ptr(ptr, 0, kv_head, 0, stride_b, stride_h, stride_s)


@triton.jit
def key_block(ptr, batch, start_n, columns, valid, stride_b, stride_s, span):
    """Base address and offsets of keys `start_n + columns`, from what `keys_ptr` gave."""
    if span.pages is None:
        return head_ptr(ptr, 0, 0, start_n, 0, 0, stride_s), columns * stride_s
    else:
        rows = start_n + columns
        table = span.pages + tl.cast(batch, tl.int64) * span.pages_stride
        page = tl.load(table + rows // span.page_size, mask=valid, other=0)
        return ptr, tl.cast(page, tl.int64) * stride_b + (rows % span.page_size) * stride_s
