"""The line of a type in the record: terms, rules, what was tried; held to configurations that were not fitted."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from l4guide.tracing.expressions import evaluated
from l4guide.tracing.fitting.fit import Fit, NoFit
from l4guide.tracing.fitting.groups import KEYS
from l4guide.tracing.fitting.rows import Rows, paths_of
from l4guide.tracing.fitting.rules import NoRule, Rules, asked_by, tried
from l4guide.tracing.language import Unsaid, Values
from l4guide.tracing.resolution import AS_SAID, NUMBER, Resolution

#: Configurations that the record is held to and that nothing is fitted to; other ones are in turn where it fails.
HELD_OUT, TURNS = 2, 5
#: A record that is nowhere exact may be so far off in the parameters of a configuration; calls and cache are exact.
TOLERANCE = 0.003
#: Fields that may be done without.
MOST_WITHOUT = 5


def line_of(study: Mapping[str, Any], transformers: str) -> dict[str, Any]:
    """The record of a type.

    Raises:
        NoFit: no expressions were found, or they do not hold where they were not fitted.
    """
    seen = list(study["seen"])
    why, near = "", None
    for turn in range(TURNS):
        # The default is always fitted to; each time others are not.
        out = {len(seen) - 1 - turn * HELD_OUT - place for place in range(HELD_OUT)} - {0}
        fitted = [one for number, one in enumerate(seen) if number not in out]
        try:
            found = _line(study, fitted, transformers)
        except NoFit as problem:
            why = why or str(problem)
            continue
        wrong = _wrong(found, seen)
        if not wrong:
            return found
        if near is None and not _wrong(found, seen, TOLERANCE):
            near = found
        why = f"not as seen: {wrong[:3]}"
    if near is None:
        raise NoFit(why)
    return near


def stands(found: Mapping[str, Any], further: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a record is right wherever it answers of these configurations, and answers for half of them."""
    answered = [one for one in further if not Resolution(found, one["raw"]).outside()]
    return 2 * len(answered) >= len(further) and not _wrong(found, answered, TOLERANCE)


def _line(study: Mapping[str, Any], seen: Sequence[Mapping[str, Any]], transformers: str) -> dict[str, Any]:
    """A record by fields that rules are known for."""
    without: frozenset[str] = frozenset()
    while True:
        try:
            return _by_fields(study, seen, transformers, without)
        except NoRule as problem:
            if len(without) >= MOST_WITHOUT or problem.path in without:
                raise NoFit(str(problem)) from problem
            without |= {problem.path}


def _by_fields(
    study: Mapping[str, Any],
    seen: Sequence[Mapping[str, Any]],
    transformers: str,
    without: frozenset[str],
) -> dict[str, Any]:
    """A record that asks for none of some fields.

    Raises:
        NoRule: it asks for a field that no rule is found for.
    """
    fit = Fit(study, seen, without)
    rules = Rules(study, seen)
    terms = {kind: fit.terms(kind) for kind in KEYS}
    parameters = list(_merged([_parameter(term) for term in terms["parameters"]]))
    calls = [_short(_bare(term)) for term in terms["calls"]]
    kept = [_kept(term) for term in terms["kept"]]
    asked = {path for term in (*parameters, *calls, *kept) for path in _asked(term)}
    unsure = [*fit.unexplained, *_never_apart(asked, fit)]
    unexplained = list({json.dumps(one): one for one in unsure}.values())
    asked |= {path for condition in unexplained for path in paths_of(condition)}
    rules.make(asked)
    rules.follow()
    made = rules.found
    asked |= {path for rule in made.values() for path in asked_by(rule)}
    plain = {path for path in asked if path not in made and not path.startswith(AS_SAID)}
    return {
        "model_type": study["model_type"],
        "transformers": transformers,
        "class": seen[0]["class"],
        "two_stacks": seen[0]["two_stacks"],
        "unsaid": seen[0]["unsaid"],
        "parts": study["parts"],
        "aliases": {name: own for name, own in study["aliases"].items() if own in study["fields"]},
        **_split(tried(study, seen, made)),
        "usual": {path: rules.usual[path] for path in sorted(plain) if path in rules.usual},
        "usual_of_parts": {p: rules.of_parts[p] for p in sorted(plain) if p in rules.of_parts},
        "rules": made,
        "unexplained": unexplained,
        "left_out": sorted(fit.towers),
        "parameters": parameters,
        "calls": calls,
        "kept": None if seen[0]["kept"] is None else kept,
    }


def _never_apart(asked: Iterable[str], fit: Fit) -> Iterator[Any]:
    """Conditions under which fields differ that were alike in every trial: nothing told which of them is meant."""
    rows = Rows([Values(one) for one in fit.fields], [])
    first: dict[tuple[Any, ...], str] = {}
    for path in sorted(fit.paths):
        values = tuple(rows.seen(path))
        if len(set(map(str, values))) > 1 and all(type(one) is int for one in values):
            other = first.setdefault(values, path)
            if other != path and (path in asked or other in asked):
                yield ["not", ["same", other, path]]


