"""flash-attn's functions on batches of equal length: names, argument order, defaults and layouts are its own."""

from collections.abc import Mapping, Sequence

import torch

from l4guide_kernels.attention import attend, describe
from l4guide_kernels.checks import check_packed, check_tensors
from l4guide_kernels.tiles import Tile

Result = torch.Tensor | tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def flash_attn_func(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: torch.Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    *,
    learnable_sink: torch.Tensor | None = None,
    arch: int | None = None,
    tiles: Mapping[str, Tile] | None = None,
) -> Result:
    """Attention, differentiable in q, k, v and the sink.

    Query i has key position i + seqlen_k - seqlen_q: masks are aligned to the bottom right.

    Args:
        q: (batch, seqlen_q, heads, head_dim), fp16, bf16 or fp32, head_dim 1 to 576.
        k: (batch, seqlen_k, kv_heads, head_dim); `heads` is a multiple of `kv_heads`.
        v: (batch, seqlen_k, kv_heads, head_dim_v); unlike in flash-attn, head_dim_v may differ from head_dim.
        dropout_p: Probability of dropping a weight; the others are scaled by 1 / (1 - dropout_p). The mask comes
            from torch's generator and does not depend on the tiles.
        softmax_scale: Factor on q·k; head_dim ** -0.5 when None.
        causal: A query sees no key after its position.
        window_size: A query sees the keys from position - left to position + right; -1 for no bound.
        softcap: Scores become softcap · tanh(score / softcap); 0 for none.
        alibi_slopes: (heads,) or (batch, heads) fp32: scores are reduced by slope · |position - key|.
        deterministic: No effect: the backward pass is always deterministic, bit for bit.
        return_attn_probs: Also return the log-sum-exp, and the probabilities if there is dropout.
        learnable_sink: (heads,) a score that joins each softmax without a value of its own.
        arch: Use the tiles of this architecture (89 for an L4) instead of the device's.
        tiles: Tiles to use instead of the table's, by kernel name.

    Returns:
        The output (batch, seqlen_q, heads, head_dim_v). With `return_attn_probs` also the natural log-sum-exp
        (batch, heads, seqlen_q) in fp32 and, with dropout, the probabilities before dropout (batch, heads,
        seqlen_q, seqlen_k) in q's type, negative where dropped; an empty tensor without. A query that sees no key
        has output 0 and log-sum-exp -inf.

    Raises:
        UnsupportedError: head_dim, dtype or architecture is not supported.
        ShapeError: Shapes, dtypes, devices or values do not match; it is a ValueError and a RuntimeError.
    """
    check_tensors(q, k, v)
    problem = describe(
        q,
        batch=q.shape[0],
        softmax_scale=softmax_scale,
        causal=causal,
        window_size=window_size,
        softcap=softcap,
        alibi_slopes=alibi_slopes,
        learnable_sink=learnable_sink,
        arch=arch,
        tiles=tiles,
        dropout_p=dropout_p,
    )
    return attend(q, k, v, problem, return_attn_probs=return_attn_probs)


def flash_attn_kvpacked_func(
    q: torch.Tensor,
    kv: torch.Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: torch.Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    *,
    learnable_sink: torch.Tensor | None = None,
    arch: int | None = None,
    tiles: Mapping[str, Tile] | None = None,
) -> Result:
    """`flash_attn_func` with keys and values in one tensor (batch, seqlen_k, 2, kv_heads, head_dim)."""
    check_packed(kv, "kv", 2, 5)
    return flash_attn_func(
        *(q, kv[:, :, 0], kv[:, :, 1], dropout_p, softmax_scale, causal, window_size, softcap),
        *(alibi_slopes, deterministic, return_attn_probs),
        learnable_sink=learnable_sink,
        arch=arch,
        tiles=tiles,
    )


def flash_attn_qkvpacked_func(
    qkv: torch.Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: torch.Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    *,
    learnable_sink: torch.Tensor | None = None,
    arch: int | None = None,
    tiles: Mapping[str, Tile] | None = None,
) -> Result:
    """`flash_attn_func` with q, k and v in one tensor (batch, seqlen, 3, heads, head_dim)."""
    check_packed(qkv, "qkv", 3, 5)
    return flash_attn_func(
        *(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], dropout_p, softmax_scale, causal, window_size, softcap),
        *(alibi_slopes, deterministic, return_attn_probs),
        learnable_sink=learnable_sink,
        arch=arch,
        tiles=tiles,
    )
