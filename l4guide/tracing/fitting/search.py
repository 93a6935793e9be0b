"""The simplest expression for numbers over rows: products, quotients and sums of fields, all tabulated at once."""

import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property, reduce
from math import gcd
from typing import Any

import numpy as np

from l4guide.tracing.fitting.rows import ABSENT, Rows

#: Small factors that modules have beside a configuration's fields.
FACTORS = (2, 3, 4, 6, 8, 16)
ROUNDED = (8, 16, 32, 64, 128, 256)
HIDDEN = re.compile(r"hidden|embed|model|dim$|n_embd")
#: What an image is cut by, both ways.
SIDE = re.compile(r"patch|stride|grid|factor|merge|sample|sampling")
#: Fewer rows say nothing of an expression that is not constant.
FEWEST = 3
#: Terms of a sum are not more far-fetched than this, nor are sums that are tried for a quotient.
TERM, CHEAP = 4.4, 2.5
#: How far-fetched an expression may be, and how much more for each row that it explains.
PLAIN, A_ROW = 4.0, 0.6
#: A constant that few rows are enough for.
SMALL = 16
#: Parts of a table that are kept.
MOST_PARTS = 8
#: So many equally good pairs are weighed.
MOST_PAIRS = 200


class Table:
    """All small expressions over the rows, as a matrix: a line an expression, a column a row."""

    def __init__(self, rows: Rows) -> None:
        self.expressions: list[Any] = []
        self.lines: list[Any] = []
        whole, broken = rows.atoms()
        a, x = [one for one, _ in whole], _matrix([values for _, values in whole], len(rows))
        self._add(a, x)
        for factor in FACTORS:
            self._add([["*", factor, one] for one in a], x * factor)
        self._pairs("*", a, x)
        if not rows.layered:
            self._rounded(a, x)
        self._quotients(a, x, every=not rows.layered)
        self._of_constants(rows.constants(), a, x)
        self._pairs("+", a, x)
        for one, line in zip(a, x, strict=True):
            self._add([["-", one, other] for other in a], line - x)
        for one, values in broken:
            products = [[int(v * f) for v, f in zip(line, values, strict=True)] for line in x]
            self._add([["int", ["*", other, one]] for other in a], _matrix(products, len(rows)))
        self._pairs("*", a, x, 2)
        self._pairs("max", a, x)
        self._pairs("min", a, x)
        costs = np.array([cost(one) for one in self.expressions])
        order = np.argsort(costs, kind="stable")
        self.expressions = [self.expressions[place] for place in order]
        self.costs = costs[order]
        matrix = np.concatenate(self.lines) if self.lines else np.zeros((0, len(rows)), np.int64)
        self.matrix = np.asfortranarray(matrix[order])
        self.broken = broken

    def _add(self, expressions: list[Any], lines: Any) -> None:
        if expressions:
            self.expressions += expressions
            self.lines.append(lines)

    def _pairs(self, operation: str, a: list[Any], x: Any, factor: int = 1) -> None:
        apply: Any = {"*": np.multiply, "+": np.add, "max": np.maximum, "min": _smaller}[operation]
        head = [operation] if factor == 1 else [operation, factor]
        for place, one in enumerate(a):
            self._add([[*head, one, other] for other in a[place:]], apply(x[place:], x[place]) * factor)

    def _rounded(self, a: list[Any], x: Any) -> None:
        """Parts of a field, and a field rounded up."""
        for factor in FACTORS:
            self._add([["//", one, factor] for one in a], x // factor)
            self._add([["up", one, factor] for one in a], -(-x // factor))
        for factor in ROUNDED:
            self._add([["*", ["up", one, factor], factor] for one in a], -(-x // factor) * factor)

    def _quotients(self, a: list[Any], x: Any, *, every: bool) -> None:
        """A field by another; without `every` only by what images are cut by."""
        for one, line in zip(a, x, strict=True):
            if np.any(line <= 0) or not (every or SIDE.search(str(one))):
                continue
            quotients = [["//", other, one] for other in a]
            absent = (x >= ABSENT) | (line >= ABSENT)
            self._add(quotients, np.where(absent, ABSENT, x // line))
            self._add([["up", other, one] for other in a], np.where(absent, ABSENT, -(-x // line)))
            if SIDE.search(str(one)):
                squares = np.where(absent, ABSENT, (x // line) ** 2)
                twice = np.where(absent, ABSENT, 2 * (x // line))
                self._add([["*", 2, quotient] for quotient in quotients], twice)
                self._add([["*", quotient, quotient] for quotient in quotients], squares)
            for other, numerator in zip(a, x, strict=True):
                if "head" in str(one) and HIDDEN.search(str(other)) and not np.any(numerator % line):
                    # As a head's columns are, where only the product of them and the heads is said.
                    quotient = ["//", other, one]
                    self._add([["*", third, quotient] for third in a], x * (numerator // line))
                    self._add([["*", 2, third, quotient] for third in a], 2 * x * (numerator // line))

    def _of_constants(self, constants: list[tuple[str, int]], a: list[Any], x: Any) -> None:
        """Fields that were always the same, by what they are cut by, and large ones with what they are taken times."""
        for other, value in constants:
            if value > SMALL:
                self._add([["*", other, one] for one in a], np.where(x >= ABSENT, ABSENT, x * value))
        for one, line in zip(a, x, strict=True):
            if SIDE.search(str(one)) and not np.any((line <= 0) | (line >= ABSENT)):
                for other, value in constants:
                    self._add([["//", other, one]], (value // line)[None, :])


class Part:
    """A table over some of its rows."""

    def __init__(self, table: Table, columns: Sequence[int]) -> None:
        lines = table.matrix[:, list(columns)]
        self.first = lines[:, 0].copy()
        self.centred = lines - lines[:, :1]
        self.weights = _weights(len(columns))
        self.sums = self.centred @ self.weights
        self.table = table
        known = np.all(np.abs(lines) < ABSENT // 2, axis=1)
        self.all = np.nonzero(known & np.any(self.centred != 0, axis=1))[0]

    @cached_property
    def places(self) -> Any:
        """One expression, the cheapest, of those with the same values that may be part of a sum."""
        cheap = self.all[self.table.costs[self.all] <= TERM]
        _, unique = np.unique(self.sums[cheap], return_index=True)
        return cheap[np.sort(unique)]

    def exact(self, wanted: Any, part: str) -> Any:
        """The cheapest expression with these values, a constant added where it takes one; None where there is none."""
        target = wanted - wanted[0]
        hits = self.all[self.sums[self.all] == target @ self.weights]
        hits = [place for place in hits[:MOST_PAIRS] if np.array_equal(self.centred[place], target)]
        found = [_with(self.table.expressions[one], int(wanted[0] - self.first[one])) for one in hits]
        return min(found, key=lambda one: cost(one, part), default=None)

    def sum_of_two(self, wanted: Any, part: str, most: float = TERM) -> Any:
        """The cheapest sum of two expressions and perhaps a constant."""
        target = wanted - wanted[0]
        places = self.places[self.table.costs[self.places] <= most]
        if not len(places):
            return None
        sums = self.sums[places]
        order = np.argsort(sums, kind="stable")
        ordered = sums[order]
        needed = target @ self.weights - sums
        at = np.searchsorted(ordered, needed)
        at[at == len(ordered)] = 0
        hits = np.nonzero(ordered[at] == needed)[0]
        found = []
        for hit in hits[:MOST_PAIRS]:
            one, other = places[hit], places[order[at[hit]]]
            if np.array_equal(self.centred[one] + self.centred[other], target):
                both = ["+", self.table.expressions[one], self.table.expressions[other]]
                found.append(_with(both, int(wanted[0] - self.first[one] - self.first[other])))
        return min(found, key=lambda one: cost(one, part), default=None)

    def sum_of_three(self, wanted: Any, part: str) -> Any:
        """A sum of a field, or some of it, and two more."""
        for place in self.places[self.table.costs[self.places] < 2]:
            line = self.centred[place] + self.first[place]
            rest = self.sum_of_two(wanted - line, part, 3.5)
            if rest is not None:
                return ["+", self.table.expressions[place], rest]
        return None


class Search:
    """Expressions over rows, and over some of them."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.table = Table(rows)
        self._parts: dict[tuple[int, ...], Part] = {}

    def find(
        self, wanted: Sequence[Any], columns: Sequence[int], part: str = "", *, deep: bool = True
    ) -> Any:
        """The simplest expression that is `wanted` over these of the rows.

        Raises:
            LookupError: none was found.
        """
        few = len(wanted) < FEWEST
        if len(set(wanted)) == 1 and not (few and abs(wanted[0]) > SMALL):
            return wanted[0]
        if not all(isinstance(one, int) for one in wanted):
            return self._broken(wanted, columns)
        if few:
            return self._plain(wanted, columns, part)
        key = tuple(columns)
        if key not in self._parts:
            while len(self._parts) >= MOST_PARTS:
                del self._parts[next(iter(self._parts))]
            self._parts[key] = Part(self.table, key)
        found = _tries(self._parts[key], np.array(wanted, dtype=np.int64), part, deep=deep)
        if found is None or cost(found, part) > PLAIN + A_ROW * len(wanted):
            raise LookupError("no expression")
        return found

    def _plain(self, wanted: Sequence[int], columns: Sequence[int], part: str) -> Any:
        """A field, or the product of two, where the rows are too few for more."""
        lines = self.table.matrix[:, list(columns)]
        hits = np.nonzero(np.all(lines == np.array(wanted), axis=1) & (self.table.costs <= CHEAP))[0]
        found = [self.table.expressions[hit] for hit in hits]
        if not found:
            raise LookupError("too few rows")
        return min(found, key=lambda one: cost(one, part))

    def _broken(self, wanted: Sequence[Any], columns: Sequence[int]) -> Any:
        for one, values in self.table.broken:
            if [values[place] for place in columns] == list(wanted):
                return one
        raise LookupError("no broken number")


def _tries(some: Part, wanted: Any, part: str, *, deep: bool) -> Any:
    first = some.exact(wanted, part)
    if first is not None and cost(first, part) < 3:
        return first
    found = [first, _factored(some, wanted, part), _divided(some, wanted, part)]
    if first is None:
        found.append(some.sum_of_two(wanted, part))
    found = [one for one in found if one is not None]
    if not found and deep:
        further = (some.sum_of_three(wanted, part), _factored(some, wanted, part, again=True))
        found = [one for one in further if one is not None]
    return min(found, key=lambda one: cost(one, part), default=None)


def _factored(some: Part, wanted: Any, part: str, *, again: bool = False) -> Any:
    """A product of a field, or of a number, and an expression."""
    shared = reduce(gcd, (int(one) for one in wanted))
    found = []
    factors = [(k, np.full_like(wanted, k)) for k in dict.fromkeys((shared, *FACTORS)) if k > 1]
    factors += [
        (some.table.expressions[place], some.centred[place] + some.first[place])
        for place in some.places
        if isinstance(some.table.expressions[place], str)
    ]
    for factor, line in factors:
        if np.any(line <= 0) or np.any(wanted % line):
            continue
        inner = wanted // line
        rest = int(inner[0]) if len(set(inner.tolist())) == 1 else some.exact(inner, part)
        rest = rest if rest is not None else some.sum_of_two(inner, part, CHEAP)
        if rest is None and again:
            rest = _factored(some, inner, part, again=False)
        if rest is not None:
            found.append(["*", factor, rest])
    return min(found, key=lambda one: cost(one, part), default=None)


def _divided(some: Part, wanted: Any, part: str) -> Any:
    """A product of two fields divided by a third, or by a number."""
    lines = [(k, np.full_like(wanted, k)) for k in FACTORS]
    lines += [
        (some.table.expressions[place], some.centred[place] + some.first[place])
        for place in some.places
        if isinstance(some.table.expressions[place], str)
    ]
    for divisor, line in lines:
        if np.any(line <= 0):
            continue
        known = some.exact(wanted * line, part)
        if known is not None and not (
            isinstance(known, list) and known[0] == "+" and known[-1].__class__ is int
        ):
            return ["//", known, divisor]
    return None


def _smaller(first: Any, second: Any) -> Any:
    """The smaller; absent where one of them is."""
    return np.where(np.maximum(first, second) >= ABSENT, ABSENT, np.minimum(first, second))


def _with(expression: Any, rest: int) -> Any:
    """An expression and a constant."""
    return expression if not rest else ["+", expression, rest]


def _matrix(lines: Iterable[Sequence[int]], columns: int) -> Any:
    found = np.array(list(lines), dtype=np.int64)
    return found.reshape(-1, columns)


@cache
def _weights(columns: int) -> Any:
    """Odd numbers by which the sum of a line tells it from others; they overflow, and stay linear."""
    return np.random.default_rng(columns).integers(1, 2**62, columns, dtype=np.int64) * 2 + 1


def cost(expression: Any, part: str = "") -> float:
    """How far-fetched an expression is."""
    if isinstance(expression, str):
        return 1.0 if not part or expression.rpartition(".")[0] == part else 1.3
    if not isinstance(expression, list):
        return _cost_of_constant(expression)
    operation, *rest = expression
    if operation in ("count", "at", "len", "sum"):
        return 1.2
    extra = 1.0 if operation in ("max", "min", "up", "int") else 0.0
    return 0.4 + extra + sum(cost(one, part) for one in rest)


def _cost_of_constant(value: Any) -> float:
    if not isinstance(value, int) or abs(value) <= 16:
        return 0.5
    return 0.8 if not value & (value - 1) else 1.5
