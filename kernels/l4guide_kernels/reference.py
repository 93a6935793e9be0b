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
    cache_seqlens: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and its log-sum-exp, with flash-attn's layouts and meaning.

    Args:
        q: (batch, seqlen_q, heads, head_dim).
        k: (batch, seqlen_k, kv_heads, head_dim); `heads` is a multiple of `kv_heads`.
        v: Like `k`.
        softmax_scale: Factor on q·k; head_dim ** -0.5 when None.
        causal: Query i sees key j when j <= i + seqlen_k - seqlen_q (aligned bottom right).
        cache_seqlens: (batch,) how many keys each sequence has; all of them when None.

    Returns:
        The output (batch, seqlen_q, heads, head_dim) and the natural log-sum-exp (batch, heads,
        seqlen_q). A query that sees no key has output 0 and log-sum-exp -inf.
    """
    batch, seqlen_q, heads, head_dim = q.shape
    seqlen_k, kv_heads = k.shape[1], k.shape[2]
    scale = 1.0 / math.sqrt(head_dim) if softmax_scale is None else softmax_scale
    k, v = (x.repeat_interleave(heads // kv_heads, dim=2) for x in (k, v))

    lengths = (
        torch.full((batch,), seqlen_k) if cache_seqlens is None else cache_seqlens.to("cpu", torch.int64)
    )
    queries, keys = torch.arange(seqlen_q)[None, :, None], torch.arange(seqlen_k)[None, None, :]
    seen = keys < lengths[:, None, None]
    if causal:
        seen = seen & (keys <= queries + (lengths[:, None, None] - seqlen_q))
    seen = seen.expand(batch, seqlen_q, seqlen_k)[:, None].to(q.device)

    # A hidden key may hold anything, NaN included; 0 · NaN is NaN, so it is emptied, not only masked.
    unseen = (torch.arange(seqlen_k) >= lengths[:, None])[:, :, None, None].to(q.device)
    k, v = k.masked_fill(unseen, 0.0), v.masked_fill(unseen, 0.0)
    scores = torch.einsum("bihd,bjhd->bhij", q, k) * scale
    scores = scores.masked_fill(~seen, -math.inf)
    empty = ~seen.any(-1, keepdim=True)
    lse = (
        torch.logsumexp(scores.masked_fill(empty, 0.0), -1)
        if seqlen_k
        else scores.new_zeros(scores.shape[:3])
    )
    weights = torch.softmax(scores.masked_fill(empty, 0.0), -1).masked_fill(empty, 0.0)
    return torch.einsum("bhij,bjhd->bihd", weights, v), lse.masked_fill(empty[..., 0], -math.inf)
