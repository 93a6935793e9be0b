"""One step of the online softmax and its end; all in base 2, for which the hardware has an instruction."""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def softmax_start(ROWS: tl.constexpr, DTYPE: tl.constexpr):
    """The maximum and the sum of rows that have seen nothing, in DTYPE."""
    return tl.full((ROWS,), float("-inf"), DTYPE), tl.zeros((ROWS,), DTYPE)


@triton.jit
def softmax_step(scores, m_i, l_i, MASKED: tl.constexpr, SHIFT: tl.constexpr = 0.0, factor=1.0):
    """One block of keys into the running maximum and sum.

    Args:
        scores: (M, N), times `factor` in base 2; -inf where the key is hidden.
        m_i: (M,) maximum so far, -inf at first.
        l_i: (M,) sum of exp2(score - m_i) so far.
        MASKED: Whether any score may be -inf.
        SHIFT: Powers of two to spread the weights by: the maximum is kept that much smaller, and `softmax_end` is
            none the wiser.
        factor: Above 0, so that the highest score is that of the highest product. The product with the others is
            left to the fma that takes the maximum off: one instruction a score less.

    Returns:
        (m_i, l_i, p, alpha): the new maximum and sum, p = exp2(scores * factor - m_i) of shape (M, N), and what the
        accumulator must be multiplied by.
    """
    highest = tl.max(scores, 1) * factor
    if SHIFT != 0.0:
        highest -= SHIFT
    m_new = tl.maximum(m_i, highest)
    if MASKED:
        # A row that has seen no key yet has maximum -inf, and -inf - -inf is NaN: measure it from 0 instead.
        pivot = tl.where(m_new == float("-inf"), 0.0, m_new)
    else:
        pivot = m_new
    p = tl.exp2(scores * factor - pivot[:, None])
    alpha = tl.exp2(m_i - pivot)
    return m_new, l_i * alpha + tl.sum(p, 1), p, alpha


@triton.jit
def softmax_end(m_i, l_i, sink, HAS_SINK: tl.constexpr):
    """The accumulator's last factor and the base-2 log-sum-exp; 0 and -inf for an empty row.

    `sink` is a score in base 2 that takes its part of the sum and has no value.
    """
    if not HAS_SINK:
        empty = l_i == 0.0
        inverse = tl.where(empty, 0.0, 1.0 / tl.where(empty, 1.0, l_i))
        return inverse, tl.where(empty, float("-inf"), m_i + tl.log2(tl.where(empty, 1.0, l_i)))
    else:
        m_end = tl.maximum(m_i, sink)
        pivot = tl.where(m_end == float("-inf"), 0.0, m_end)
        alpha = tl.exp2(m_i - pivot)
        total = l_i * alpha + tl.exp2(sink - pivot)
        empty = total == 0.0
        total = tl.where(empty, 1.0, total)
        return alpha / total, tl.where(empty, float("-inf"), pivot + tl.log2(total))
