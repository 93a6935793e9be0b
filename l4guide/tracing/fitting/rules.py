"""How a type completes a configuration: a rule for each field that is not as the file, or else the type, says it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from l4guide.tracing.fitting.rows import Rows, distance, flat, paths_of
from l4guide.tracing.fitting.search import FEWEST
from l4guide.tracing.fitting.solve import Solver
from l4guide.tracing.language import Unsaid, Values, same
from l4guide.tracing.resolution import AS_SAID, Resolution, kinds

#: A list has no more kinds of entries than this.
MOST_KINDS = 6


class NoRule(LookupError):
    """No rule was found for a field."""

    def __init__(self, path: str, problem: LookupError) -> None:
        super().__init__(f"rule of {path}: {problem}")
        self.path = path


class Rules:
    """The rules of one type, found over the configurations that it was seen at."""

    def __init__(self, study: Mapping[str, Any], seen: Sequence[Mapping[str, Any]]) -> None:
        parts = study["parts"]
        self.parts = list(parts)
        self.olds = [f"{AS_SAID}{path}" for path in study["legacy"]]
        self.resolved = [flat(one["resolved"], self.parts) for one in seen]
        self.usual = flat(study["seen"][0]["resolved"], self.parts)
        self.of_parts = {
            path: value
            for path, value in flat(study["said"], self.parts).items()
            if path in self.usual and not same(value, self.usual[path])
        }
        record = {
            "aliases": study["aliases"],
            "parts": parts,
            "rules": {},
            "tried": {},
            "numbers": [],
            "usual": self.usual,
            "usual_of_parts": self.of_parts,
        }
        self.plain = [Resolution(record, one["raw"]) for one in seen]
        self.paths = [path for path in study["fields"] if self._is_plain(path)]
        self.absent = {
            path: value
            for path, value in self.usual.items()
            if not isinstance(value, list)
            and (path not in study["derived"] or self._is_constant_where_silent(path))
        }
        self.derived = study["derived"]
        self.found: dict[str, Any] = {}

    def _is_plain(self, path: str) -> bool:
        """Whether a field is what the file says, or else what the type has, in every configuration."""
        return all(
            path not in known or _same(fields.field(path), known[path])
            for fields, known in zip(self.plain, self.resolved, strict=True)
            if path in known or path in self.usual
        )

    def _is_constant_where_silent(self, path: str) -> bool:
        """Whether a field that a type may complete is the same wherever a file does not say it."""
        values = [
            known[path]
            for fields, known in zip(self.plain, self.resolved, strict=True)
            if path in known and path not in fields.said
        ]
        return len(values) > FEWEST and all(_same(one, self.usual[path]) for one in values)

    def make(self, wanted: Iterable[str]) -> dict[str, Any]:
        """The rules of the fields that are wanted, and of those that these ask for.

        Raises:
            NoRule: none was found for one.
        """
        queue = sorted(wanted)
        while queue:
            path = queue.pop(0)
            if path in self.found or path in self.paths or path.startswith(AS_SAID):
                continue
            absent = {"absent": self.absent[path]} if self.absent.get(path) is not None else {}
            self.found[path] = self._rule(path) | absent
            queue += sorted(asked_by(self.found[path]))
        return self.found

    def follow(self) -> None:
        """Add rules of the fields that no trial said, so that what a file says can be held to what follows."""
        for path in self.derived:
            said = any(fields.said.get(path) is not None for fields in self.plain)
            if not said and path not in self.paths:
                with suppress(NoRule):
                    self.make([path])

    def _rule(self, path: str) -> dict[str, Any]:
        seen = [number for number, known in enumerate(self.resolved) if path in known]
        values = [self.resolved[number][path] for number in seen]
        if not seen:
            raise NoRule(path, LookupError("never seen"))
        rows = [Values(self._fields(number)) for number in seen]
        own = f"{AS_SAID}{path}"
        part = path.rpartition(".")[0]
        near = [name for name in (*self.paths, *self.olds) if distance(name.lstrip(AS_SAID), part)[0] < 2]
        try:
            if any(isinstance(one, list) for one in values):
                return self._entries(path, seen, part)
            solver = Solver(Rows(rows, [*near, own]))
            if all(one is None or type(one) in (int, float) for one in values):
                return {"value": _value(solver, dict(enumerate(values)), part, own)}
            return {"kinds": _kinds(solver, dict(enumerate(values)), part, own)}
        except LookupError as problem:
            raise NoRule(path, problem) from problem

    def _entries(self, path: str, seen: Sequence[int], part: str) -> dict[str, Any]:
        """The rule of a list with an entry a layer, which a file may also say itself."""
        silent = [number for number in seen if not isinstance(self.plain[number].said.get(path), list)]
        for number in seen:
            if number not in silent and not _same(self.plain[number].said[path], self.resolved[number][path]):
                raise LookupError("a list that is said is changed")
        lists = {number: self.resolved[number][path] or [] for number in silent}
        if not lists:
            raise LookupError("it was always said")
        every = (*self.paths, *self.olds)
        paths = [name for name in every if distance(name.lstrip(AS_SAID), part)[0] < 2]
        whole = Rows([Values(self._fields(number)) for number in silent], paths)
        length = Solver(whole).solve([len(entries) for entries in lists.values()], part)
        rows, wanted = [], []
        for number, entries in lists.items():
            for layer, entry in enumerate(entries):
                rows.append(Values(self._fields(number), layer=layer, layers=len(entries)))
                wanted.append(entry)
        if not wanted:
            return {"entries": length, "kinds": [None]}
        solver = Solver(Rows(rows, paths, layered=True))
        return {"entries": length, "kinds": _kinds(solver, dict(enumerate(wanted)), part, "")}

    def _fields(self, number: int) -> Any:
        """What a rule may ask for: what the type completed, and what the file says."""
        known, said = self.resolved[number], self.plain[number].said

        def field(path: str) -> Any:
            if path.startswith(AS_SAID):
                return said.get(path[1:], self.absent.get(path[1:]))
            if path not in known:
                raise Unsaid(path)
            return known[path]

        return field


def tried(
    study: Mapping[str, Any], seen: Sequence[Mapping[str, Any]], rules: Mapping[str, Any]
) -> dict[str, Any]:
    """By field, the kinds of values that it was tried with; where it always had one value, that value.

    Of a field that follows from others and that no trial said, what follows is all that a file may say.
    """
    parts = list(study["parts"])
    plain = {
        "aliases": study["aliases"],
        "parts": study["parts"],
        "rules": {},
        "tried": {},
        "numbers": [],
        "unexplained": [],
    }
    said = [Resolution({**plain, "usual": {}, "usual_of_parts": {}}, one["raw"]).said for one in seen]
    resolved = [flat(one["resolved"], parts) for one in seen]
    usual = flat(study["seen"][0]["resolved"], parts)
    found: dict[str, Any] = {}
    for path in (*study["fields"], *study["legacy"]):
        values = [one[path] for one in said if path in one]
        if path in study["derived"] and all(one is None for one in values):
            found[path] = {"follows": True} if path in rules else _always(path, resolved)
            continue
        if path in usual:
            values.append(usual[path])
        distinct = {repr(one) for one in values}
        if not values:
            found[path] = ["null"]
        elif len(distinct) == 1 and not isinstance(values[0], bool) and values[0] is not None:
            found[path] = {"only": values[0]}
        else:
            found[path] = sorted({kind for one in values for kind in kinds(one)})
    return found


def _always(path: str, resolved: Sequence[Mapping[str, Any]]) -> Any:
    """The one value that a field had however the others were; null is all that may be said of any other."""
    values = [known[path] for known in resolved if path in known]
    alike = bool(values) and all(_same(one, values[0]) for one in values)
    return {"only": values[0]} if alike else ["null"]


def _value(solver: Solver, wanted: Mapping[int, Any], part: str, own: str) -> Any:
    """A number: as the file says it where it does, else as it follows from others."""
    said = {place: solver.rows.rows[place].fields(own) for place in wanted}
    given = [place for place, one in said.items() if one is not None]
    rest = {place: one for place, one in wanted.items() if place not in given}
    if given and all(_same(said[place], wanted[place]) for place in given):
        if not rest:
            return own
        return ["if", ["is", own, None], solver.solve_some(rest, part), own]
    return solver.solve_some(wanted, part)


def _kinds(solver: Solver, wanted: Mapping[int, Any], part: str, own: str) -> list[Any]:
    """Cases, each a condition and a value, and at last the value of all others."""
    cases: list[Any] = []
    rest = dict(wanted)
    if own:
        told = {p: _same(solver.rows.rows[p].fields(own), one) for p, one in rest.items()}
        if all(told.values()):
            return [{"said": own[1:]}]
        if any(told.values()):
            try:
                mask = {p: solver.rows.rows[p].fields(own) is not None for p in rest}
                if all(told[p] for p, given in mask.items() if given):
                    cases.append([["not", ["is", own, None]], {"said": own[1:]}])
                    rest = {p: one for p, one in rest.items() if not mask[p]}
            except Unsaid:
                pass
    kinds_of = list(dict.fromkeys(repr(one) for one in rest.values()))
    if len(kinds_of) > MOST_KINDS:
        raise LookupError("too many kinds of entries")
    by_text = {repr(one): one for one in rest.values()}
    # The kind that is told apart most simply goes first; the last needs no condition.
    while len(kinds_of) > 1:
        kind = kinds_of[0]
        options = []
        for text in kinds_of:
            try:
                options.append(
                    (solver.separate({p: repr(one) == text for p, one in rest.items()}, part), text)
                )
            except LookupError:
                continue
        if not options:
            raise LookupError(f"no condition for {kind}")
        condition, text = min(options, key=lambda one: len(repr(one[0])))
        cases.append([condition, by_text[text]])
        kinds_of.remove(text)
        rest = {p: one for p, one in rest.items() if repr(one) != text}
    return [*cases, by_text[kinds_of[0]]] if kinds_of else [*cases, None]


def asked_by(rule: Mapping[str, Any]) -> set[str]:
    """The fields that a rule asks for, but for what a file says itself."""
    found = set(paths_of(rule["value"])) if "value" in rule else set()
    if "entries" in rule:
        found |= set(paths_of(rule["entries"]))
    for case in rule.get("kinds", [])[:-1]:
        found |= set(paths_of(case[0]))
    return {path for path in found if not path.startswith(AS_SAID)}


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return list(first) == list(second)
    return same(first, second)
