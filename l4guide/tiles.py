"""Tiles that attention libraries publish in their sources, with the shared memory of one block, from `data/tiles/`."""

from collections.abc import Collection
from dataclasses import fields
from functools import cache
from pathlib import Path

from packaging.specifiers import SpecifierSet

from l4guide.catalogue import data_folder, sources
from l4guide.frozen import frozen
from l4guide.table import read_rows


@frozen
class PublishedTile:
    """One tile of one library: `block_m` queries by `block_n` keys, and the bytes that its block asks for.

    An empty `causal` or `dropout` means either. `shared_bytes` was printed by compiling the library's own header,
    or follows from its source, as `evidence` says. `q_stages` and `v_in_registers` are the two knobs with which a
    backward kernel saves shared memory; None where the library has no such choice or it is not known.
    """

    library: str
    versions: str
    pass_name: str
    head_dim_low: int
    head_dim_high: int
    capabilities: tuple[str, ...]
    causal: str
    dropout: str
    block_m: int
    block_n: int
    warps: int
    shared_bytes: int
    q_stages: int | None
    v_in_registers: bool | None
    note: str
    evidence: str
    source: str
    place: str

    def serves(self, *, pass_name: str, head_dim: int, causal: bool, dropout: bool) -> bool:
        """Whether a call of this kind launches this tile on its cards."""
        return (
            self.pass_name == pass_name
            and self.head_dim_low <= head_dim <= self.head_dim_high
            and self.causal in ("", "yes" if causal else "no")
            and self.dropout in ("", "yes" if dropout else "no")
        )

    def covers(self, version: str) -> bool:
        """Whether a release of the library has this tile."""
        return version in SpecifierSet(self.versions)


def read_published_tiles(path: Path, known_sources: Collection[str]) -> tuple[PublishedTile, ...]:
    """The tiles of a `published.csv` whose sources are among `known_sources`.

    Raises:
        BadData: a row is broken.
    """
    columns = [f.name for f in fields(PublishedTile)]
    key = ["library", "versions", "pass_name", "head_dim_low", "capabilities", "causal", "dropout"]
    tiles = []
    for row in read_rows(path, columns, key):
        tile = row.fill(PublishedTile)
        row.check_known("source", [tile.source], known_sources, "sources.csv")
        tiles.append(tile)
    return tuple(tiles)


@cache
def published_tiles() -> tuple[PublishedTile, ...]:
    """Every published tile that the guide knows."""
    return read_published_tiles(
        data_folder() / "tiles" / "published.csv", {source.key for source in sources()}
    )
