"""The tiles that were found on this machine, kept in one JSON file for the next process."""

import json
import os
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

from l4guide_kernels.tiles import Tile

FORM = 2


def default_folder() -> Path:
    """Where this platform keeps what can be made again: $XDG_CACHE_HOME, else ~/.cache."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".cache") / "l4guide"


class KeptTiles:
    """Tiles by key, in `tiles.json` of a folder.

    A file that cannot be read or written is said in a warning and costs only the time to tune again. Writing
    replaces the file in one step and reads it just before, so that two processes keep each other's tiles.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tiles.json"

    def get(self, key: str) -> Tile | None:
        """The tile kept under `key`, if there is one."""
        entry = self._entries().get(key)
        if entry is None:
            return None
        try:
            return _tile(entry)
        except (KeyError, TypeError, ValueError) as fault:
            self._warn(f"has no valid tile under {key!r} ({fault!r})")
            return None

    def put(self, key: str, tile: Tile, *, milliseconds: float, tried: int) -> None:
        """Keep a tile, the time that it won with, and among how many."""
        entry = {**asdict(tile), "milliseconds": milliseconds, "tried": tried}
        temporary = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content = {"form": FORM, "tiles": {**self._entries(), key: entry}}
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".tiles.")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1, sort_keys=True)
            Path(temporary).replace(self.path)
        except OSError as fault:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            self._warn(f"cannot be written ({fault.strerror or fault})")

    def _entries(self) -> dict[str, object]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as fault:
            self._warn(f"cannot be read ({fault})")
            return {}
        tiles = content.get("tiles") if isinstance(content, dict) and content.get("form") == FORM else None
        if not isinstance(tiles, dict):
            self._warn("is not a tile file of this version")
            return {}
        return tiles

    def _warn(self, what: str) -> None:
        warnings.warn(f"{self.path} {what}: continuing without it", RuntimeWarning, stacklevel=4)


def _tile(entry: object) -> Tile:
    if not isinstance(entry, dict):
        raise TypeError(f"{entry!r} is not an object")
    sizes = {name: entry[name] for name in ("block_m", "block_n", "warps", "stages")}
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            raise ValueError(f"{name} is {size!r}")
    return Tile(**sizes, boxes=bool(entry["boxes"]))