def _split(kinds: Mapping[str, Any]) -> dict[str, Any]:
    """What was tried: fields that took any number above zero, and by field the kinds that others took."""
    numbers = [path for path, one in kinds.items() if one == [NUMBER]]
    return {"numbers": numbers, "tried": {path: one for path, one in kinds.items() if one != [NUMBER]}}


def _asked(term: Mapping[str, Any]) -> Iterator[str]:
    """The fields that anything in a term asks for."""
    for name, one in term.items():
        if name == "states":
            yield from (path for shape in one for axis in shape for path in paths_of(axis))
        elif name not in ("kind", "component"):
            yield from paths_of(one)


def _parameter(term: Mapping[str, Any]) -> dict[str, Any]:
    shape = [axis for axes in term["shapes"] for axis in axes]
    found = {name: one for name, one in term.items() if name not in ("shapes", "count")}
    return _short(found | {"elements": product([term["count"], *shape])})


def _kept(term: Mapping[str, Any]) -> dict[str, Any]:
    states = term["shapes"]
    skipped = ("shapes", "grows", "states_kept")
    found = {name: one for name, one in term.items() if name not in skipped}
    return _short(found | ({"states": states} if states else {}))


def _bare(term: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in term.items() if name != "shapes"}


def _short(term: Mapping[str, Any]) -> dict[str, Any]:
    """A term without what is usual."""
    usual = {"count": 1, "stride": 1}
    found = {
        n: one
        for n, one in term.items()
        if one not in (None, False) and one != usual.get(n) and not _is_zero(one)
    }
    if any(
        _varies(one) for name, one in found.items() if name not in ("where", "layers", "kind", "component")
    ):
        found["varies"] = True
    return found


def _is_zero(one: Any) -> bool:
    return isinstance(one, int) and one == 0


def _varies(expression: Any) -> bool:
    """Whether an expression asks about the layer."""
    if not isinstance(expression, list) or not expression:
        return False
    if expression[0] == "at" and len(expression) == 2:
        return True
    if expression[0] in ("twos", "entry", "listed", "every", "before", "last"):
        return True
    return any(_varies(one) for one in expression)


def product(factors: Iterable[Any]) -> Any:
    """A product, its numbers brought together and its factors in order."""
    constant, rest = 1, []
    for factor in factors:
        for one in factor[1:] if isinstance(factor, list) and factor[0] == "*" else [factor]:
            if isinstance(one, int):
                constant *= one
            else:
                rest.append(one)
    rest.sort(key=lambda one: (isinstance(one, list), json.dumps(one)))
    if constant != 1 or not rest:
        rest.insert(0, constant)
    return rest[0] if len(rest) == 1 else ["*", *rest]


def _merged(terms: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Terms of the same layers and kind as one, their elements added."""
    together: dict[str, dict[str, Any]] = {}
    for term in terms:
        rest = {name: one for name, one in term.items() if name != "elements"}
        key = json.dumps(rest)
        held = together.setdefault(key, rest | {"elements": []})
        held["elements"].append(term["elements"])
    for term in together.values():
        counted: dict[str, list[Any]] = {}
        for one in term["elements"]:
            counted.setdefault(json.dumps(one), []).append(one)
        sums = [product([len(alike), alike[0]]) if len(alike) > 1 else alike[0] for alike in counted.values()]
        yield term | {"elements": sums[0] if len(sums) == 1 else ["+", *sums]}


def _wrong(found: Mapping[str, Any], seen: Iterable[Mapping[str, Any]], tolerance: float = 0.0) -> list[str]:
    """What the record has otherwise than it was seen, over all configurations."""
    return [wrong for number, one in enumerate(seen) if (wrong := _differs(found, one, number, tolerance))]


def _differs(found: Mapping[str, Any], one: Mapping[str, Any], number: int, tolerance: float) -> str:
    fields = Resolution(found, one["raw"])
    if fields.outside():
        return ""
    try:
        trace = evaluated(found, fields)
    except Unsaid as problem:
        return f"{number}: {problem}"
    parameters = sum(math.prod(said["shape"]) for _, _, said in one["parameters"])
    if abs(trace.parameters - parameters) > tolerance * parameters:
        return f"{number}: {trace.parameters} of {parameters} parameters"
    left_out = found["left_out"]
    calls = [said for _, _, said in one["calls"] if said["component"] not in left_out]
    if sum(call.layers for call in trace.calls) != len(calls):
        return f"{number}: calls"
    elements = sum(said["elements"] for _, _, said in one["kept"] or ())
    if trace.kept is not None and sum(k.layers * k.elements for k in trace.kept) != elements:
        return f"{number}: cache"
    return ""
