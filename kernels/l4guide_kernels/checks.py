"""What the public functions refuse before a launch; one line each: the value, the limit, the way out."""

from collections.abc import Mapping

import torch

from l4guide_kernels.dialect import interpreted
from l4guide_kernels.launch import DTYPE_NAMES
from l4guide_kernels.tiles import KERNELS, Tile, UnsupportedError, head_parts

_AXES = 4
_INT32_LIMIT = 2**31
_GRID_LIMIT = 65535


def refuse(**features: object) -> None:
    """Refuses every feature whose value is not None.

    Raises:
        NotImplementedError: There is one.
    """
    for name, value in features.items():
        if value is not None:
            shown = "a tensor" if isinstance(value, torch.Tensor) else repr(value)
            raise NotImplementedError(
                f"{name}={shown} is not built into these kernels: leave it at its default, or use flash-attn"
            )


def check_tensors(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, names: tuple[str, str, str] = ("q", "k", "v")
) -> None:
    """Checks that three tensors are (batch, seqlen, heads, head_dim) and go together.

    Raises:
        UnsupportedError: dtype or head_dim is not served.
        ValueError: Shapes, dtypes or devices do not go together.
    """
    for name, x in zip(names, (q, k, v), strict=True):
        if x.dim() != _AXES:
            raise ValueError(
                f"{name} has shape {tuple(x.shape)}: it must be (batch, seqlen, heads, head_dim)"
            )
    q_name, k_name, v_name = names
    _check_kind(q, k, v, names)
    if k.shape != v.shape:
        raise ValueError(
            f"{k_name} {tuple(k.shape)} and {v_name} {tuple(v.shape)} differ: give both the same shape"
        )
    if q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        raise ValueError(
            f"{q_name} {tuple(q.shape)} and {k_name} {tuple(k.shape)} differ in batch or head_dim"
        )
    head_parts(q.shape[3])
    heads, kv_heads = q.shape[2], k.shape[2]
    if heads == 0 or kv_heads == 0 or heads % kv_heads:
        raise ValueError(
            f"{heads} query heads cannot share {kv_heads} KV heads: heads must be a multiple of kv_heads"
        )
    if max(q.shape[0], heads) > _GRID_LIMIT:
        raise ValueError(
            f"batch {q.shape[0]} or heads {heads} is above {_GRID_LIMIT}: call once for each part"
        )
    if max(q.shape[1], k.shape[1]) >= _INT32_LIMIT:
        raise ValueError(
            f"a length of {max(q.shape[1], k.shape[1])} does not fit 32 bits: shorten the sequence"
        )


def _check_kind(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, names: tuple[str, str, str]) -> None:
    q_name = names[0]
    if q.dtype not in DTYPE_NAMES:
        listed = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPE_NAMES)
        raise UnsupportedError(f"{q_name} is {q.dtype}: cast it to one of {listed}")
    for name, x in zip(names[1:], (k, v), strict=True):
        if x.dtype != q.dtype:
            raise ValueError(f"{name} is {x.dtype} but {q_name} is {q.dtype}: cast them to one dtype")
        if x.device != q.device:
            raise ValueError(
                f"{name} is on {x.device} but {q_name} is on {q.device}: move them to one device"
            )
    if not interpreted() and q.device.type != "cuda":
        raise ValueError(
            f"{q_name} is on {q.device}: move it to a CUDA device, or set TRITON_INTERPRET=1 before importing"
        )


def check_tiles(tiles: Mapping[str, Tile]) -> None:
    """Checks tiles that a caller brought.

    Raises:
        ValueError: A kernel name is unknown, or a size is no power of two of at least 16.
    """
    for kernel, tile in tiles.items():
        if kernel not in KERNELS:
            raise ValueError(f"kernel {kernel!r} is unknown: use one of {', '.join(KERNELS)}")
        for size in (tile.block_m, tile.block_n):
            if size < 16 or size & (size - 1):
                raise ValueError(f"block size {size} of {kernel} is no power of two from 16 on")


def lengths_of(cache_seqlens: int | torch.Tensor | None, cache: torch.Tensor) -> torch.Tensor:
    """How many keys of `cache` (batch, seqlen, …) count, as (batch,) int32 on its device.

    Raises:
        ValueError: The lengths have another shape, or are no integers, or one number is outside the cache.
    """
    batch, seqlen = cache.shape[:2]
    if isinstance(cache_seqlens, torch.Tensor):
        if cache_seqlens.shape != (batch,) or cache_seqlens.is_floating_point():
            raise ValueError(
                f"cache_seqlens {tuple(cache_seqlens.shape)} {cache_seqlens.dtype}: give ({batch},) integers"
            )
        clamped = cache_seqlens.clamp(0, seqlen)
        # Asking a GPU would make the caller wait for it; there the clamp alone keeps reads inside the cache.
        if cache_seqlens.device.type == "cpu" and not torch.equal(clamped, cache_seqlens):
            raise ValueError(f"cache_seqlens {cache_seqlens.tolist()} go outside 0 to {seqlen}, the cache")
        return clamped.to(device=cache.device, dtype=torch.int32).contiguous()
    length = seqlen if cache_seqlens is None else cache_seqlens
    if not 0 <= length <= seqlen:
        raise ValueError(f"cache_seqlens {length} is outside 0 to {seqlen}, the length of the cache")
    return torch.full((batch,), length, dtype=torch.int32, device=cache.device)
