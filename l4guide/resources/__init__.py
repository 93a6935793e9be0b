"""What a kernel needs of a chip: shared memory and what holds it, registers, spills, occupancy, instructions, fixes.

Answers come from the record under `data/resources/`, from the closed formula, or from Triton's own compiler,
which needs no GPU. Every figure says which.
"""

from l4guide.resources.answer import MOST_COMPILED, TILE_LIMITS, Resources, resources_for
from l4guide.resources.comparison import Change, changes
from l4guide.resources.fixes import Fix
from l4guide.resources.layouts import Part
from l4guide.resources.ledger import PASSES, Ledger, ledger_of, published_ledgers
from l4guide.resources.mix import Mix
from l4guide.resources.presets import presets

__all__ = [
    "MOST_COMPILED",
    "PASSES",
    "TILE_LIMITS",
    "Change",
    "Fix",
    "Ledger",
    "Mix",
    "Part",
    "Resources",
    "changes",
    "ledger_of",
    "presets",
    "published_ledgers",
    "resources_for",
]
