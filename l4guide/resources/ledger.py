"""The shared-memory ledger of one block: what holds how many bytes, against the limit of a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from l4guide.catalogue import Gpu
from l4guide.frozen import frozen
from l4guide.resources.answer import Resources
from l4guide.resources.layouts import Part, parts_of, source_of
from l4guide.tiles import PublishedTile, published_tiles

if TYPE_CHECKING:
    from l4guide_kernels.tiles import Tile

OURS = "l4guide"
#: The published passes that a kernel of ours is compared with.
PASSES = {
    "forward": "forward",
    "backward-dkdv": "backward",
    "backward-dq": "backward",
    "decode": "split-kv",
}
#: The card that the large tiles were written for; its tile stands beside the asked card's where it is another one.
REFERENCE_CAPABILITY = "8.0"


@frozen
class Ledger:
    """The buffers of one block, which add up to `total_bytes`.

    `pass_name` is a kernel's or a published pass; `versions` are those that have the tile, empty for our kernels.
    `capabilities` are those that launch a published tile. `limit_bytes` and `fits` are None where a card's limit
    is not known. `kind` is "compiled", "published" or "estimated"; `source` is a catalogue key, None for our kernels.
    """

    library: str
    versions: str
    pass_name: str
    capabilities: tuple[str, ...]
    head_dim: int
    block_m: int
    block_n: int
    warps: int
    stages: int | None
    parts: tuple[Part, ...]
    total_bytes: int
    limit_bytes: int | None
    kind: str
    source: str | None
    place: str

    @property
    def fits(self) -> bool | None:
        """Whether one block is within the card's limit."""
        return None if self.limit_bytes is None else self.total_bytes <= self.limit_bytes

    def to_json(self) -> dict[str, object]:
        """Plain values; what is unknown is absent."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found["parts"] = [
            {"name": part.name, "shared_bytes": part.shared_bytes, "formula": part.formula}
            for part in self.parts
        ]
        found["fits"] = self.fits
        return {name: value for name, value in found.items() if value is not None}


def ledger_of(item: PublishedTile | Resources, gpu: Gpu) -> Ledger:
    """The ledger of a published tile, or of our kernel as `resources_for` found it, against the limit of `gpu`."""
    if isinstance(item, Resources):
        return _own(item, gpu)
    whole = (Part(name="whole", shared_bytes=item.shared_bytes, formula=""),)
    parts = parts_of(item) or whole
    return Ledger(
        library=item.library,
        versions=item.versions,
        pass_name=item.pass_name,
        capabilities=item.capabilities,
        head_dim=item.head_dim_high,
        block_m=item.block_m,
        block_n=item.block_n,
        warps=item.warps,
        stages=None,
        parts=parts,
        total_bytes=sum(part.shared_bytes for part in parts),
        limit_bytes=gpu.shared_bytes_per_block,
        kind="published",
        source=source_of(item),
        place=item.place,
    )


def published_ledgers(
    gpu: Gpu, kernel: str, head_dim: int, *, causal: bool = True, dropout: bool = False
) -> tuple[Ledger, ...]:
    """The published tiles that do the work of our `kernel`: the card's own, and the A100's where they differ."""
    wanted = {gpu.capability, REFERENCE_CAPABILITY}
    return tuple(
        ledger_of(tile, gpu)
        for tile in published_tiles()
        if wanted & set(tile.capabilities)
        and tile.serves(pass_name=PASSES[kernel], head_dim=head_dim, causal=causal, dropout=dropout)
    )


def _own(item: Resources, gpu: Gpu) -> Ledger:
    tile = item.tile
    return Ledger(
        library=OURS,
        versions="",
        pass_name=item.kernel,
        capabilities=(),
        head_dim=item.head_dim,
        block_m=tile.block_m,
        block_n=tile.block_n,
        warps=tile.warps,
        stages=tile.stages,
        parts=_own_parts(item),
        total_bytes=item.shared_bytes,
        limit_bytes=gpu.shared_bytes_per_block,
        kind=item.kind,
        source=None,
        place="kernels/l4guide_kernels/tiles.py",
    )


def _own_parts(item: Resources) -> tuple[Part, ...]:
    """The parts of the closed formula; what the compiler took beyond them is shown as its own."""
    from l4guide_kernels.tiles import shared_parts

    known = None
    if item.head_dim_v == item.head_dim:
        known = shared_parts(
            item.tile, kernel=item.kernel, head_dim=item.head_dim, dtype=item.dtype, arch=item.arch
        )
    beyond = item.shared_bytes - sum((known or {}).values())
    if known is None or beyond < 0:
        return (Part(name="whole", shared_bytes=item.shared_bytes, formula=""),)
    parts = [
        Part(name=_name(item.kernel, name), shared_bytes=size, formula=_formula(item, name, size))
        for name, size in known.items()
    ]
    if beyond:
        parts.append(Part(name="compiler", shared_bytes=beyond, formula=""))
    return tuple(parts)


def _name(kernel: str, part: str) -> str:
    exchanged = {"backward-dkdv": "p_ds", "backward-dq": "ds"}.get(kernel, "p")
    return exchanged if part == "exchange" else part


def _formula(item: Resources, part: str, size: int) -> str:
    """The bytes of a part in letters: M = block_m, N = block_n, d = padded head_dim."""
    tile: Tile = item.tile
    rows, letter = (tile.block_m, "M") if _has_queries(part) else (tile.block_n, "N")
    if part == "exchange":
        return "M·N·2 B"
    if part == "lse_delta":
        times = size // (2 * 4 * tile.block_m)
        return f"{times}·2·M·4 B" if times > 1 else "2·M·4 B"
    from l4guide_kernels.tiles import head_parts

    times = size // (rows * sum(head_parts(item.head_dim)) * 2)
    return f"{times}·{letter}·d·2 B" if times > 1 else f"{letter}·d·2 B"


def _has_queries(part: str) -> bool:
    return part in {"q", "do"}
