"""flash-attn's function for inference: new queries over a cache of keys and values that new ones may be added to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from l4guide_kernels import launch, operators
from l4guide_kernels.attention import describe
from l4guide_kernels.checks import (
    ShapeError,
    check_codes,
    check_pages,
    check_tensors,
    descale,
    integers,
    lengths_of,
    readable,
)
from l4guide_kernels.decode import MOST_SPLITS
from l4guide_kernels.problem import DECODERS, Problem
from l4guide_kernels.tiles import Tile

# More rows of a KV head than this fill the tiles of the forward pass, which needs no packing.
_PACKED_ROWS = 64
Result = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


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
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    rotary_interleaved: bool = True,
    alibi_slopes: torch.Tensor | None = None,
    num_splits: int = 0,
    return_softmax_lse: bool = False,
    *,
    learnable_sink: torch.Tensor | None = None,
    k_descale: torch.Tensor | None = None,
    v_descale: torch.Tensor | None = None,
    arch: int | None = None,
    tiles: Mapping[str, Tile] | None = None,
) -> Result:
    """Attention of new queries over a cache of keys and values; no gradient.

    Args:
        q: (batch, seqlen_q, heads, head_dim), fp16, bf16 or fp32, head_dim 1 to 576.
        k_cache: (batch_cache, seqlen_cache, kv_heads, head_dim); with `block_table` (pages, page_size, kv_heads,
            head_dim), any page size. `heads` is a multiple of `kv_heads`. Of q's dtype, or int8, or (from sm_89 on)
            float8_e4m3fn: then head_dim is a multiple of 16, and k and v are not appended.
        v_cache: Like `k_cache`; its head_dim may differ.
        k: (batch, seqlen_new, kv_heads, head_dim): written into the cache behind its `cache_seqlens` keys, in
            place, and attended to.
        v: The same for values.
        rotary_cos: (positions, rotary_dim / 2): rotates `k` and `q` by their positions; needs `k`. Keys stand behind
            the cache's; queries do too when `causal` or in a window, else all stand at `cache_seqlens`.
        rotary_sin: Like `rotary_cos`.
        cache_seqlens: How many keys the cache holds before the call: one number, (batch,) integers, or None for all.
        cache_batch_idx: (batch,) integers: which entry of the cache is each sequence's; its own number when None.
        cache_leftpad: (batch,) integers: keys at the front that do not count.
        block_table: (batch, pages of a sequence) int32: which page holds each page of its keys.
        softmax_scale: Factor on q·k; head_dim ** -0.5 when None.
        causal: Query i sees key j when j <= i + keys - seqlen_q.
        window_size: See `flash_attn_func`.
        softcap: See `flash_attn_func`.
        rotary_interleaved: Rotate neighbouring columns (GPT-J), else column i with i + rotary_dim / 2 (GPT-NeoX).
        alibi_slopes: See `flash_attn_func`.
        num_splits: Parts of the keys worked on side by side, 1 to 128; 0 chooses as FlashAttention-2 does.
        return_softmax_lse: Also return the log-sum-exp.
        learnable_sink: See `flash_attn_func`.
        k_descale: (kv_heads,) or (batch, kv_heads) fp32: an 8-bit k_cache holds keys divided by this; 1 when None.
        v_descale: The same of v_cache.
        arch: Take the tiles of this architecture (89 for an L4) rather than the device's.
        tiles: Tiles to use instead of the table's, by kernel name.

    Returns:
        The output (batch, seqlen_q, heads, head_dim_v); with `return_softmax_lse` also the natural log-sum-exp
        (batch, heads, seqlen_q), fp32.

    Raises:
        NotImplementedError: `cache_leftpad` or `cache_batch_idx` with `block_table`, as in flash-attn; new keys
            for a cache of 8 bits.
        UnsupportedError: head_dim, dtype or architecture is not supported.
        ShapeError: Shapes, dtypes, devices or values do not match.
    """
    paged = block_table is not None
    check_tensors(
        *(q, k_cache, v_cache),
        names=("q", "k_cache", "v_cache"),
        same_batch=not paged and cache_batch_idx is None,
        coded=True,
    )
    if not 0 <= num_splits <= MOST_SPLITS:
        raise ShapeError(f"num_splits {num_splits} must be from 0 to {MOST_SPLITS}; 0 chooses automatically")
    batch, device = q.shape[0], q.device
    capacity = k_cache.shape[1]
    if block_table is not None:
        check_pages(block_table, batch, device)
        _refuse_with_pages(cache_leftpad=cache_leftpad, cache_batch_idx=cache_batch_idx)
        capacity *= block_table.shape[1]
    _check_new(q, k_cache, v_cache, k, v, cache_seqlens)
    lengths = lengths_of(cache_seqlens, batch, capacity, device)
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
    )
    check_codes(q, k_cache, v_cache, problem.plan.arch)
    problem = replace(
        problem,
        used_k=_used(cache_seqlens, lengths, 0 if k is None else k.shape[1], capacity),
        k_descale=descale(k_descale, "k_descale", q, k_cache),
        v_descale=descale(v_descale, "v_descale", q, v_cache),
        pages=block_table,
        leftpad=None if cache_leftpad is None else integers(cache_leftpad, "cache_leftpad", batch, device),
        slots=_slots(cache_batch_idx, batch, device, k_cache.shape[0]),
    )
    if k is not None:
        _check_room(lengths, k.shape[1], capacity)
    rotary = _rotary(rotary_cos, rotary_sin, q, k, capacity)
    with torch.no_grad():
        if rotary is not None:
            q = _rotated(q, lengths, problem, rotary, rotary_interleaved)
        if k is not None and v is not None:
            _append(problem, k_cache, k, lengths, rotary, rotary_interleaved)
            _append(problem, v_cache, v, lengths, None, rotary_interleaved)
        out, lse = _run(q, k_cache, v_cache, problem, num_splits)
    return (out, launch.natural(lse, q)) if return_softmax_lse else out


def _run(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, problem: Problem, splits: int
) -> tuple[torch.Tensor, torch.Tensor]:
    rows = q.shape[1] * (q.shape[2] // k.shape[2])
    if k.dtype == q.dtype and splits <= 1 and rows > _PACKED_ROWS:
        return operators.attention(q, k, v, problem)
    return operators.decode(q, k, v, problem, splits=splits)


def _append(
    problem: Problem,
    cache: torch.Tensor,
    new: torch.Tensor,
    lengths: torch.Tensor,
    rotary: tuple[torch.Tensor, torch.Tensor] | None,
    interleaved: bool,
) -> None:
    operators.place(new, cache, lengths, problem, in_cache=True, rotary=rotary, interleaved=interleaved)


def _rotated(
    q: torch.Tensor,
    lengths: torch.Tensor,
    problem: Problem,
    rotary: tuple[torch.Tensor, torch.Tensor],
    interleaved: bool,
) -> torch.Tensor:
    """Queries turned by their positions: one after another under a mask, else all at the cache's end."""
    moving = problem.causal or problem.left is not None or problem.right is not None
    last, positions = (q.shape[1] - 1 if moving else 0), rotary[0].shape[0]
    if readable(lengths) and q.numel() and bool((lengths + last >= positions).any()):
        raise ShapeError(
            f"queries have positions up to {int(lengths.max()) + last}, but rotary_cos has only {positions}: "
            "make it longer"
        )
    turned = q.new_empty(q.shape)
    operators.place(
        *(q, turned, lengths, problem),
        in_cache=False,
        step=int(moving),
        rotary=rotary,
        interleaved=interleaved,
    )
    return turned


