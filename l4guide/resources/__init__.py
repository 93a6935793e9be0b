"""What a kernel needs of a chip: shared memory, registers, spills, occupancy, and what makes a tile fit.

Answers come from the record under `data/resources/`, from the closed formula, or from Triton's own compiler,
which needs no GPU. Every figure says which.
"""

from l4guide.resources.answer import Resources, resources_for
from l4guide.resources.fixes import Fix

__all__ = ["Fix", "Resources", "resources_for"]
