"""What the public functions refuse before a launch. Each message is one line: the value, the limit, the way out."""

from collections.abc import Collection, Mapping, Sequence

import torch

from l4guide_kernels.dialect import interpreted
from l4guide_kernels.problem import DECODERS, DTYPE_NAMES
from l4guide_kernels.tiles import KERNELS, QUANTIZED, Tile, UnsupportedError, head_parts, tile_for

_CODED_MULTIPLE = 16
_INT32_LIMIT = 2**31
_GRID_LIMIT = 65535
_LAYOUTS = {3: "(total, heads, head_dim)", 4: "(batch, seqlen, heads, head_dim)"}


class ShapeError(ValueError, RuntimeError):
    """Tensors do not match; a ValueError, and also the RuntimeError that flash-attn raises."""


def check_tensors(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    names: tuple[str, str, str] = ("q", "k", "v"),
    axes: tuple[int, int] = (4, 4),
    same_batch: bool = True,
    coded: bool = False,
) -> None:
    """Checks that three tensors have `axes` axes (queries, keys) and go together.

    With `coded`, keys and values may be of 8 bits.

    Raises:
        UnsupportedError: dtype or head_dim is not supported.
        ShapeError: Shapes, dtypes or devices do not match.
    """
    for name, x, wanted in zip(names, (q, k, v), (axes[0], axes[1], axes[1]), strict=True):
        if x.dim() != wanted:
            raise ShapeError(f"{name} has shape {tuple(x.shape)}: it must be {_LAYOUTS[wanted]}")
    q_name, k_name, v_name = names
    _check_kind(q, k, v, names, DECODERS if coded and k.dtype == v.dtype else ())
    if k.shape[:-1] != v.shape[:-1]:
        raise ShapeError(
            f"{k_name} {tuple(k.shape)} and {v_name} {tuple(v.shape)} may differ in head_dim only: "
            "give one value per key"
        )
    if q.shape[-1] != k.shape[-1] or (same_batch and q.dim() == k.dim() == 4 and q.shape[0] != k.shape[0]):
        raise ShapeError(
            f"{q_name} {tuple(q.shape)} and {k_name} {tuple(k.shape)} must have the same batch and head_dim"
        )
    head_parts(q.shape[-1])
    head_parts(v.shape[-1])
    heads, kv_heads = q.shape[-2], k.shape[-2]
    if heads == 0 or kv_heads == 0 or heads % kv_heads:
        raise ShapeError(
            f"{heads} query heads cannot share {kv_heads} KV heads: heads must be a multiple of kv_heads"
        )
    if max(q.shape[0] if q.dim() == 4 else 0, heads) > _GRID_LIMIT:
        raise ShapeError(f"batch {q.shape[0]} or heads {heads} is above {_GRID_LIMIT}: split the call")
    if max(q.shape[-3], k.shape[-3]) >= _INT32_LIMIT:
        raise ShapeError(
            f"a length of {max(q.shape[-3], k.shape[-3])} does not fit in 32 bits: shorten the sequence"
        )


def _check_kind(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    names: tuple[str, str, str],
    codes: Collection[torch.dtype],
) -> None:
    q_name = names[0]
    if q.dtype not in DTYPE_NAMES or (q.dtype == torch.float64 and not interpreted()):
        raise UnsupportedError(f"{q_name} is {q.dtype}: cast it to one of float16, bfloat16, float32")
    for name, x in zip(names[1:], (k, v), strict=True):
        if x.dtype != q.dtype and x.dtype not in codes:
            raise ShapeError(f"{name} is {x.dtype} but {q_name} is {q.dtype}: cast them to one dtype")
        if x.device != q.device:
            raise ShapeError(
                f"{name} is on {x.device} but {q_name} is on {q.device}: move them to one device"
            )
    if not interpreted() and q.device.type != "cuda":
        raise ShapeError(
            f"{q_name} is on {q.device}: move it to a CUDA device, or set TRITON_INTERPRET=1 before importing"
        )


