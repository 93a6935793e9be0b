"""Where recorded runs lie: one file a run, its journal beside it while the run goes on."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from l4guide import catalogue
from l4guide.errors import BadData, CannotDo
from l4guide.files import write_text
from l4guide.measure.measurement import Record, read

#: Tiles that were tuned lie beside the runs.
TILES = "tiles-"
JOURNAL = ".jsonl"


def folder() -> Path:
    """The records that came with l4guide, and where a checkout keeps new ones."""
    return catalogue.data_folder() / "measurements"


def record_file(where: Path, gpu: str, day: str, *, prefix: str = "") -> Path:
    """The name of a new record: by card and day (ISO 8601), and never that of an earlier one or of its journal."""
    name = f"{prefix}{re.sub(r'[^a-z0-9]+', '-', gpu.lower()).strip('-')}-{day[:10]}"
    number = 1
    while True:
        path = where / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        if not path.exists() and not path.with_suffix(JOURNAL).exists():
            return path
        number += 1


def home() -> Path:
    """Where records go that nobody named a place for: among the others of a checkout, else here."""
    return folder() if os.access(folder(), os.W_OK) else Path()


def new_file(gpu: str, *, prefix: str = "") -> Path:
    """The name of a record of today, in `home`."""
    return record_file(home(), gpu, datetime.now(UTC).date().isoformat(), prefix=prefix)


def latest_journal(where: Path) -> Path:
    """The record whose journal was written to last.

    Raises:
        CannotDo: no run was left half-way there.
    """
    journals = sorted(where.glob(f"*{JOURNAL}"), key=lambda path: path.stat().st_mtime)
    if not journals:
        raise CannotDo("error.no_journal", path=where)
    return journals[-1].with_suffix(".json")


def recorded_files(where: Path | None = None) -> tuple[Path, ...]:
    """The files of the records in a folder, by name; the folder of l4guide's own when None."""
    return tuple(
        path for path in sorted((where or folder()).glob("*.json")) if not path.name.startswith(TILES)
    )


def records(where: Path | None = None) -> tuple[Record, ...]:
    """Every record of a GPU in a folder, oldest first; the folder of l4guide's own when None.

    Raises:
        BadData: a file there is not a record.
    """
    found = map(read, recorded_files(where))
    return tuple(sorted((r for r in found if r.basis == "gpu"), key=lambda record: record.measured_at))


@dataclass(slots=True)
class Journal:
    """What was finished of a run, a JSON line each, so that nothing of it is lost with the process.

    The first line is the identity of the run. `path` is None for a run that nobody keeps.
    """

    path: Path | None
    identity: Mapping[str, str] | None = None
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    def begin(self, identity: Mapping[str, str]) -> None:
        """Start anew, or go on behind what was read.

        Raises:
            CannotDo: the file cannot be written.
        """
        self.identity = identity
        lines = [{"identity": dict(identity)}, *self.entries.values()]
        if self.path is not None:
            write_text(self.path, "".join(_line(line) for line in lines))

    def add(self, work: str, rows: list[dict[str, Any]], paces: list[dict[str, Any]]) -> None:
        """One piece of work, with what it found."""
        entry = {"work": work, "rows": rows, "paces": paces}
        self.entries[work] = entry
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(entry))

    def remove(self) -> None:
        """The record holds all of it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def read_journal(path: Path) -> Journal:
    """The journal of a run that was left half-way; a last line that was cut short is dropped.

    Raises:
        CannotDo: there is none, or it cannot be read.
        BadData: it is not a journal.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as problem:
        raise CannotDo("error.no_journal", path=path) from problem
    content = []
    for at, line in enumerate(lines, start=1):
        try:
            content.append(json.loads(line))
        except ValueError as problem:
            if at < len(lines):
                raise BadData("error.bad_journal", path=path, line=at) from problem
    try:
        identity, entries = content[0]["identity"], {entry["work"]: entry for entry in content[1:]}
    except (IndexError, KeyError, TypeError) as problem:
        raise BadData("error.bad_journal", path=path, line=1) from problem
    return Journal(path=path, identity=identity, entries=entries)


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
