"""What makes a tile fit: the smallest changes to it that keep within the limit and do not spill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from l4guide.catalogue import Gpu
from l4guide.errors import CannotDo
from l4guide.frozen import frozen
from l4guide.resources.occupancy import occupancy
from l4guide.resources.specialisation import Figures, Specialisation
from l4guide.text import say

if TYPE_CHECKING:
    from l4guide_kernels.tiles import Tile

PARTS = ("block_m", "block_n", "warps", "stages")
SHOWN = 3
#: Compilations that a search may cost; of equally small changes only the first few are tried, since a tile
#: that spills at one size mostly spills at its neighbours, and a clearly smaller one settles it sooner.
TRIED = 8
TRIED_PER_SIZE = 2
SMALLEST_BLOCK = 16
MOST_WARPS = 8

#: Finds the figures of a specialisation, or None where they are unknown.
Find = Callable[[Specialisation], Figures | None]


@frozen
class Fix:
    """One tile that fits, the parts in which it differs as (name, from, to), and what it needs."""

    tile: Tile
    changes: tuple[tuple[str, int, int], ...]
    figures: Figures
    ctas_per_sm: int | None

    def say(self, language: str = "en") -> str:
        """The change and its bytes in one line."""
        steps = ", ".join(f"{name} {old} → {new}" for name, old, new in self.changes)
        return say("resources.fix", language, changes=steps, shared_bytes=self.figures.shared_bytes)

    def to_json(self) -> dict[str, object]:
        """Plain values; what is unknown is absent."""
        found: dict[str, object] = {
            "text": self.say(),
            "tile": tile_json(self.tile),
            "shared_bytes": self.figures.shared_bytes,
            "registers": self.figures.registers,
            "spill_bytes": self.figures.spill_bytes,
            "ctas_per_sm": self.ctas_per_sm,
            "basis": self.figures.basis,
            "triton_version": self.figures.triton_version,
        }
        return {name: value for name, value in found.items() if value is not None}


def tile_json(tile: Tile) -> dict[str, int]:
    """A tile as an object with its four numbers."""
    return {name: getattr(tile, name) for name in PARTS}


def changes_between(old: Tile, new: Tile) -> tuple[tuple[str, int, int], ...]:
    """The parts in which two tiles differ."""
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in PARTS)
    return tuple(pair for pair in pairs if pair[1] != pair[2])


def candidates(tile: Tile) -> Iterator[tuple[int, Tile]]:
    """Tiles near `tile`, smallest change first: stages less by one, a block halved, warps doubled.

    Among equally small changes the pipeline gives way before the blocks, since fewer stages leave the
    arithmetic as it is, and the larger area wins, since it reads memory less often.

    Yields:
        The number of steps, and the tile.
    """
    options = product(
        _halvings(tile.block_m),
        _halvings(tile.block_n),
        [(0, tile.warps)] + [(1, 2 * tile.warps)] * (2 * tile.warps <= MOST_WARPS),
        [(tile.stages - s, s) for s in range(tile.stages, 0, -1)],
    )
    ranked = []
    for (m_steps, m), (n_steps, n), (w_steps, warps), (s_steps, stages) in options:
        steps = m_steps + n_steps + w_steps + s_steps
        if steps:
            new = replace(tile, block_m=m, block_n=n, warps=warps, stages=stages)
            ranked.append((steps, m_steps + n_steps, w_steps, -m * n, abs(m - n), new))
    for entry in sorted(ranked, key=lambda entry: entry[:-1]):
        yield entry[0], entry[-1]


def _halvings(block: int) -> list[tuple[int, int]]:
    sizes = [(0, block)]
    while sizes[-1][1] // 2 >= SMALLEST_BLOCK:
        sizes.append((len(sizes), sizes[-1][1] // 2))
    return sizes


def fits_without_spills(gpu: Gpu, figures: Figures) -> bool:
    """Whether the shared memory is within the card's limit and nothing known is spilled."""
    limit = gpu.shared_bytes_per_block
    return limit is not None and figures.shared_bytes <= limit and not figures.spill_bytes


def fixes_for(
    gpu: Gpu, wanted: Specialisation, default: Tile, *, estimate: Find, prove: Find
) -> tuple[Fix, ...]:
    """Up to `SHOWN` fixes, smallest change first.

    Args:
        gpu: the card that the tile should fit.
        wanted: the specialisation that does not.
        default: the tile that this kernel runs with by itself; the last resort.
        estimate: cheap figures, by which hopeless candidates are dropped.
        prove: the figures that are shown; it is asked at most `TRIED` times, and once more for `default`.
    """
    found: list[Fix] = []
    tried: Counter[int] = Counter()
    for steps, tile in candidates(wanted.tile):
        if len(found) == SHOWN or tried.total() == TRIED:
            break
        if tried[steps] == TRIED_PER_SIZE:
            continue
        new = replace(wanted, tile=tile)
        cheap = estimate(new)
        if cheap is None or not fits_without_spills(gpu, cheap) or _covered(wanted.tile, tile, found):
            continue
        tried[steps] += 1
        _accept(found, gpu, wanted.tile, new, prove)
    if default != wanted.tile and default not in [fix.tile for fix in found]:
        del found[SHOWN - 1 :]
        _accept(found, gpu, wanted.tile, replace(wanted, tile=default), prove)
    return tuple(found)


def _accept(found: list[Fix], gpu: Gpu, old: Tile, new: Specialisation, prove: Find) -> None:
    """Append `new` if its proven figures hold up; a tile that the compiler refuses is no fix."""
    try:
        figures = prove(new)
    except CannotDo:
        return
    if figures is None or not fits_without_spills(gpu, figures):
        return
    resident = occupancy(
        gpu, shared_bytes=figures.shared_bytes, registers=figures.registers, warps=new.tile.warps
    )
    found.append(
        Fix(
            tile=new.tile,
            changes=changes_between(old, new.tile),
            figures=figures,
            ctas_per_sm=resident.ctas_per_sm if resident else None,
        )
    )


def _covered(old: Tile, new: Tile, found: list[Fix]) -> bool:
    """Whether a fix already found is part of this change: going further the same way helps nobody."""
    return any(
        all(_between(old_value, value, getattr(new, name)) for name, old_value, value in fix.changes)
        for fix in found
    )


def _between(old: int, value: int, new: int) -> bool:
    return new <= value < old or old < value <= new
