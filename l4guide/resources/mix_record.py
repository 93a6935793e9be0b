"""Instruction mixes under `data/resources/`, and the command that records them.

`python -m l4guide.resources.mix_record` compiles the default tiles whose mix is missing or stale.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import metadata
from pathlib import Path

from l4guide.catalogue import data_folder
from l4guide.errors import BadData, CannotDo
from l4guide.resources.compiler import Compiler, require_compiler
from l4guide.resources.mix import Mix
from l4guide.resources.record import WANTED, cells_of, specialisation_of, versions, write_table
from l4guide.resources.recorder import ARCH_ORDER, DTYPE_ORDER, default_tiles
from l4guide.resources.specialisation import Specialisation

CLASSES = tuple(field.name for field in fields(Mix))
COLUMNS = ("triton", *WANTED, *CLASSES, "code")
#: fp32 is multiplied without tensor cores, so that its loops have no such mix.
DTYPES = tuple(dtype for dtype in DTYPE_ORDER if dtype != "fp32")


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


def default_mixes(archs: Sequence[int], dtypes: Sequence[str] = DTYPES) -> tuple[Specialisation, ...]:
    """The default tiles of these architectures and types."""
    return tuple(default_tiles(archs, dtypes))


def keep_mixes(wanted: Iterable[Specialisation], *, triton_version: str) -> int:
    """Compile what is missing or stale, write each row as found; returns how many the compiler refused."""
    from l4guide_kernels.code import digest

    path = path_for(triton_version)
    refused = 0
    with Compiler() as compiler:
        for one in wanted:
            known = read(path)
            code = digest(one.kernel)
            if one in known and known[one].code == code:
                continue
            try:
                mix = compiler.compile(one).instructions
            except CannotDo as problem:
                refused += 1
                sys.stderr.write(f"{problem}\n")
                continue
            if mix is not None:
                found = RecordedMix(mix=mix, triton_version=triton_version, code=code)
                write(path, {**known, one: found})
                sys.stderr.write(f"sm_{one.arch} {one.kernel} {one.head_dim} {one.dtype}: {mix}\n")
    _drop_stale(path)
    return refused


def _drop_stale(path: Path) -> None:
    """Leave only the mixes of tiles that are still the default, made with the kernels as they are."""
    from l4guide_kernels.code import digest

    rows = read(path)
    valid = set(default_mixes(ARCH_ORDER))
    write(
        path,
        {one: found for one, found in rows.items() if one in valid and found.code == digest(one.kernel)},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the mixes of the installed Triton version; exit code 1 where a tile was refused."""
    parser = argparse.ArgumentParser(
        prog="python -m l4guide.resources.mix_record", description="record instruction mixes"
    )
    parser.add_argument("--arch", type=int, action="append", choices=ARCH_ORDER, help="default: 89")
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="only these types")
    options = parser.parse_args(arguments)
    require_compiler()
    wanted = default_mixes(options.arch or (89,), options.dtype or DTYPES)
    return 1 if keep_mixes(wanted, triton_version=metadata.version("triton")) else 0


if __name__ == "__main__":
    sys.exit(main())
