"""The language of the recorded expressions: whole numbers and conditions from the fields of a configuration.

An expression is JSON: a number; the path of a field as text; or a list of an operation and what it is applied to.

    "hidden_size"   ["*", 2, "hidden_size"]   ["//", "hidden_size", "num_attention_heads"]   ["at", "layer_widths"]

A condition is a list as well: of the configuration, ["is", "tie_word_embeddings", true], or of one of its layers,
["entry", "layer_types", "full_attention"]. Nothing is compiled or executed, no number outgrows `MOST`, and what a
configuration does not have or has of another kind raises `Unsaid`.
"""

from collections.abc import Callable, Mapping
from typing import Any

#: No count of elements comes near it; a product beyond ends the evaluation.
MOST = 2**62
#: Deeper expressions are never recorded.
MOST_DEPTH = 32


class Unsaid(Exception):
    """A configuration does not say what an expression asks for, or not in numbers that it can be."""


class Values:
    """The fields of one configuration that an expression may ask for, and the layer that it is asked about."""

    def __init__(self, fields: Callable[[str], Any], *, layer: int = 0, layers: int = 0) -> None:
        self.fields = fields
        self.layer = layer
        self.layers = layers

    def at(self, layer: int, layers: int) -> "Values":
        """The same, asked about one of so many layers."""
        return Values(self.fields, layer=layer, layers=layers)


def number(expression: Any, values: Values, depth: int = 0) -> int | None:
    """The value of an expression; None where it says that there is none.

    Raises:
        Unsaid: a field is missing or no number, a division is by zero, or the value is out of limits.
    """
    if depth > MOST_DEPTH:
        raise Unsaid("too deep")
    if isinstance(expression, str):
        return _checked(values.fields(expression))
    if expression is None or isinstance(expression, int | float):
        return _checked(expression)
    operation, *rest = expression
    if operation == "if":
        chosen = rest[1] if holds(rest[0], values, depth + 1) else rest[2]
        return number(chosen, values, depth + 1)
    if operation == "else":
        first = number(rest[0], values, depth + 1)
        return number(rest[1], values, depth + 1) if first is None else first
    if operation in LISTED:
        return _checked(LISTED[operation](_list(values.fields(rest[0])), rest[1:], values))
    if operation == "twos":
        return _checked(2 ** min(values.layer, 62))
    given = [number(one, values, depth + 1) for one in rest]
    if operation not in ARITHMETIC or any(one is None for one in given):
        raise Unsaid(str(operation))
    return _checked(_whole(ARITHMETIC[operation], given))


def holds(condition: Any, values: Values, depth: int = 0) -> bool:
    """Whether a condition holds of a configuration, or of the layer that is asked about.

    Raises:
        Unsaid: as `number`.
    """
    if depth > MOST_DEPTH:
        raise Unsaid("too deep")
    operation, *rest = condition
    if operation in ("and", "or"):
        first = holds(rest[0], values, depth + 1)
        return holds(rest[1], values, depth + 1) if first == (operation == "and") else first
    if operation == "not":
        return not holds(rest[0], values, depth + 1)
    if operation == "always":
        return True
    if operation == "is":
        return same(values.fields(rest[0]), rest[1])
    if operation == "some":
        return bool(values.fields(rest[0]))
    if operation == "entry":
        entries = _list(values.fields(rest[0]))
        return values.layer < len(entries) and same(entries[values.layer], rest[1])
    if operation == "listed":
        return values.layer in _list(values.fields(rest[0]))
    return _placed(operation, [number(one, values, depth + 1) for one in rest], values)


def same(first: Any, second: Any) -> bool:
    """Whether two values are alike, and of one kind: one is not true."""
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def _placed(operation: str, given: list[int | None], values: Values) -> bool:
    """Conditions on numbers, and on the place of a layer."""
    whole = [one for one in given if isinstance(one, int)]
    if len(whole) < len(given) or operation not in ("every", "back", "before", "last", "same", "less"):
        raise Unsaid(operation)
    if operation in ("same", "less"):
        return whole[0] == whole[1] if operation == "same" else whole[0] < whole[1]
    if operation == "every":
        period, offset = whole
        if period < 1:
            raise Unsaid(operation)
        return (values.layer + offset) % period == 0
    if operation == "back":
        if whole[0] < 1:
            raise Unsaid(operation)
        return (values.layers - 1 - values.layer) % whole[0] == 0
    if operation == "before":
        return values.layer < whole[0]
    return values.layer >= values.layers - whole[0]


def _checked(value: Any) -> int | None:
    """A number within limits."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST <= value <= MOST:
        raise Unsaid(str(value)[:40])
    return value  # type: ignore[return-value]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise Unsaid(str(value)[:40])
    return list(value)


def _whole(operation: Callable[..., Any], given: list[Any]) -> Any:
    try:
        return operation(*given)
    except (ArithmeticError, TypeError, ValueError) as problem:
        raise Unsaid(str(problem)) from problem


def _product(*factors: Any) -> Any:
    found: Any = 1
    for factor in factors:
        found = _checked(found * factor)
    return found


def _entry(entries: list[Any], rest: list[Any], values: Values) -> Any:
    place = rest[0] if rest else values.layer
    if not -len(entries) <= place < len(entries):
        raise Unsaid(f"entry {place}")
    return entries[place]


def _sum(entries: list[Any], _: list[Any], __: Values) -> Any:
    if not all(isinstance(one, int) and not isinstance(one, bool) and abs(one) <= MOST for one in entries):
        raise Unsaid("sum")
    return sum(entries)


#: Operations on numbers.
ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "+": lambda *terms: sum(terms),
    "-": lambda first, second: first - second,
    "*": _product,
    "//": lambda first, second: int(first // second),
    "up": lambda first, second: int(-(-first // second)),
    "int": lambda first: int(first),
    "%": lambda first, second: int(first % second),
    "max": max,
    "min": min,
}
#: Operations on a list: its length, its sum, how often it has an entry, its entry of a layer or at a place.
LISTED: Mapping[str, Callable[[list[Any], list[Any], Values], Any]] = {
    "len": lambda entries, _, __: len(entries),
    "sum": _sum,
    "count": lambda entries, rest, _: sum(same(one, rest[0]) for one in entries),
    "at": _entry,
}
