"""The public functions, with flash-attn's names, argument order, defaults and layouts."""

from collections.abc import Mapping

import torch

from l4guide_kernels import launch
from l4guide_kernels.autograd import Attention
from l4guide_kernels.checks import check_tensors, check_tiles, lengths_of, refuse
from l4guide_kernels.tiles import Tile

_WHOLE = (-1, -1)


def flash_attn_func(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = _WHOLE,
    softcap: float = 0.0,
    alibi_slopes: torch.Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    *,
    arch: int | None = None,
    tiles: Mapping[str, Tile] | None = None,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Attention, differentiable in q, k and v.

    Args:
        q: (batch, seqlen_q, heads, head_dim), fp16, bf16 or fp32, head_dim 1 to 256.
        k: (batch, seqlen_k, kv_heads, head_dim); `heads` is a multiple of `kv_heads`.
        v: Like `k`.
        dropout_p: Only 0.0 is built.
        softmax_scale: Factor on q·k; head_dim ** -0.5 when None.
        causal: Query i sees key j when j <= i + seqlen_k - seqlen_q.
        window_size: Only (-1, -1), no window, is built.
        softcap: Only 0.0 is built.
        alibi_slopes: Only None is built.
        deterministic: The backward pass always is.
        return_attn_probs: Also return the log-sum-exp, and flash-attn's third value, which is empty
            without dropout.
        arch: Take the tiles of this architecture (89 for an L4) rather than the device's.
        tiles: Tiles to use instead of the table's, by kernel name.

    Returns:
        The output, like `q`; with `return_attn_probs` also the natural log-sum-exp (batch, heads,
        seqlen_q) in fp32 and an empty tensor. A query that sees no key has output 0 and log-sum-exp
        -inf.

    Raises:
        NotImplementedError: A feature that is not built was asked for.
        UnsupportedError: head_dim, dtype or architecture is not served.
        ValueError: Shapes, dtypes or devices do not go together.
    """
    refuse(dropout_p=dropout_p or None, softcap=softcap or None, alibi_slopes=alibi_slopes)
    refuse(window_size=None if tuple(window_size) == _WHOLE else window_size)
    check_tensors(q, k, v)
    plan = _plan(q, arch, tiles)
    scale = launch.default_scale(q.shape[-1]) if softmax_scale is None else softmax_scale
    out, lse = Attention.apply(*(_padded(x) for x in (q, k, v)), scale, causal, plan)  # type: ignore[no-untyped-call]
    out = out[..., : q.shape[-1]]
    return (out, lse, q.new_empty(0)) if return_attn_probs else out


def flash_attn_with_kvcache(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    k: torch.Tensor | None = None,
    v: torch.Tensor | None = None,
    rotary_cos: torch.Tensor | None = None,
    rotary_sin: torch.Tensor | None = None,
    cache_seqlens: int | torch.Tensor | None = None,
    cache_batch_idx: torch.Tensor | None = None,
    cache_leftpad: torch.Tensor | None = None,
    block_table: torch.Tensor | None = None,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = _WHOLE,
    softcap: float = 0.0,
    rotary_interleaved: bool = True,
    alibi_slopes: torch.Tensor | None = None,
    num_splits: int = 0,
    return_softmax_lse: bool = False,
    *,
    arch: int | None = None,
    tiles: Mapping[str, Tile] | None = None,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Attention of a few new queries over a cache of keys and values; no gradient.

    Args:
        q: (batch, seqlen_q, heads, head_dim), fp16, bf16 or fp32, head_dim 1 to 256.
        k_cache: (batch, seqlen_cache, kv_heads, head_dim); `heads` is a multiple of `kv_heads`.
        v_cache: Like `k_cache`.
        k: Only None is built (append to the cache before the call).
        v: Only None is built.
        rotary_cos: Only None is built.
        rotary_sin: Only None is built.
        cache_seqlens: How many keys of the cache count: one number, (batch,) int32, or None for all.
        cache_batch_idx: Only None is built.
        cache_leftpad: Only None is built.
        block_table: Only None is built (no paged cache).
        softmax_scale: Factor on q·k; head_dim ** -0.5 when None.
        causal: Query i sees key j when j <= i + cache_seqlens - seqlen_q.
        window_size: Only (-1, -1), no window, is built.
        softcap: Only 0.0 is built.
        rotary_interleaved: Without effect, as there is no rotary embedding.
        alibi_slopes: Only None is built.
        num_splits: Parts of the keys worked on side by side, 1 to 128; 0 chooses as FlashAttention-2 does.
        return_softmax_lse: Also return the log-sum-exp.
        arch: Take the tile of this architecture (89 for an L4) rather than the device's.
        tiles: Tiles to use instead of the table's, by kernel name.

    Returns:
        The output, like `q`; with `return_softmax_lse` also the natural log-sum-exp (batch, heads,
        seqlen_q), fp32.

    Raises:
        NotImplementedError: A feature that is not built was asked for.
        UnsupportedError: head_dim, dtype or architecture is not served.
        ValueError: Shapes, dtypes or devices do not go together.
    """
    refuse(k=k, v=v, rotary_cos=rotary_cos, rotary_sin=rotary_sin, block_table=block_table)
    refuse(cache_batch_idx=cache_batch_idx, cache_leftpad=cache_leftpad, alibi_slopes=alibi_slopes)
    refuse(softcap=softcap or None, window_size=None if tuple(window_size) == _WHOLE else window_size)
    check_tensors(q, k_cache, v_cache, names=("q", "k_cache", "v_cache"))
    if not 0 <= num_splits <= launch.MOST_SPLITS:
        raise ValueError(f"num_splits {num_splits} is outside 0 to {launch.MOST_SPLITS}: 0 chooses for you")
    plan = _plan(q, arch, tiles)
    scale = launch.default_scale(q.shape[-1]) if softmax_scale is None else softmax_scale
    lengths = lengths_of(cache_seqlens, k_cache)
    with torch.no_grad():
        padded_q, padded_k, padded_v = (_padded(x) for x in (q, k_cache, v_cache))
        out, lse = launch.decode(
            *(padded_q, padded_k, padded_v, lengths),
            scale=scale,
            causal=causal,
            splits=num_splits,
            plan=plan,
        )
    out = out[..., : q.shape[-1]]
    return (out, launch.natural(lse)) if return_softmax_lse else out


def _plan(q: torch.Tensor, arch: int | None, tiles: Mapping[str, Tile] | None) -> launch.Plan:
    check_tiles(tiles or {})
    return launch.Plan(arch=launch.device_arch(q.device) if arch is None else arch, tiles=tiles or {})


def _padded(x: torch.Tensor) -> torch.Tensor:
    """`x` with zero columns up to a multiple of 8, as flash-attn does: loads are of 16 bytes."""
    missing = -x.shape[-1] % launch.HEAD_MULTIPLE
    return torch.nn.functional.pad(x, (0, missing)) if missing else x