def _refuse_with_pages(**features: torch.Tensor | None) -> None:
    for name, value in features.items():
        if value is not None:
            raise NotImplementedError(f"{name} is not supported with a block_table: set {name} to None")


def _check_new(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    k: torch.Tensor | None,
    v: torch.Tensor | None,
    cache_seqlens: int | torch.Tensor | None,
) -> None:
    if k is None and v is None:
        return
    if k_cache.dtype in DECODERS:
        raise NotImplementedError(
            f"k and v cannot be appended to a cache of {k_cache.dtype}: divide them by k_descale and v_descale, "
            "round them and write them into the cache before the call"
        )
    if k is None or v is None:
        raise ShapeError("k and v must be appended together: pass both or neither")
    if cache_seqlens is None:
        raise ShapeError("appending k and v needs cache_seqlens, the number of keys in the cache")
    for name, new, cache in (("k", k, k_cache), ("v", v, v_cache)):
        wanted = (q.shape[0], k.shape[1], *cache.shape[2:])
        if tuple(new.shape) != wanted or new.dtype != cache.dtype or new.device != cache.device:
            raise ShapeError(
                f"{name} {tuple(new.shape)} {new.dtype} on {new.device} does not match its cache: it must be "
                f"{wanted} {cache.dtype} on {cache.device}"
            )


def _used(
    cache_seqlens: int | torch.Tensor | None, lengths: torch.Tensor, new: int, capacity: int
) -> torch.Tensor:
    """How many keys count, the new ones with them.

    Where lengths cannot be read, the clamp keeps reads inside the cache: a sequence that only pads a batch, as CUDA
    graphs do by a length of -1, has no key and the output 0.
    """
    if isinstance(cache_seqlens, torch.Tensor) or new:
        return (lengths + new).clamp(0, capacity)
    return lengths


def _check_room(lengths: torch.Tensor, new: int, capacity: int) -> None:
    """Where lengths can be read; elsewhere nothing is written outside of the cache all the same."""
    if readable(lengths) and bool((lengths + new > capacity).any()):
        raise ShapeError(
            f"{new} new keys after {lengths.tolist()} do not fit in a cache of {capacity}: make it longer"
        )


def _slots(
    cache_batch_idx: torch.Tensor | None, batch: int, device: torch.device, entries: int
) -> torch.Tensor | None:
    if cache_batch_idx is None:
        return None
    slots = integers(cache_batch_idx, "cache_batch_idx", batch, device)
    if readable(slots) and slots.numel() and not bool(((slots >= 0) & (slots < entries)).all()):
        raise ShapeError(
            f"cache_batch_idx {slots.tolist()} must be from 0 to {entries - 1}, the entries of the cache"
        )
    return slots


def _rotary(
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor | None,
    capacity: int,
) -> tuple[torch.Tensor, torch.Tensor] | None:
    if cos is None and sin is None:
        return None
    if cos is None or sin is None:
        raise ShapeError("rotary_cos and rotary_sin must be used together: pass both or neither")
    if k is None:
        raise ShapeError("rotary_cos needs new keys to rotate: pass k and v, or rotate q before the call")
    half = q.shape[-1] // 2
    if cos.dim() != 2 or cos.shape != sin.shape or not 1 <= cos.shape[1] <= half or cos.shape[0] < capacity:
        raise ShapeError(
            f"rotary_cos {tuple(cos.shape)} and rotary_sin {tuple(sin.shape)} must both be (positions, "
            f"rotary_dim / 2), at least {capacity} by at most {half}"
        )
    if cos.dtype != q.dtype or sin.dtype != q.dtype or cos.device != q.device or sin.device != q.device:
        raise ShapeError(f"rotary_cos and rotary_sin must be {q.dtype} on {q.device}, like q")
    return cos, sin
