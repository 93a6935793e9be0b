"""Attention as one writes it on a board, in PyTorch: the oracle that every kernel is held against.

Runs in the dtype of its inputs; given fp64 it is as good as exact. Autograd gives the gradients.
"""

import math

import torch


def reference_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    dropout_mask: torch.Tensor | None = None,
    learnable_sink: torch.Tensor | None = None,
    cache_seqlens: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and its log-sum-exp, with flash-attn's layouts and meaning.

    Query i stands at the key i + offset, offset = seqlen_k - seqlen_q (aligned bottom right).

    Args:
        q: (batch, seqlen_q, heads, head_dim).
        k: (batch, seqlen_k, kv_heads, head_dim); `heads` is a multiple of `kv_heads`.
        v: (batch, seqlen_k, kv_heads, its own head_dim).
        softmax_scale: Factor on q·k; head_dim ** -0.5 when None.
        causal: A query sees no key after its own place.
        window_size: How many keys a query sees before and after its place; -1 is all of them.
        softcap: Scores s become softcap · tanh(s / softcap); 0.0 leaves them as they are.
        alibi_slopes: (heads,) or (batch, heads); slope · |i + offset - j| is taken off the capped score.
        dropout_p: What was kept is divided by 1 - dropout_p.
        dropout_mask: (batch, heads, seqlen_q, seqlen_k) bool, which weights are kept; all when None.
        learnable_sink: (heads,) a score of no key: it has a share of the softmax and no value.
        cache_seqlens: (batch,) how many keys each sequence has; all of them when None.

    Returns:
        The output (batch, seqlen_q, heads, head_dim of v) and the natural log-sum-exp (batch, heads,
        seqlen_q), the sink included. A query that sees no key has output 0 and log-sum-exp -inf, or the
        sink's score.
    """
    seqlen_q, heads, head_dim = q.shape[1:]
    seqlen_k, kv_heads = k.shape[1:3]
    k, v = (x.repeat_interleave(heads // kv_heads, dim=2) for x in (k, v))
    lengths = torch.full(q.shape[:1], seqlen_k) if cache_seqlens is None else cache_seqlens.cpu()
    lengths = lengths.to(q.device, torch.int64)[:, None, None, None]

    keys = torch.arange(seqlen_k, device=q.device)
    places = torch.arange(seqlen_q, device=q.device)[:, None] + (lengths - seqlen_q)
    left, right = window_size[0], 0 if causal else window_size[1]
    exists = keys < lengths
    seen = exists.expand(-1, 1, seqlen_q, -1)
    if left >= 0:
        seen = seen & (keys >= places - left)
    if right >= 0:
        seen = seen & (keys <= places + right)
    # A key that does not exist may hold anything, NaN included; 0 · NaN is NaN, so it is emptied, not only masked.
    k, v = (x.masked_fill(~exists[:, 0, 0, :, None, None], 0.0) for x in (k, v))

    scores = torch.einsum("bihd,bjhd->bhij", q, k)
    scores = scores * (1.0 / math.sqrt(head_dim) if softmax_scale is None else softmax_scale)
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    if alibi_slopes is not None:
        slopes = alibi_slopes.to(scores.dtype).view(-1, heads, 1, 1)
        scores = scores - slopes * (places - keys).abs()
    scores = scores.masked_fill(~seen, -math.inf)

    # One column more than there are keys: the sink, or for a query that sees nothing at all something to look at.
    sink = torch.full((heads,), -math.inf) if learnable_sink is None else learnable_sink
    column = sink.to(scores)[:, None, None].expand(*scores.shape[:3], 1)
    nothing = ~seen.any(-1, keepdim=True) & torch.isneginf(column)
    columns = torch.cat([scores, column.masked_fill(nothing, 0.0)], -1)
    lse = torch.logsumexp(columns, -1).masked_fill(nothing[..., 0], -math.inf)
    weights = torch.softmax(columns, -1)[..., :seqlen_k]
    if dropout_mask is not None:
        weights = weights * dropout_mask / (1.0 - dropout_p)
    return torch.einsum("bhij,bjhd->bihd", weights, v), lse
