"""Compiler evidence under `data/resources/`: one CSV file a Triton version, one row a specialisation."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeVar

from packaging.version import Version

from l4guide.catalogue import data_folder
from l4guide.distributions import version_of
from l4guide.errors import BadData
from l4guide.files import write_text
from l4guide.resources.specialisation import Figures, Specialisation

COLUMNS = (
    "triton",
    "arch",
    "kernel",
    "head_parts",
    "columns",
    "head_parts_v",
    "columns_v",
    "dtype",
    "causal",
    "block_m",
    "block_n",
    "warps",
    "stages",
    "shared_bytes",
    "registers",
    "spill_bytes",
    "stack_bytes",
    "code",
)

#: The columns that say what was compiled; the others say what came of it.
WANTED = COLUMNS[1 : COLUMNS.index("shared_bytes")]

_MASKED = {"masked": True, "full": False}

V = TypeVar("V")
Rows = dict[Specialisation, Figures]
#: The rows of a file as they were written, by the chip, the kernel and the type that they are about.
#: A row before anything of it is read: its file, line and header, and its cells.
Line = tuple[Path, int, Sequence[str], Sequence[str]]
Groups = Mapping[tuple[str, ...], Sequence[Line]]
GROUPED_BY = ("arch", "kernel", "dtype")


def path_for(triton_version: str) -> Path:
    """The file that holds what this Triton version was found to do."""
    return data_folder() / "resources" / f"triton-{triton_version}.csv"


def specialisation_of(row: Mapping[str, str]) -> Specialisation:
    """What a row is about, from the columns `WANTED`.

    Raises:
        KeyError, TypeError, ValueError: a cell is missing or malformed.
    """
    from l4guide_kernels.tiles import Tile

    return Specialisation(
        kernel=row["kernel"],
        arch=int(row["arch"]),
        head_parts=_parts(row["head_parts"]),
        masked=_MASKED[row["columns"]],
        head_parts_v=_parts(row["head_parts_v"]),
        masked_v=_MASKED[row["columns_v"]],
        dtype=row["dtype"],
        causal={"yes": True, "no": False}[row["causal"]],
        tile=Tile(
            block_m=int(row["block_m"]),
            block_n=int(row["block_n"]),
            warps=int(row["warps"]),
            stages=int(row["stages"]),
        ),
    )


def _parts(cell: str) -> tuple[int, int]:
    first, _, second = cell.partition("+")
    return int(first), int(second or 0)


def _parse(row: Mapping[str, str]) -> tuple[Specialisation, Figures]:
    return specialisation_of(row), Figures(
        basis="recorded",
        shared_bytes=int(row["shared_bytes"]),
        registers=int(row["registers"]),
        spill_bytes=int(row["spill_bytes"]),
        stack_bytes=int(row["stack_bytes"]),
        triton_version=row["triton"],
        code=row["code"],
    )


def cells_of(wanted: Specialisation) -> dict[str, object]:
    """The cells of the columns `WANTED`."""
    return {
        "arch": wanted.arch,
        "kernel": wanted.kernel,
        "head_parts": _joined(wanted.head_parts),
        "columns": "masked" if wanted.masked else "full",
        "head_parts_v": _joined(wanted.head_parts_v),
        "columns_v": "masked" if wanted.masked_v else "full",
        "dtype": wanted.dtype,
        "causal": "yes" if wanted.causal else "no",
        "block_m": wanted.tile.block_m,
        "block_n": wanted.tile.block_n,
        "warps": wanted.tile.warps,
        "stages": wanted.tile.stages,
    }


def _joined(parts: tuple[int, int]) -> str:
    return "+".join(str(part) for part in parts if part)


def _format(wanted: Specialisation, figures: Figures) -> dict[str, object]:
    return {
        "triton": figures.triton_version,
        **cells_of(wanted),
        "shared_bytes": figures.shared_bytes,
        "registers": figures.registers,
        "spill_bytes": figures.spill_bytes,
        "stack_bytes": figures.stack_bytes,
        "code": figures.code,
    }


def grouped(path: Path) -> Groups:
    """The rows of one file, their cells unread; an absent file has none."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    if not path.exists():
        return groups
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        places = [header.index(name) for name in GROUPED_BY if name in header]
        for cells in lines:
            key = tuple(cells[place] for place in places if place < len(cells))
            groups.setdefault(key, []).append((path, lines.line_num, header, cells))
    return groups


def parsed(
    rows: Iterable[Line], parse: Callable[[Mapping[str, str]], tuple[Specialisation, V]]
) -> dict[Specialisation, V]:
    """What `parse` makes of each row.

    Raises:
        BadData: a row is malformed or appears twice.
    """
    found: dict[Specialisation, V] = {}
    for path, line, header, cells in rows:
        place = {"file": path.name, "line": line}
        try:
            wanted, value = parse(dict(zip(header, cells, strict=False)))
        except (KeyError, TypeError, ValueError) as fault:
            raise BadData("error.bad_record", **place, fault=str(fault)) from fault
        if wanted in found:
            raise BadData("error.bad_record", **place, fault="appears twice")
        found[wanted] = value
    return found


def read(path: Path) -> Rows:
    """All rows of one file; an absent file has none.

    Raises:
        BadData: a row is malformed or appears twice.
    """
    return parsed(chain.from_iterable(grouped(path).values()), _parse)


def write(path: Path, rows: Rows) -> None:
    """Write `rows` in a stable order, all or nothing: a reader never sees half a file."""
    write_table(path, COLUMNS, [_format(*row) for row in rows.items()])


def write_table(path: Path, columns: Sequence[str], table: Iterable[Mapping[str, object]]) -> None:
    """Write rows with the columns `WANTED` and others, sorted by what they are about, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(table, key=_order))
    write_text(path, text.getvalue())


def _order(row: Mapping[str, object]) -> tuple[object, ...]:
    widths = [sum(_parts(str(row[name]))) for name in ("head_parts", "head_parts_v")]
    columns = (row["columns"], row["columns_v"])
    tile = [row[name] for name in ("block_m", "block_n", "warps", "stages")]
    return (row["arch"], row["kernel"], *widths, *columns, row["dtype"], row["causal"], *tile)


@cache
def versions() -> tuple[str, ...]:
    """The Triton versions with a record: first the installed one, then the newest."""
    paths = (data_folder() / "resources").glob("triton-*.csv")
    found = [path.stem.removeprefix("triton-") for path in paths]
    installed = version_of("triton") if len(found) > 1 else None
    return tuple(sorted(found, key=lambda v: (v == installed, Version(v)), reverse=True))


@cache
def _groups(triton_version: str) -> Groups:
    return grouped(path_for(triton_version))


@cache
def _record(triton_version: str, *about: str) -> Rows:
    return parsed(_groups(triton_version).get(about, ()), _parse)


def by_twin(wanted: Specialisation) -> Figures | None:
    """Shared memory as recorded of a twin, or None; registers and spills are the twin's own."""
    found = (recorded(twin) for twin in wanted.twins)
    known = next((figures for figures in found if figures is not None), None)
    return None if known is None else Figures(basis="formula", shared_bytes=known.shared_bytes)


def recorded(wanted: Specialisation, among: Iterable[str] | None = None) -> Figures | None:
    """What the record says of this specialisation, or None; `among` limits it to these Triton versions."""
    for triton_version in versions() if among is None else among:
        figures = _record(triton_version, str(wanted.arch), wanted.kernel, wanted.dtype).get(wanted)
        if figures is not None:
            return figures
    return None
