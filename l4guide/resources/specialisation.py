"""What is compiled once: a kernel for one architecture, head split, type and tile; and what it then needs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from l4guide.frozen import frozen
from l4guide.resources.mix import Mix

if TYPE_CHECKING:
    from l4guide_kernels.tiles import Tile
_HALF = ("bf16", "fp16")


@frozen
class Specialisation:
    """One compiled form of a kernel.

    `head_parts` are the column blocks that a head is cut into (72 and 80 are both 64+16); `masked` says that
    some of their columns lie beyond the head (72) or none (80). `head_parts_v` and `masked_v` are those of a value.
    Head dims that agree in all share it.
    """

    kernel: str
    arch: int
    head_parts: tuple[int, int]
    masked: bool
    head_parts_v: tuple[int, int]
    masked_v: bool
    dtype: str
    causal: bool
    tile: Tile

    @property
    def head_dim(self) -> int:
        """The widest head dim that this specialisation serves, with which it is compiled."""
        return _widest(self.head_parts, self.masked)

    @property
    def head_dim_v(self) -> int:
        """The same of a value."""
        return _widest(self.head_parts_v, self.masked_v)

    @property
    def twins(self) -> tuple[Specialisation, ...]:
        """Those that differ in the mask or the 16-bit type alone, which take the same shared memory."""
        dtypes = _HALF if self.dtype in _HALF else (self.dtype,)
        return tuple(
            replace(self, causal=causal, dtype=dtype)
            for causal, dtype in product((True, False), dtypes)
            if (causal, dtype) != (self.causal, self.dtype)
        )


@frozen
class Figures:
    """Needs of one specialisation. The closed formula knows the shared memory alone.

    `basis` is "compiled" (just now), "recorded" (by the same compiler, earlier) or "formula" (calculated, or recorded
    of a specialisation that must take the same shared memory: see `Specialisation.twins`). `spill_bytes`
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
    kernel: str,
    *,
    head_dim: int,
    dtype: str,
    arch: int,
    tile: Tile | None = None,
    causal: bool = True,
    head_dim_v: int | None = None,
) -> Specialisation:
    """The specialisation that serves these head dims (`head_dim_v` None: the same), with the default tile unless given.

    The default tile is that of the wider of the two, as the kernels choose it.
    """
    from l4guide_kernels.tiles import tile_for

    head_dim_v = head_dim if head_dim_v is None else head_dim_v
    parts, masked = _columns(head_dim)
    parts_v, masked_v = _columns(head_dim_v)
    return Specialisation(
        kernel=kernel,
        arch=arch,
        head_parts=parts,
        masked=masked,
        head_parts_v=parts_v,
        masked_v=masked_v,
        dtype=dtype,
        causal=causal,
        tile=tile or tile_for(kernel, max(head_dim, head_dim_v), dtype, arch),
    )


def _widest(parts: tuple[int, int], masked: bool) -> int:
    """The most columns of a head that these blocks hold, or the most that leave some of theirs over."""
    from l4guide_kernels.tiles import HEAD_MULTIPLE

    return sum(parts) - (HEAD_MULTIPLE if masked else 0)


def _columns(head_dim: int) -> tuple[tuple[int, int], bool]:
    """The column blocks of a head, and whether some of their columns lie beyond it."""
    from l4guide_kernels.tiles import HEAD_MULTIPLE, head_parts

    parts = head_parts(head_dim)
    return parts, -(-head_dim // HEAD_MULTIPLE) * HEAD_MULTIPLE < sum(parts)


def by_formula(wanted: Specialisation) -> Figures | None:
    """Shared memory by the closed formula; None where it does not cover the tile, or values of their own width."""
    from l4guide_kernels.tiles import shared_bytes

    if wanted.head_parts_v != wanted.head_parts:
        return None
    found = shared_bytes(
        wanted.tile,
        kernel=wanted.kernel,
        head_dim=wanted.head_dim,
        dtype=wanted.dtype,
        arch=wanted.arch,
    )
    return None if found is None else Figures(basis="formula", shared_bytes=found)
