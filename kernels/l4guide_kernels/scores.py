"""What a query scores for a key, which keys it sees, and which of its weights dropout keeps.

Scores are q·k * softmax_scale * log2(e), so that exp2, which the hardware has, replaces exp. The factor is
applied after the dot: folded into a 16-bit q it would cost accuracy.

A query's *place* is its position + seqlen_k - seqlen_q, the key it stands beside: masks end in the bottom
right corner, so the last query stands beside the last key, and with more queries than keys the first ones
stand before them all.
"""

import triton
import triton.language as tl

from l4guide_kernels.dialect import dot_heads
from l4guide_kernels.softmax import LOG2_E


@triton.jit
def keys_from(places, seqlen_k, extras):
    """The first key that queries see; `places` is one or many."""
    if extras.left is not None:
        return tl.minimum(tl.maximum(places - extras.left, 0), seqlen_k)
    else:
        return places * 0


@triton.jit
def keys_until(places, seqlen_k, extras, CAUSAL: tl.constexpr):
    """One past the last key that queries see; `places` is one or many."""
    if CAUSAL:
        return tl.maximum(tl.minimum(places + 1, seqlen_k), 0)
    elif extras.right is not None:
        return tl.maximum(tl.minimum(places + (extras.right + 1), seqlen_k), 0)
    else:
        return places * 0 + seqlen_k


@triton.jit
def key_blocks(first_place, last_place, seqlen_k, extras, CAUSAL: tl.constexpr, BLOCK_N: tl.constexpr):
    """Where the keys of queries from one place to another lie: (start, whole_from, whole_to, stop).

    All are multiples of BLOCK_N but `stop`. Blocks from `whole_from` to `whole_to` are seen whole by every one
    of the queries and need no mask; those before (only with a left bound) and after do.
    """
    stop = keys_until(last_place, seqlen_k, extras, CAUSAL)
    whole_to = keys_until(first_place, seqlen_k, extras, CAUSAL) // BLOCK_N * BLOCK_N
    if extras.left is not None:
        start = keys_from(first_place, seqlen_k, extras) // BLOCK_N * BLOCK_N
        whole_to = tl.maximum(whole_to, start)
        whole_from = tl.cdiv(keys_from(last_place, seqlen_k, extras), BLOCK_N) * BLOCK_N
        return start, tl.minimum(whole_from, whole_to), whole_to, stop
    else:
        return 0, 0, whole_to, stop


@triton.jit
def hide(scores, keys, since, until, extras):
    """Scores with -inf where a query does not see the key; the three are shaped to broadcast."""
    seen = keys < until
    if extras.left is not None:
        seen = seen & (keys >= since)
    return tl.where(seen, scores, float("-inf"))


@triton.jit
def score(a, b, places, keys, slope, scale_log2, extras):
    """Base-2 scores (A, B) of queries for keys, one of them in `a`, and what softcap leaves of their gradient.

    `places`, `keys` and `slope` are shaped to broadcast to (A, B).
    """
    scores = dot_heads(a, b) * scale_log2
    kept = 1.0
    if extras.softcap is not None:
        # tanh(x) = ±(1 - exp(-2|x|)) / (1 + exp(-2|x|)), which never overflows.
        small = tl.exp2(tl.abs(scores) * (-2.0 / extras.softcap))
        tanh = (1.0 - small) / (1.0 + small)
        tanh = tl.where(scores < 0.0, -tanh, tanh)
        scores = tanh * (extras.softcap * LOG2_E)
        kept = 1.0 - tanh * tanh
    if extras.slopes is not None:
        scores -= tl.abs(places - keys) * slope
    return scores, kept


@triton.jit
def slope_of(batch, head, extras):
    """ALiBi's slope of a head (or of many), in base 2; 0 without ALiBi."""
    if extras.slopes is not None:
        return tl.load(extras.slopes + batch * extras.slopes_stride + head) * LOG2_E
    else:
        return 0.0


@triton.jit
def sink_of(head, extras):
    """The sink's score for a head (or for many), in base 2; 0 without."""
    if extras.sink is not None:
        return tl.load(extras.sink + head) * LOG2_E
    else:
        return 0.0


@triton.jit
def kept_by_dropout(places, keys, stream, extras):
    """Which weights stay.

    One Philox number a weight, counted by place, key and `stream` (sequence and head): so tiles do not change it,
    and the backward pass finds it again.
    """
    bits, _, _, _ = tl.philox(tl.load(extras.seed), places, keys, stream, 0)
    return tl.random.uint_to_uniform_float(bits) >= extras.dropout
