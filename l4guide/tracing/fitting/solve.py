"""Expressions that are another one under another condition, and the conditions that tell rows apart."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from l4guide.tracing.fitting.rows import ABSENT, Rows, distance, paths_of
from l4guide.tracing.fitting.search import FEWEST, Search, cost

WORD = re.compile(r"[a-z]+")
#: Conditions within conditions.
MOST_SPLITS = 3
#: Parts of the rows that one question may try.
MOST_TRIES = 150
#: Pairs of conditions are tried of so many.
MOST_PAIRED = 160


class Exhausted(LookupError):
    """So much was tried that none is to be expected."""


class Solver:
    """Expressions over the same rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.search = Search(rows)
        self._literals: dict[str, list[tuple[tuple[bool | None, ...], Any]]] = {}

    def solve(self, wanted: Sequence[Any], part: str) -> Any:
        """An expression that has these values over the rows, conditions in it where it takes any.

        Raises:
            LookupError: none was found.
        """
        return self.solve_some(dict(enumerate(wanted)), part)

    def solve_some(self, wanted: Mapping[int, Any], part: str) -> Any:
        """The same over some of the rows, by their places.

        Raises:
            LookupError: none was found.
        """
        self.tries = 0
        return self._solve(wanted, part, MOST_SPLITS)

    def _solve(self, wanted: Mapping[int, Any], part: str, splits: int) -> Any:
        missing = {place: one is None for place, one in wanted.items()}
        if all(missing.values()):
            return None
        if any(missing.values()):
            condition = self.separate(missing, part)
            rest = {place: one for place, one in wanted.items() if one is not None}
            return ["if", condition, None, self._solve(rest, part, splits)]
        try:
            return self.search.find(list(wanted.values()), list(wanted), part)
        except LookupError:
            if not splits:
                raise
        return self._split(wanted, part, splits)

    def _split(self, wanted: Mapping[int, Any], part: str, splits: int) -> Any:
        """The cheapest pair of expressions, one where a condition holds and one elsewhere."""
        best: Any = None
        later = []
        for mask, condition in self.literals(wanted, part):
            sides = [{p: one for p, one in wanted.items() if mask[p] == side} for side in (True, False)]
            found = [self._side(side, part) for side in sides]
            if None not in found:
                whole = ["if", condition, found[0][0], found[1][0]]  # type: ignore[index]
                if best is None or cost_of_split(whole) < cost_of_split(best):
                    best = whole
            elif found[0] or found[1]:
                later.append((condition, sides, found))
        if best is not None:
            return best
        for condition, sides, found in later if splits > 1 else ():
            place = 0 if found[0] else 1
            if len(sides[1 - place]) < FEWEST:
                continue
            try:
                rest = self._solve(sides[1 - place], part, splits - 1)
            except Exhausted:
                raise
            except LookupError:
                continue
            both = (found[0][0], rest) if found[0] else (rest, found[1][0])  # type: ignore[index]
            return ["if", condition, *both]
        raise LookupError("no expression under conditions")

    def _side(self, wanted: Mapping[int, Any], part: str) -> tuple[Any] | None:
        """The expression of some of the rows; nothing where they are too few to tell."""
        some = list(wanted.values())
        self.tries += 1
        if self.tries > MOST_TRIES:
            raise Exhausted("too many tries")
        if len(set(some)) > 1 and len(some) < FEWEST + 1:
            return None
        try:
            return (self.search.find(some, list(wanted), part, deep=False),)
        except Exhausted:
            raise
        except LookupError:
            return None

    def literals(
        self, places: Iterable[int], part: str, path: str = ""
    ) -> Iterator[tuple[tuple[bool | None, ...], Any]]:
        """Conditions that tell some of these rows from others, the nearest first, none that tells them alike."""
        if part not in self._literals:
            given = self.rows.conditions() + (self.rows.places() if self.rows.layered else [])
            ordered = sorted(given, key=lambda one: distance(one, part)[0])
            self._literals[part] = [(self.rows.truths(one), one) for one in ordered]
        some = list(places)
        seen = set()
        for mask, condition in sorted(self._literals[part], key=lambda one: _alike(one[1], path, part)):
            here = tuple(mask[place] for place in some)
            if None not in here and len(set(here)) == 2 and here not in seen:
                seen |= {here, tuple(not truth for truth in here)}
                yield mask, condition

    def separate(self, wanted: Mapping[int, bool], part: str, path: str = "") -> Any:
        """The simplest condition that holds of the rows wanted and of no other of these.

        Raises:
            LookupError: none was found.
        """
        truths = list(wanted.values())
        if len(set(truths)) == 1:
            return ["always"] if truths[0] else ["not", ["always"]]
        everything = (1 << len(truths)) - 1
        target = _bits(truths)
        literals: dict[int, Any] = {}
        for mask, condition in self.literals(wanted, part, path):
            here = _bits([mask[place] is True for place in wanted])
            literals.setdefault(here, condition)
            literals.setdefault(everything & ~here, ["not", condition])
        if target in literals:
            return literals[target]
        return _paired(literals, target) or _compared(self.rows, wanted, part)


def _alike(condition: Any, path: str, part: str) -> tuple[int, int]:
    """How near a condition is to what lies at a path: its part first, then the words that they share."""
    words = set(WORD.findall(path.lower()))
    named = {word for field in paths_of(condition) for word in WORD.findall(field.rpartition(".")[2])}
    return distance(condition, part)[0], -len(words & named)


def cost_of_split(expression: Any) -> float:
    """How far-fetched an expression is, its condition counted once."""
    return sum(cost(one) for one in expression[2:])


def _paired(literals: dict[int, Any], target: int) -> Any:
    """Two or three conditions together, or one of two."""
    above = [(mask, one) for mask, one in literals.items() if mask & target == target][:MOST_PAIRED]
    for (first, a), (second, b) in combinations(above, 2):
        if first & second == target:
            return ["and", a, b]
    below = [(mask, one) for mask, one in literals.items() if mask & ~target == 0][:MOST_PAIRED]
    for (first, a), (second, b) in combinations(below, 2):
        if first | second == target:
            return ["or", a, b]
    for (first, a), (second, b), (third, c) in combinations(above[:40], 3):
        if first & second & third == target:
            return ["and", a, ["and", b, c]]
    for mask, one in above[:40]:
        within = [(m, o) for m, o in literals.items() if m & mask & ~target == 0][:MOST_PAIRED]
        for (first, a), (second, b) in combinations(within, 2):
            if (first | second) & mask == target:
                return ["and", one, ["or", a, b]]
    return None


def _compared(rows: Rows, wanted: Mapping[int, bool], part: str) -> Any:
    """Two fields alike, or one below the other."""
    target = tuple(wanted.values())
    atoms = [
        (one, [values[place] for place in wanted]) for one, values in rows.atoms()[0] if isinstance(one, str)
    ]
    near = [(one, values) for one, values in atoms if distance(one, part)[0] < 2 and max(values) < ABSENT]
    for (a, x), (b, y) in combinations(near, 2):
        same = tuple(p == q for p, q in zip(x, y, strict=True))
        if target in (same, tuple(not one for one in same)):
            return ["same", a, b] if same == target else ["not", ["same", a, b]]
        less = tuple(p < q for p, q in zip(x, y, strict=True))
        if target == less:
            return ["less", a, b]
        if target == tuple(q < p for p, q in zip(x, y, strict=True)):
            return ["less", b, a]
    raise LookupError("no condition")


def _bits(truths: Sequence[bool]) -> int:
    return sum(1 << place for place, truth in enumerate(truths) if truth)
