"""What is compiled once: a kernel for one architecture, head split, type and tile; and what it then needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from l4guide.resources.mix import Mix

if TYPE_CHECKING:
    from l4guide_kernels.tiles import Tile

#: Heads reach the kernels padded to a multiple of this many columns, so that 16-byte loads stay aligned.
HEAD_MULTIPLE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialisation:
    """One compiled form of a kernel.

    `head_parts` are the column blocks that a head is cut into (72 and 80 are both 64+16); `masked` says that
    some of their columns lie beyond the head (72) or none (80). Head dims that agree in both share it.
    """

    kernel: str
    arch: int
    head_parts: tuple[int, int]
    masked: bool
    dtype: str
    causal: bool
    tile: Tile

    @property
    def head_dim(self) -> int:
        """The widest head dim that this specialisation serves, with which it is compiled."""
        return sum(self.head_parts) - (HEAD_MULTIPLE if self.masked else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Needs of one specialisation. The closed formula knows the shared memory alone.

    `basis` is "compiled" (just now), "recorded" (by the same compiler, earlier) or "formula". `spill_bytes`
    is ptxas's spill stores plus spill loads per thread; `stack_bytes` is the stack frame. `instructions` are those of
    the inner loop. `code` is the digest of the kernel that was recorded.
    """

    basis: str
    shared_bytes: int
    registers: int | None = None
    spill_bytes: int | None = None
    stack_bytes: int | None = None
    triton_version: str | None = None
    instructions: Mix | None = None
    code: str | None = None


def specialise(
    kernel: str, *, head_dim: int, dtype: str, arch: int, tile: Tile | None = None, causal: bool = True
) -> Specialisation:
    """The specialisation that serves `head_dim`, with the default tile unless one is given."""
    from l4guide_kernels.tiles import head_parts, tile_for

    parts = head_parts(head_dim)
    return Specialisation(
        kernel=kernel,
        arch=arch,
        head_parts=parts,
        masked=-(-head_dim // HEAD_MULTIPLE) * HEAD_MULTIPLE < sum(parts),
        dtype=dtype,
        causal=causal,
        tile=tile or tile_for(kernel, head_dim, dtype, arch),
    )


def by_formula(wanted: Specialisation) -> Figures | None:
    """Shared memory by the closed formula; None where the formula does not cover the tile."""
    from l4guide_kernels.tiles import shared_bytes

    found = shared_bytes(
        wanted.tile,
        kernel=wanted.kernel,
        head_dim=wanted.head_dim,
        dtype=wanted.dtype,
        arch=wanted.arch,
    )
    return None if found is None else Figures(basis="formula", shared_bytes=found)
