"""Tiles worth trying on a card: our own, FlashAttention-2's, one that is too large, one that must spill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from l4guide.catalogue import Gpu
from l4guide.resources.answer import TILE_LIMITS
from l4guide.resources.fixes import SMALLEST_BLOCK
from l4guide.resources.ledger import PASSES
from l4guide.resources.specialisation import by_formula, specialise
from l4guide.tiles import published_tiles

if TYPE_CHECKING:
    from l4guide_kernels.tiles import Tile

#: The library and release whose tile is offered. It has no pipeline of Triton's kind; two stages come nearest, with
#: which one block is loaded while another is worked on.
PUBLISHED = ("flash-attn", "2.8.3")
PUBLISHED_STAGES = 2
#: A thread has no more registers than this.
MOST_REGISTERS = 255
THREADS_PER_WARP = 32
#: Here accumulators live in a memory of the tensor cores' own, so that counting them says nothing of registers.
TENSOR_MEMORY_ARCHS = (100, 103)


def presets(gpu: Gpu, kernel: str, head_dim: int, dtype: str, *, causal: bool = True) -> dict[str, Tile]:
    """Tiles by name: "default", "published", "too_large" and "spilling"; one that there is none of is absent.

    The question must be one that `resources_for` answers. Nothing is compiled: that a tile is too large follows from
    the closed formula, that it spills from its accumulators, which alone are more than the registers.
    """
    from l4guide_kernels.tiles import tile_for

    assert gpu.arch is not None
    default = tile_for(kernel, head_dim, dtype, gpu.arch)
    found = {
        "default": default,
        "published": _published(gpu, kernel, head_dim, causal),
        "too_large": next(_too_large(gpu, kernel, head_dim, dtype, default), None),
        "spilling": next(_spilling(gpu, kernel, head_dim, dtype), None),
    }
    return {name: tile for name, tile in found.items() if tile is not None}


def _published(gpu: Gpu, kernel: str, head_dim: int, causal: bool) -> Tile | None:
    from l4guide_kernels.tiles import Tile

    library, version = PUBLISHED
    for tile in published_tiles():
        if (
            tile.library == library
            and tile.covers(version)
            and gpu.capability in tile.capabilities
            and tile.serves(pass_name=PASSES[kernel], head_dim=head_dim, causal=causal, dropout=False)
        ):
            return Tile(block_m=tile.block_m, block_n=tile.block_n, warps=tile.warps, stages=PUBLISHED_STAGES)
    return None


def _bytes(gpu: Gpu, kernel: str, head_dim: int, dtype: str, tile: Tile) -> int | None:
    assert gpu.arch is not None
    figures = by_formula(specialise(kernel, head_dim=head_dim, dtype=dtype, arch=gpu.arch, tile=tile))
    return None if figures is None else figures.shared_bytes


def _too_large(gpu: Gpu, kernel: str, head_dim: int, dtype: str, default: Tile) -> Iterator[Tile]:
    """Tiles over the card's limit: the default with larger blocks, then with a deeper pipeline too."""
    assert gpu.shared_bytes_per_block is not None
    most = TILE_LIMITS["block_n"][1]
    for stages, growth in product(range(max(default.stages, 2), TILE_LIMITS["stages"][1] + 1), (1, 2, 4, 8)):
        block_m, block_n = min(default.block_m * growth, most), min(default.block_n * growth, most)
        tile = replace(default, block_m=block_m, block_n=block_n, stages=stages)
        needed = _bytes(gpu, kernel, head_dim, dtype, tile)
        if needed is not None and needed > gpu.shared_bytes_per_block:
            yield tile


def _spilling(gpu: Gpu, kernel: str, head_dim: int, dtype: str) -> Iterator[Tile]:
    """Tiles that fit, smallest first, whose accumulators alone are more than the registers of their threads."""
    from l4guide_kernels.tiles import Tile

    assert gpu.shared_bytes_per_block is not None
    if gpu.arch in TENSOR_MEMORY_ARCHS:
        return
    sizes = [
        1 << bit for bit in range(SMALLEST_BLOCK.bit_length() - 1, TILE_LIMITS["block_m"][1].bit_length())
    ]
    tiles = [
        Tile(block_m=m, block_n=n, warps=warps, stages=2) for m, n, warps in product(sizes, sizes, (4, 8))
    ]
    for tile in sorted(tiles, key=lambda tile: (tile.warps, accumulated(kernel, head_dim, tile))):
        threads = tile.warps * THREADS_PER_WARP
        needed = _bytes(gpu, kernel, head_dim, dtype, tile)
        fits = needed is not None and needed <= gpu.shared_bytes_per_block
        if fits and accumulated(kernel, head_dim, tile) > MOST_REGISTERS * threads:
            yield tile


def accumulated(kernel: str, head_dim: int, tile: Tile) -> int:
    """Numbers in fp32 that a program holds at once: its output's accumulators and one block of scores."""
    from l4guide_kernels.tiles import head_parts

    columns, scores = sum(head_parts(head_dim)), tile.block_m * tile.block_n
    if kernel == "backward-dkdv":
        return 2 * tile.block_n * columns + scores
    return tile.block_m * columns + scores
