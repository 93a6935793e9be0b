"""flash-attn's functions on sequences of different lengths, one after another in one tensor."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from l4guide_kernels.attention import attend, describe
from l4guide_kernels.checks import ShapeError, check_offsets, check_packed, check_pages, check_tensors
from l4guide_kernels.interface import Result
from l4guide_kernels.tiles import Tile


def flash_attn_varlen_func(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: torch.Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    block_table: torch.Tensor | None = None,
    *,
    learnable_sink: torch.Tensor | None = None,
    arch: int | None = None,
    tiles: Mapping[str, Tile] | None = None,
) -> Result:
    """Attention inside each of several sequences; arguments not listed are those of `flash_attn_func`.

    Args:
        q: (total_q, heads, head_dim), fp16, bf16 or fp32.
        k: (total_k, kv_heads, head_dim); with `block_table` (pages, page_size, kv_heads, head_dim).
        v: Like `k`; its head_dim may differ.
        cu_seqlens_q: (batch + 1,) int32: where each sequence's queries begin, and the end.
        cu_seqlens_k: The same for its keys; with `block_table` their differences are the lengths.
        max_seqlen_q: The largest number of queries of a sequence. Queries beyond it are ignored.
        max_seqlen_k: The largest number of keys.
        dropout_p: See `flash_attn_func`.
        softmax_scale: See `flash_attn_func`.
        causal: See `flash_attn_func`.
        window_size: See `flash_attn_func`.
        softcap: See `flash_attn_func`.
        alibi_slopes: See `flash_attn_func`.
        deterministic: See `flash_attn_func`.
        return_attn_probs: See `flash_attn_func`.
        block_table: (batch, pages of a sequence) int32: the page of the cache that holds each page of its keys; any
            page size. Gradients and dropout are then not supported.
        learnable_sink: See `flash_attn_func`.
        arch: See `flash_attn_func`.
        tiles: See `flash_attn_func`.

    Returns:
        The output (total_q, heads, head_dim_v), 0 in rows that belong to no sequence. With `return_attn_probs` also the
        natural log-sum-exp (heads, total_q), and, with dropout, the probabilities (batch, heads, max_seqlen_q,
        max_seqlen_k), 0 outside a sequence; an empty tensor without.

    Raises:
        NotImplementedError: A gradient or dropout is requested with a paged cache.
        UnsupportedError: head_dim, dtype or architecture is not supported.
        ShapeError: Shapes, dtypes, devices or values do not match.
    """
    paged = block_table is not None
    check_tensors(q, k, v, axes=(3, 4 if paged else 3))
    check_offsets(cu_seqlens_q, "cu_seqlens_q", q.shape[0], max_seqlen_q, q.device)
    check_offsets(cu_seqlens_k, "cu_seqlens_k", None if paged else k.shape[0], max_seqlen_k, q.device)
    batch = cu_seqlens_q.shape[0] - 1
    if cu_seqlens_k.shape[0] - 1 != batch:
        raise ShapeError(
            f"cu_seqlens_q has {batch} sequences and cu_seqlens_k {cu_seqlens_k.shape[0] - 1}: they must be the same"
        )
    problem = describe(
        q,
        batch=batch,
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
    problem = replace(
        problem,
        cu_q=cu_seqlens_q.contiguous(),
        cu_k=cu_seqlens_k.contiguous(),
        max_q=max_seqlen_q,
        max_k=max_seqlen_k,
        pages=block_table,
    )
    if block_table is not None:
        check_pages(block_table, batch, q.device)
        if max_seqlen_k > block_table.shape[1] * k.shape[1]:
            raise ShapeError(
                f"max_seqlen_k {max_seqlen_k} exceeds the {block_table.shape[1]} pages of {k.shape[1]} keys that "
                "block_table has per sequence: give it more columns"
            )
        _refuse_with_pages(q, k, v, learnable_sink, dropout_p)
    return attend(q, k, v, problem, return_attn_probs=return_attn_probs)


def _refuse_with_pages(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sink: torch.Tensor | None, dropout_p: float
) -> None:
    if dropout_p:
        raise NotImplementedError(
            f"dropout_p={dropout_p} is not supported with a block_table: set dropout_p to 0"
        )
    asked = [x.requires_grad for x in (q, k, v, sink) if x is not None]
    if torch.is_grad_enabled() and any(asked):
        raise NotImplementedError(
            "a gradient through a block_table is not supported: call under torch.no_grad(), or train on contiguous k, v"
        )


def flash_attn_varlen_kvpacked_func(
    q: torch.Tensor,
    kv: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
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
    """`flash_attn_varlen_func` with keys and values in one tensor (total_k, 2, kv_heads, head_dim)."""
    check_packed(kv, "kv", 2, 4)
    return flash_attn_varlen_func(
        *(q, kv[:, 0], kv[:, 1], cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p),
        *(softmax_scale, causal, window_size, softcap, alibi_slopes, deterministic, return_attn_probs),
        learnable_sink=learnable_sink,
        arch=arch,
        tiles=tiles,
    )


def flash_attn_varlen_qkvpacked_func(
    qkv: torch.Tensor,
    cu_seqlens: torch.Tensor,
    max_seqlen: int,
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
    """`flash_attn_varlen_func` with all three in one tensor (total, 3, heads, head_dim)."""
    check_packed(qkv, "qkv", 3, 4)
    return flash_attn_varlen_func(
        *(qkv[:, 0], qkv[:, 1], qkv[:, 2], cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, dropout_p),
        *(softmax_scale, causal, window_size, softcap, alibi_slopes, deterministic, return_attn_probs),
        learnable_sink=learnable_sink,
        arch=arch,
        tiles=tiles,
    )
