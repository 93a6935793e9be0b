"""Instruction mixes under `data/resources/`: one CSV file a Triton version, made by `recorder` with the bytes."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from itertools import chain
from pathlib import Path

from l4guide.catalogue import data_folder
from l4guide.frozen import frozen
from l4guide.resources.mix import Mix
from l4guide.resources.record import (
    WANTED,
    Groups,
    cells_of,
    grouped,
    parsed,
    specialisation_of,
    versions,
    write_table,
)
from l4guide.resources.specialisation import Specialisation

CLASSES = tuple(field.name for field in fields(Mix))
COLUMNS = ("triton", *WANTED, *CLASSES, "code")


@frozen
class RecordedMix:
    """A mix, the Triton version that made the code, and the digest of the kernel."""

    mix: Mix
    triton_version: str
    code: str


Rows = dict[Specialisation, RecordedMix]


def path_for(triton_version: str) -> Path:
    """The file that holds the mixes found with this Triton version."""
    return data_folder() / "resources" / f"mix-triton-{triton_version}.csv"


def read(path: Path) -> Rows:
    """All rows of one file; an absent file has none.

    Raises:
        BadData: a row is malformed or appears twice.
    """
    return parsed(chain.from_iterable(grouped(path).values()), _parse)


def _parse(row: Mapping[str, str]) -> tuple[Specialisation, RecordedMix]:
    mix = Mix(**{name: int(row[name]) for name in CLASSES})
    return specialisation_of(row), RecordedMix(mix=mix, triton_version=row["triton"], code=row["code"])


def write(path: Path, rows: Rows) -> None:
    """Write `rows` in a stable order, all or nothing."""
    table = [
        {"triton": found.triton_version, **cells_of(wanted), **found.mix.counts(), "code": found.code}
        for wanted, found in rows.items()
    ]
    write_table(path, COLUMNS, table)


@cache
def _groups(triton_version: str) -> Groups:
    return grouped(path_for(triton_version))


@cache
def _record(triton_version: str, *about: str) -> Rows:
    return parsed(_groups(triton_version).get(about, ()), _parse)


def recorded_mix(wanted: Specialisation) -> RecordedMix | None:
    """What the record says of this specialisation's inner loop, or None."""
    for triton_version in versions():
        found = _record(triton_version, str(wanted.arch), wanted.kernel, wanted.dtype).get(wanted)
        if found is not None:
            return found
    return None
