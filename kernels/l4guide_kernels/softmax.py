"""The score of a query for a key, which keys it sees, and one step of the online softmax; all in base 2.

Scores are q·k * softmax_scale * log2(e), so that exp2, which the hardware has, replaces exp. The factor
is applied after the dot: folded into a 16-bit q it would cost accuracy.
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def keys_seen(queries, seqlen_k, offset, CAUSAL: tl.constexpr):
    """How many keys, from the first on, each query sees; `queries` are positions, one or many.

    `offset` is seqlen_k - seqlen_q: the causal diagonal ends in the bottom right corner, so the last
    query sees every key, and with more queries than keys the first ones see none.
    """
    if CAUSAL:
        return tl.maximum(tl.minimum(queries + (offset + 1), seqlen_k), 0)
    else:
        return queries * 0 + seqlen_k


@triton.jit
def softmax_step(scores, m_i, l_i, MASKED: tl.constexpr):
    """One block of keys into the running maximum and sum.

    Args:
        scores: (M, N) in base 2; -inf where the key is hidden.
        m_i: (M,) maximum so far, -inf at first.
        l_i: (M,) sum of exp2(score - m_i) so far.
        MASKED: Whether any score may be -inf.

    Returns:
        (m_i, l_i, p, alpha): the new maximum and sum, p = exp2(scores - m_i) of shape (M, N), and what the
        accumulator must be multiplied by.
    """
    m_new = tl.maximum(m_i, tl.max(scores, 1))
    if MASKED:
        # A row that has seen no key yet has maximum -inf, and -inf - -inf is NaN: measure it from 0 instead.
        pivot = tl.where(m_new == float("-inf"), 0.0, m_new)
    else:
        pivot = m_new
    p = tl.exp2(scores - pivot[:, None])
    alpha = tl.exp2(m_i - pivot)
    return m_new, l_i * alpha + tl.sum(p, 1), p, alpha


@triton.jit
def softmax_end(m_i, l_i):
    """The accumulator's last factor and the base-2 log-sum-exp; 0 and -inf for an empty row."""
    empty = l_i == 0.0
    inverse = tl.where(empty, 0.0, 1.0 / tl.where(empty, 1.0, l_i))
    return inverse, tl.where(empty, float("-inf"), m_i + tl.log2(tl.where(empty, 1.0, l_i)))
