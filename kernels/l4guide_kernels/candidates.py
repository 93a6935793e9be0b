"""Which tiles are worth a trial: the table's and those near it that fit. Pure, as the tables are."""

from dataclasses import fields, replace
from itertools import product
from typing import Any

from l4guide_kernels.tiles import Tile, can_box, head_parts, shared_bytes, tile_for

#: Shared memory that one program may have, in bytes.
LIMIT_BYTES = {80: 166912, 86: 101376, 89: 101376, 90: 232448, 100: 232448, 103: 232448, 120: 101376}
#: Of the 255 registers of a thread the accumulators leave the rest to addresses, operands and row sums.
MOST_ACCUMULATORS = 192
MOST_CHANGES = 2
BLOCKS = (16, 256)
DECODE_ROWS = (16, 64)
WARPS = (4, 8)
STAGES = (2, 4)


def candidates(kernel: str, *, head_dim: int, dtype: str, arch: int) -> tuple[Tile, ...]:
    """The table's tile first, then its neighbours, those that differ in one number before those in two.

    A block is halved or doubled, the pipeline made one stage deeper or shallower, the warps four or eight, and where
    boxes can fetch the keys, threads may instead. Left out is what by the closed formula does not fit the shared
    memory, and what by its accumulators alone must spill. Where the formula is silent a candidate stays: the launch
    refuses it if it does not fit.

    Raises:
        UnsupportedError: `kernel`, `head_dim`, `dtype` or `arch` is not supported.
    """
    first = tile_for(kernel, head_dim, dtype, arch)
    near = [
        Tile(block_m=block_m, block_n=block_n, warps=warps, stages=stages, boxes=boxes)
        for block_m, block_n, warps, stages, boxes in product(
            _around(first.block_m, *(DECODE_ROWS if kernel == "decode" else BLOCKS)),
            _around(first.block_n, *BLOCKS),
            WARPS,
            [depth for depth in range(first.stages - 1, first.stages + 2) if STAGES[0] <= depth <= STAGES[1]],
            [True, False] if can_box(kernel, dtype, arch) else [first.boxes],
        )
    ]
    worth = [
        tile
        for tile in near
        if 0 < _changes(first, tile) <= MOST_CHANGES
        and _accumulators(tile, kernel, head_dim) <= MOST_ACCUMULATORS
        and _least_bytes(tile, kernel=kernel, head_dim=head_dim, dtype=dtype, arch=arch) <= LIMIT_BYTES[arch]
    ]
    return (first, *sorted(worth, key=lambda tile: _changes(first, tile)))


def _around(block: int, least: int, most: int) -> list[int]:
    return [size for size in (block // 2, block, block * 2) if least <= size <= most]


def _changes(first: Tile, tile: Tile) -> int:
    return sum(getattr(first, field.name) != getattr(tile, field.name) for field in fields(Tile))


def _least_bytes(tile: Tile, **asked: Any) -> int:  # noqa: ANN401 - what `shared_bytes` takes
    """What it takes by the formula, and in boxes at least, of which the formula does not speak; 0 where unknown."""
    return shared_bytes(replace(tile, boxes=False), **asked) or 0


def _accumulators(tile: Tile, kernel: str, head_dim: int) -> float:
    """fp32 values that a thread keeps through the loop: what is summed, and the products of one step."""
    width, scores = sum(head_parts(head_dim)), tile.block_m * tile.block_n
    kept = {
        "backward-dkdv": 2 * tile.block_n * width + 2 * scores,
        "backward-dq": tile.block_m * width + 2 * scores,
    }.get(kernel, tile.block_m * width + scores)
    return kept / (32 * tile.warps)