def readable(x: torch.Tensor) -> bool:
    """Whether values can be looked at: not while tracing, nor on a GPU, which the caller would wait for."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def check_packed(packed: torch.Tensor, name: str, count: int, axes: int) -> None:
    """Checks that `count` tensors lie side by side before the heads of `packed`.

    Raises:
        ShapeError: They do not.
    """
    if packed.dim() != axes or packed.shape[-3] != count:
        front = "batch, seqlen" if axes == 5 else "total"
        raise ShapeError(
            f"{name} has shape {tuple(packed.shape)}: it must be ({front}, {count}, heads, head_dim)"
        )


def check_tiles(tiles: Mapping[str, Tile]) -> None:
    """Checks tiles that a caller brought.

    Raises:
        ValueError: A kernel name is unknown, or a size is not a power of two of at least 16.
    """
    for kernel, tile in tiles.items():
        if kernel not in KERNELS + QUANTIZED:
            raise ValueError(f"kernel {kernel!r} is unknown: use one of {', '.join(KERNELS + QUANTIZED)}")
        for size in (tile.block_m, tile.block_n):
            if size < 16 or size & (size - 1):
                raise ValueError(f"block size {size} of {kernel} must be a power of two, at least 16")


def check_codes(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, arch: int) -> None:
    """Checks a cache of 8 bits; any other goes through.

    Raises:
        UnsupportedError: `arch` has no such type, or head_dim does not fill 16 bytes.
    """
    if k.dtype not in DECODERS:
        return
    tile_for(DECODERS[k.dtype], k.shape[-1], DTYPE_NAMES[q.dtype], arch)
    for head_dim in (k.shape[-1], v.shape[-1]):
        if head_dim % _CODED_MULTIPLE:
            raise UnsupportedError(
                f"head_dim {head_dim} of a cache of {k.dtype} must be a multiple of {_CODED_MULTIPLE}, so that "
                "rows are aligned to 16 bytes: keep this cache in q's dtype"
            )


def descale(x: torch.Tensor | None, name: str, q: torch.Tensor, cache: torch.Tensor) -> torch.Tensor | None:
    """Factors of a cache of 8 bits as (batch, kv_heads), contiguous.

    Raises:
        ShapeError: They are not fp32 (kv_heads,) or (batch, kv_heads) on q's device, or the cache is not of 8 bits.
    """
    if x is None:
        return None
    batch, kv_heads = q.shape[0], cache.shape[-2]
    if cache.dtype not in DECODERS:
        raise ShapeError(
            f"{name} with a cache of {cache.dtype}: scale factors apply to int8 and float8_e4m3fn only"
        )
    if x.dtype != torch.float32 or x.device != q.device:
        raise ShapeError(f"{name} is {x.dtype} on {x.device}: it must be float32 on {q.device}")
    if tuple(x.shape) not in {(kv_heads,), (batch, kv_heads)}:
        raise ShapeError(
            f"{name} has shape {tuple(x.shape)}: it must be ({kv_heads},) or ({batch}, {kv_heads})"
        )
    return x.expand(batch, kv_heads).contiguous()


def check_dropout(dropout_p: float) -> None:
    """Checks a share of weights to drop.

    Raises:
        ShapeError: It is outside [0, 1).
    """
    if not 0.0 <= dropout_p < 1.0:
        raise ShapeError(f"dropout_p {dropout_p} must be at least 0 and below 1")


def window_bounds(window_size: Sequence[int]) -> tuple[int | None, int | None]:
    """flash-attn's window (left, right) with None for the side that -1 leaves open.

    Raises:
        ShapeError: There are not two integers, or one is below -1.
    """
    bounds = tuple(window_size)
    if len(bounds) != 2 or any(bound < -1 for bound in bounds):
        raise ShapeError(f"window_size {bounds} must be (left, right), each at least 0, or -1 for no bound")
    left, right = (None if bound == -1 else int(bound) for bound in bounds)
    return left, right


def check_slopes(slopes: torch.Tensor | None, batch: int, q: torch.Tensor) -> None:
    """Checks ALiBi's slopes.

    Raises:
        ShapeError: They are not fp32 (heads,) or (batch, heads) on q's device.
    """
    if slopes is None:
        return
    heads = q.shape[-2]
    if slopes.dtype != torch.float32 or slopes.device != q.device:
        raise ShapeError(
            f"alibi_slopes is {slopes.dtype} on {slopes.device}: it must be float32 on {q.device}"
        )
    if tuple(slopes.shape) not in {(heads,), (batch, heads)}:
        raise ShapeError(
            f"alibi_slopes has shape {tuple(slopes.shape)}: it must be ({heads},) or ({batch}, {heads})"
        )


def check_sink(sink: torch.Tensor | None, q: torch.Tensor) -> None:
    """Checks a sink's scores.

    Raises:
        ShapeError: They are not (heads,) of a floating type on q's device.
    """
    if sink is None:
        return
    if tuple(sink.shape) != (q.shape[-2],) or not sink.is_floating_point() or sink.device != q.device:
        raise ShapeError(
            f"learnable_sink {tuple(sink.shape)} {sink.dtype} on {sink.device}: it must be ({q.shape[-2]},), "
            f"a floating type, on {q.device}"
        )


def check_offsets(
    offsets: torch.Tensor, name: str, rows: int | None, most: int, device: torch.device
) -> None:
    """Checks where the sequences of a varlen batch begin.

    `rows` is how many rows there are; None where they do not count from these offsets (a paged cache).

    Raises:
        ShapeError: They are not (batch + 1,) int32 on `device`, or, where they can be read without waiting for a
            GPU, fall, go beyond the rows, or hold a sequence longer than `most`.
    """
    if offsets.dim() != 1 or offsets.shape[0] < 1 or offsets.dtype != torch.int32 or offsets.device != device:
        raise ShapeError(
            f"{name} {tuple(offsets.shape)} {offsets.dtype} on {offsets.device}: it must be (batch + 1,) int32 "
            f"on {device}"
        )
    if offsets.shape[0] - 1 > _GRID_LIMIT:
        raise ShapeError(f"batch {offsets.shape[0] - 1} is above {_GRID_LIMIT}: split the call")
    if not readable(offsets):
        return
    lengths = offsets.diff()
    if int(offsets[0]) < 0 or bool((lengths < 0).any()) or (rows is not None and int(offsets[-1]) > rows):
        raise ShapeError(f"{name} {offsets.tolist()} must rise from 0 to at most {rows}, the number of rows")
    if lengths.numel() and int(lengths.max()) > most:
        raise ShapeError(
            f"{name} contains a sequence of length {int(lengths.max())}: max_seqlen {most} must be at least that"
        )


def check_pages(pages: torch.Tensor, batch: int, device: torch.device) -> None:
    """Checks a block table.

    Raises:
        ShapeError: It is not (batch, pages) int32 with contiguous rows on `device`.
    """
    if pages.dim() != 2 or pages.shape[0] != batch or pages.dtype != torch.int32 or pages.device != device:
        raise ShapeError(
            f"block_table {tuple(pages.shape)} {pages.dtype} on {pages.device}: it must be ({batch}, pages) "
            f"int32 on {device}"
        )
    if pages.stride(1) != 1 and pages.shape[1] > 1:
        raise ShapeError(f"block_table has strides {pages.stride()}: call contiguous() on it")


def integers(x: torch.Tensor, name: str, batch: int, device: torch.device) -> torch.Tensor:
    """`x`, one integer a sequence, as (batch,) int32 on `device`.

    Raises:
        ShapeError: It has another shape, or is of no integer type.
    """
    if x.shape != (batch,) or x.is_floating_point():
        raise ShapeError(f"{name} {tuple(x.shape)} {x.dtype}: it must be ({batch},) integers")
    return x.to(device=device, dtype=torch.int32).contiguous()


def lengths_of(
    cache_seqlens: int | torch.Tensor | None, batch: int, capacity: int, device: torch.device
) -> torch.Tensor:
    """How many keys of each cache count, as (batch,) int32; all of its `capacity` when None.

    Raises:
        ShapeError: The lengths have another shape, or are no integers, or are outside the cache.
    """
    if isinstance(cache_seqlens, torch.Tensor):
        lengths = integers(cache_seqlens, "cache_seqlens", batch, device)
        if readable(cache_seqlens) and not bool(((lengths >= 0) & (lengths <= capacity)).all()):
            raise ShapeError(
                f"cache_seqlens {cache_seqlens.tolist()} must be from 0 to {capacity}, the length of the cache"
            )
        return lengths
    length = capacity if cache_seqlens is None else cache_seqlens
    if not 0 <= length <= capacity:
        raise ShapeError(f"cache_seqlens {length} must be from 0 to {capacity}, the length of the cache")
    return torch.full((batch,), length, dtype=torch.int32, device=device)
