"""What a call may add to plain attention, grouped for the kernels; None stands for what it does not add.

Triton compiles a None away, so that a kernel without a feature holds no instruction of it. (Sizes and strides
are not in here: integers inside a tuple are always specialised on their value.)
"""

from typing import Any, NamedTuple

#: Sizes and strides that every kernel over queries and keys takes, and that are never specialised on their value.
NOT_SPECIALISED = (
    *("stride_qb", "stride_qs", "stride_qh", "stride_kb", "stride_ks", "stride_kh"),
    *("stride_vb", "stride_vs", "stride_vh", "heads", "group", "seqlen_q", "seqlen_k"),
)

#: A pointer to a tensor at launch, a type or a constant in the compiler: Triton has no type for the three.
Argument = Any


class Span(NamedTuple):
    """Which rows are a sequence's.

    Attributes:
        cu_q: (batch + 1,) int32: first row of each sequence's queries in (total_q, heads, head_dim).
        cu_k: The same of its keys.
        used_k: (batch,) int32: how many keys count.
        leftpad: (batch,) int32: keys to leave out at the front.
        slots: (batch,) int32: which entry of the cache is the sequence's.
        pages: (batch, pages_stride) int32: where each page of the sequence's keys lies in the cache.
        page_size: Keys in a page.
        pages_stride: Entries from one sequence to the next in `pages`.
    """

    cu_q: Argument = None
    cu_k: Argument = None
    used_k: Argument = None
    leftpad: Argument = None
    slots: Argument = None
    pages: Argument = None
    page_size: Argument = None
    pages_stride: Argument = None


class Extras(NamedTuple):
    """What is done to the scores and the weights.

    Attributes:
        left: A query sees no more than this many keys before its own place.
        right: And this many after it; may be negative.
        softcap: Scores are softcap · tanh(score / softcap).
        slopes: fp32: a head's slope; scores fall by it with each key of distance (ALiBi).
        slopes_stride: Elements from one sequence to the next in `slopes`; 0 when all share them.
        sink: (heads,) fp32: a score that every query of a head gives to no key.
        seed: (1,) int64: key of the random numbers of dropout.
        dropout: Which share of the weights is dropped.
        k_descale: (batch, kv_heads) fp32: what the codes of an 8-bit cache's keys stand for, one to a head.
        v_descale: The same of its values.
    """

    left: Argument = None
    right: Argument = None
    softcap: Argument = None
    slopes: Argument = None
    slopes_stride: Argument = None
    sink: Argument = None
    seed: Argument = None
    dropout: Argument = None
    k_descale: Argument = None
    v_descale: Argument = None
