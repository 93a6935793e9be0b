"""What was seen, one row a configuration or one row a layer of it, and the candidates for expressions over the rows."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from l4guide.tracing.language import Unsaid, Values, holds, number

#: Periods and counts of layers that types have without naming them.
PERIODS = (2, 3, 4, 5, 6, 8)
#: Entries of a list that are asked for by their place.
ENDS = (0, 1, 2, 3, -1)
#: In place of a number that a row does not have: no sum or product of others comes to it.
ABSENT = 2**40 + 12345677
#: A field of text with more kinds than these is a name.
MOST_KINDS = 8


class Rows:
    """Rows of fields by path, each with the layer that it is about; candidates are evaluated over all of them."""

    def __init__(self, rows: Sequence[Values], paths: Sequence[str], *, layered: bool = False) -> None:
        self.rows = rows
        self.paths = paths
        self.layered = layered

    def __len__(self) -> int:
        return len(self.rows)

    def numbers(self, expression: Any) -> list[int | float | None]:
        """An expression over all rows; None where a row does not have it."""
        found: list[int | float | None] = []
        for row in self.rows:
            try:
                found.append(number(expression, row))
            except Unsaid:
                found.append(None)
        return found

    def truths(self, condition: Any) -> tuple[bool | None, ...]:
        """A condition over all rows; None where a row cannot be asked."""
        found: list[bool | None] = []
        for row in self.rows:
            try:
                found.append(holds(condition, row))
            except Unsaid:
                found.append(None)
        return tuple(found)

    def seen(self, path: str) -> list[Any]:
        """The values of a field over all rows; `Ellipsis` where a row does not have it."""
        found = []
        for row in self.rows:
            try:
                found.append(row.fields(path))
            except Unsaid:
                found.append(...)
        return found

    def atoms(self) -> tuple[list[tuple[Any, list[int]]], list[tuple[Any, list[float]]]]:
        """What an expression is made of, whole numbers and broken ones, over the rows; constants are left out."""
        whole, broken = [], []
        for place, expression in enumerate(self._atomic()):
            values = self.numbers(expression)
            known = {one for one in values if one is not None}
            if len(known) + (None in values) < 2:
                continue
            if all(isinstance(one, int) for one in known):
                whole.append(
                    (
                        expression,
                        [ABSENT + place if one is None or abs(one) >= ABSENT else int(one) for one in values],
                    )
                )
            else:
                broken.append((expression, [0.0 if one is None else float(one) for one in values]))
        return whole, broken

    def constants(self) -> list[tuple[str, int]]:
        """Fields that are the same number over all rows."""
        found = []
        for path in self.paths:
            values = self.seen(path)
            if values and all(type(one) is int and one == values[0] for one in values) and values[0] > 1:
                found.append((path, values[0]))
        return found

    def _atomic(self) -> Iterator[Any]:
        for path in self.paths:
            values = self.seen(path)
            if any(isinstance(one, list | tuple) for one in values):
                yield from self._of_list(path, values)
            else:
                yield path
        if self.layered:
            yield ["twos"]

    def _of_list(self, path: str, values: Sequence[Any]) -> Iterator[Any]:
        lists = [one for one in values if isinstance(one, list | tuple)]
        yield ["len", path]
        yield ["sum", path]
        for kind in kinds_in(lists):
            yield ["count", path, kind]
        for place in ENDS:
            yield ["at", path, place]
        if self.layered:
            yield ["at", path]

    def conditions(self) -> list[Any]:
        """Conditions on a configuration that some rows meet and others do not."""
        found: list[Any] = []
        for path in self.paths:
            values = self.seen(path)
            texts = sorted({one for one in values if isinstance(one, str)})
            if any(isinstance(one, bool) for one in values):
                found.append(["is", path, True])
            if any(one is None for one in values):
                found.append(["is", path, None])
            if any(one == 0 or one == [] for one in values if not isinstance(one, bool)):
                found.append(["some", path])
            if 1 < len(texts) <= MOST_KINDS or (texts and None in values):
                found += [["is", path, text] for text in texts]
        return found

    def places(self) -> list[Any]:
        """Conditions on a layer."""
        found: list[Any] = []
        small: list[Any] = []
        for path in self.paths:
            values = self.seen(path)
            lists = [one for one in values if isinstance(one, list | tuple)]
            if lists:
                found += [["entry", path, kind] for kind in kinds_in(lists)]
                found.append(["listed", path])
            elif all(one is None or one is ... or (type(one) is int and one <= 64) for one in values):
                small.append(path)
                if None in values:
                    # Where it is not said, it may be this.
                    small += [["else", path, otherwise] for otherwise in (1, *PERIODS)]
        found += [["before", 1], ["last", 1], ["before", 2], ["before", 3], ["last", 2]]
        counts: list[Any] = [*small, *PERIODS]
        for period in counts:
            for offset in (1, 0, *(["-", 0, path] for path in small if "offset" in str(path))):
                found.append(["every", period, offset])
        for path in small:
            found += [["before", path], ["last", path]]
        return found


def distance(expression: Any, part: str) -> tuple[int, int]:
    """How far the fields of an expression are from a part of a configuration."""
    text = repr(expression).strip("'")
    path = next(iter(paths_of(expression)), "")
    own = path.rpartition(".")[0]
    if own == part:
        return 0, len(text)
    return (1 if part.startswith(own) or own.startswith(part) else 2), len(text)


def paths_of(expression: Any) -> Iterator[str]:
    """The paths of the fields that an expression or a condition asks for."""
    if isinstance(expression, str):
        yield expression
    elif isinstance(expression, list):
        operation, *rest = expression
        if operation in ("is", "entry", "count", "at", "len", "sum", "some", "listed"):
            yield rest[0]
        else:
            for one in rest:
                yield from paths_of(one)


def kinds_in(lists: Iterable[Sequence[Any]]) -> list[Any]:
    """The few kinds of entries that lists have, in a fixed order."""
    kinds: dict[Hashable, Any] = {}
    for entries in lists:
        for one in entries:
            if isinstance(one, str | bool | int):
                kinds[repr(one)] = one
    return [kinds[key] for key in sorted(kinds, key=str)] if len(kinds) <= MOST_KINDS else []


def flat(config: Mapping[str, Any], parts: Iterable[str], path: str = "") -> dict[str, Any]:
    """The fields of a configuration by path; of its parts alone those that have a type."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        here = f"{path}{key}"
        if here in parts:
            if isinstance(value, Mapping):
                found |= flat(value, parts, f"{here}.")
        elif not isinstance(value, Mapping):
            found[here] = value
    return found
