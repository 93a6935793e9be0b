"""A CSV file under `data/` as typed records; a broken cell is named by file, line and column."""

import csv
import math
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import fields
from datetime import date
from functools import cache
from pathlib import Path
from types import UnionType
from typing import NamedTuple, TypeVar, get_args

from l4guide.errors import BadData
from l4guide.text import Sentence

R = TypeVar("R")


def whole(text: str) -> int:
    """A whole number above zero."""
    value = int(text)
    if value <= 0:
        raise ValueError
    return value


def number(text: str) -> float:
    """A finite number above zero."""
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise ValueError
    return value


def yes_or_no(text: str) -> bool:
    """The words yes and no."""
    return {"yes": True, "no": False}[text]


def words(text: str) -> tuple[str, ...]:
    """Words between semicolons; an empty cell has none."""
    return tuple(word.strip() for word in text.split(";")) if text else ()


#: Per field type: how a cell is read, and the sentence that says what it should have been.
READERS: Mapping[object, tuple[Callable[[str], object], str]] = {
    str: (str, "error.expected_text"),
    int: (whole, "error.expected_whole"),
    float: (number, "error.expected_number"),
    bool: (yes_or_no, "error.expected_yes_no"),
    date: (date.fromisoformat, "error.expected_date"),
    tuple[str, ...]: (words, "error.expected_text"),
}


class Row(NamedTuple):
    """One line of a table: where it stands, and its cells by column."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def broken(self, column: str, expected: str, **values: object) -> BadData:
        """The error for a cell that is not what the sentence `expected` says."""
        return BadData(
            "error.bad_cell",
            file=self.path.name,
            line=self.line,
            column=column,
            value=self.cells[column],
            expected=Sentence(expected, values),
        )

    def cell(self, column: str, kind: Hashable) -> object:
        """The cell as `kind`, a record's field type; an empty cell is None where the type allows it.

        Raises:
            BadData: the cell cannot be read so.
        """
        read, expected, may_lack = _reader(kind)
        text = self.cells[column]
        if may_lack and not text:
            return None
        try:
            return read(text)
        except (ValueError, KeyError):
            raise self.broken(column, expected) from None

    def fill(self, record: type[R], **given: object) -> R:
        """A record of this row, field by field from the column of that name, but for those `given`."""
        cells = {name: self.cell(name, kind) for name, kind in _kinds(record) if name not in given}  # type: ignore[arg-type]
        return record(**cells, **given)

    def check_known(self, column: str, values: Collection[str], known: Collection[str], where: str) -> None:
        """Every one of `values`, read from `column`, is a name that `where` lists.

        Raises:
            BadData: one is not.
        """
        for value in values:
            if value not in known:
                raise self.broken(column, "error.expected_listed", name=value, where=where)


@cache
def _reader(kind: Hashable) -> tuple[Callable[[str], object], str, bool]:
    """How a cell of a field's type is read, what it should have been, and whether it may be empty."""
    may_lack = isinstance(kind, UnionType)
    return (*READERS[get_args(kind)[0] if may_lack else kind], may_lack)


@cache
def _kinds(record: Hashable) -> tuple[tuple[str, Hashable], ...]:
    """The fields of a record and their types."""
    return tuple((one.name, one.type) for one in fields(record))  # type: ignore[arg-type, misc]


def read_rows(path: Path, columns: Collection[str], key: Collection[str]) -> list[Row]:
    """The rows of a CSV file that has `columns`; no two agree in the columns `key`, whose first is not empty.

    Raises:
        BadData: the file is missing or lacks a column; a row is too short or too long, has no name, or
            repeats the key of an earlier one.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData("error.unreadable_table", file=path, reason=error) from None
    missing = [column for column in columns if column not in header]
    if missing:
        raise BadData("error.missing_column", file=path.name, column=missing[0])
    rows: list[Row] = []
    seen: dict[tuple[str, ...], int] = {}
    for line, cells in lines:
        if len(cells) != len(header):
            raise BadData(
                "error.wrong_width", file=path.name, line=line, cells=len(cells), columns=len(header)
            )
        row = Row(path, line, dict(zip(header, cells, strict=True)))
        name = tuple(row.cells[column] for column in key)
        if not name[0]:
            raise row.broken(next(iter(key)), "error.expected_text")
        if name in seen:
            raise row.broken(next(iter(key)), "error.expected_once", line=seen[name])
        seen[name] = line
        rows.append(row)
    return rows


def read_records(path: Path, record: type[R], key: Collection[str]) -> tuple[R, ...]:
    """The rows of a CSV file as records, each field from the column of its name; `key` as for `read_rows`.

    Raises:
        BadData: as for `read_rows`, or a cell cannot be read as its field's type.
    """
    columns = [one.name for one in fields(record)]  # type: ignore[arg-type]
    return tuple(row.fill(record) for row in read_rows(path, columns, key))
