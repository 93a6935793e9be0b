"""How a type completes a configuration: a rule for each field that is not as the file, or else the type, says it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from l4guide.tracing.fitting.rows import Rows, flat, paths_of
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
        self.legacy = study["legacy"]
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
            if path not in study["derived"] and not isinstance(value, list)
        }
        self.found: dict[str, Any] = {}

    def _is_plain(self, path: str) -> bool:
        """Whether a field is what the file says, or else what the type has, in every configuration."""
        return all(
            path not in known or _same(fields.field(path), known[path])
            for fields, known in zip(self.plain, self.resolved, strict=True)
            if path in known or path in self.usual
        )

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

    def _rule(self, path: str) -> dict[str, Any]:
        seen = [number for number, known in enumerate(self.resolved) if path in known]
        values = [self.resolved[number][path] for number in seen]
        rows = [Values(self._fields(number)) for number in seen]
        own = f"{AS_SAID}{path}"
        paths = [*self.paths, own, *(f"{AS_SAID}{name}" for name in self.legacy)]
        part = path.rpartition(".")[0]
        try:
            if any(isinstance(one, list) for one in values):
                return self._entries(path, seen, part)
            if all(one is None or type(one) in (int, float) for one in values):
                return {"value": Solver(Rows(rows, paths)).solve(values, part)}
            return {"kinds": _kinds(Solver(Rows(rows, paths)), dict(enumerate(values)), part, own)}
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
        paths = [*self.paths, *(f"{AS_SAID}{name}" for name in self.legacy)]
        whole = Rows([Values(self._fields(number)) for number in silent], paths)
        length = Solver(whole).solve([len(entries) for entries in lists.values()], part)
        rows, wanted = [], []
        for number, entries in lists.items():
            for layer, entry in enumerate(entries):
                rows.append(Values(self._fields(number), layer=layer, layers=len(entries)))
                wanted.append(entry)
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


def tried(study: Mapping[str, Any], seen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By field, the kinds of values that it was tried with; where it always had one value, that value."""
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
    usual = flat(study["seen"][0]["resolved"], parts)
    found: dict[str, Any] = {}
    for path in (*study["fields"], *study["legacy"]):
        values = [one[path] for one in said if path in one]
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
