"""Instruction mixes under `data/resources/`: one CSV file a Triton version, made by `recorder` with the bytes."""

import csv
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from l4guide.catalogue import data_folder
from l4guide.errors import BadData
from l4guide.resources.mix import Mix
from l4guide.resources.record import WANTED, cells_of, specialisation_of, versions, write_table
from l4guide.resources.specialisation import Specialisation

CLASSES = tuple(field.name for field in fields(Mix))
COLUMNS = ("triton", *WANTED, *CLASSES, "code")


@dataclass(frozen=True, slots=True, kw_only=True)
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
        BadData: a row is malformed.
    """
    if not path.exists():
        return {}
    rows: Rows = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for line, row in enumerate(csv.DictReader(lines), start=2):
            try:
                mix = Mix(**{name: int(row[name]) for name in CLASSES})
                rows[specialisation_of(row)] = RecordedMix(
                    mix=mix, triton_version=row["triton"], code=row["code"]
                )
            except (KeyError, TypeError, ValueError) as fault:
                raise BadData("error.bad_record", file=path.name, line=line, fault=str(fault)) from fault
    return rows


def write(path: Path, rows: Rows) -> None:
    """Write `rows` in a stable order, all or nothing."""
    table = [
        {"triton": found.triton_version, **cells_of(wanted), **found.mix.counts(), "code": found.code}
        for wanted, found in rows.items()
    ]
    write_table(path, COLUMNS, table)


@cache
def _record(triton_version: str) -> Rows:
    return read(path_for(triton_version))


def recorded_mix(wanted: Specialisation) -> RecordedMix | None:
    """What the record says of this specialisation's inner loop, or None."""
    for triton_version in versions():
        found = _record(triton_version).get(wanted)
        if found is not None:
            return found
    return None
