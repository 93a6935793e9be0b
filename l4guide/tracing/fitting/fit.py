"""The record of a type: its parameters, calls and cache as expressions in the fields of its configuration."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from l4guide.tracing.fitting.groups import KEYS, NUMBERS, Group, depths, groups, numeric, shapes
from l4guide.tracing.fitting.rows import Rows, distance, flat
from l4guide.tracing.fitting.search import SMALL
from l4guide.tracing.fitting.solve import Solver
from l4guide.tracing.language import Unsaid, Values

#: What so few configurations have may stay unexplained.
FEW = 3


#: Components whose calls a record may leave out.
TOWERS = ("vision", "audio")
#: Layers of a stack that may each have expressions of their own.
MOST_APART = 24
#: Solvers that are kept: their tables are large.
MOST_SOLVERS = 6


class NoFit(Exception):
    """No expression was found for something that a type is made of."""


def fields_seen(one: Mapping[str, Any], parts: Sequence[str]) -> Any:
    """What asks for the completed fields of one configuration."""
    known = flat(one["resolved"], parts)

    def field(path: str) -> Any:
        if path not in known:
            raise Unsaid(path)
        return known[path]

    return field


class Fit:
    """The expressions of one type, found over the configurations that it was seen at."""

    def __init__(
        self,
        study: Mapping[str, Any],
        seen: Sequence[Mapping[str, Any]],
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.seen = seen
        self.parts = list(study["parts"])
        fields = [path for path in study["fields"] if path not in without]
        self.paths = sorted(fields, key=lambda path: (path in study["derived"], path))
        self.fields = [fields_seen(one, self.parts) for one in seen]
        found = {kind: groups(kind, seen) for kind in KEYS}
        self.groups = found
        self.depths = depths([*found["parameters"], *found["calls"]], len(seen))
        self.depths = {**self.depths, **depths(found["kept"], len(seen))}
        self.deep: dict[str, Any] = {}
        #: Towers whose calls no expression was found for; all of them are left out.
        self.towers: set[str] = set()
        #: Conditions under which there is what was seen too seldom to be explained.
        self.unexplained: list[Any] = []
        self.near: dict[str, list[Any]] = {}
        self._solved: dict[Any, Any] = {}
        self._solvers: dict[Any, Solver] = {}

    def terms(self, kind: str) -> list[dict[str, Any]]:
        """Every group of one kind as a term.

        Raises:
            NoFit: no expression was found for one.
        """
        ordered = sorted(self.groups[kind], key=lambda group: -len(group.seen))
        found: dict[int, list[dict[str, Any]]] = {}
        for group in ordered:
            try:
                found[id(group)] = self._terms(kind, group)
            except NoFit:
                if kind == "calls" and group.said[0] in TOWERS:
                    self.towers.add(group.said[0])
                    continue
                if 0 in group.seen or len(group.seen) > FEW:
                    raise
                self.unexplained.append(self._condition(group))
        return [
            term
            for group in self.groups[kind]
            if not (kind == "calls" and group.said[0] in self.towers)
            for term in found.get(id(group), ())
        ]

    def _terms(self, kind: str, group: Group) -> list[dict[str, Any]]:
        """A group as one term; where its stack always has the same few layers and no pattern, as one a layer.

        Raises:
            NoFit: no expression was found.
        """
        try:
            return [self._term(kind, group)]
        except NoFit:
            deep = set(self.depths[group.stack]) if group.layered else set()
            if len(deep) != 1 or max(deep) > MOST_APART:
                raise
        return [self._term(kind, one) for one in group.by_layer()]

    def _condition(self, group: Group) -> Any:
        """When there is what no expression was found for: the record does not answer then."""
        rows = [Values(one) for one in self.fields]
        present = {number: number in group.seen for number in range(len(rows))}
        try:
            return self._solver(rows, None, layered=False).separate(present, self._part(group), group.path)
        except LookupError as problem:
            raise NoFit(f"{group.path}: {problem}") from problem

    def _term(self, kind: str, group: Group) -> dict[str, Any]:
        try:
            term = dict(zip(KEYS[kind], group.said, strict=True)) | self._where(group)
            return term | dict(self._numbers(kind, group))
        except LookupError as problem:
            raise NoFit(f"{kind} {group.path}: {problem}") from problem

    def _where(self, group: Group) -> dict[str, Any]:
        """The layers that hold it: how many there are in the stack, and which of them."""
        part = self._part(group)
        rows, wanted = [], []
        deep = self.depths[group.stack] if group.layered else [1] * len(self.seen)
        for number, layers in enumerate(deep):
            for layer in range(layers):
                rows.append(Values(self.fields[number], layer=layer, layers=layers))
                wanted.append(layer in group.seen.get(number, {}))
        try:
            condition = self._known(
                ("where", group.layered, part, tuple(deep), tuple(wanted)),
                rows,
                lambda solver: solver.separate(dict(enumerate(wanted)), part, group.path),
                layered=group.layered,
            )
        except LookupError:
            if not group.layered:
                raise
            return {"layers": self._counted(group, part)}
        found: dict[str, Any] = {} if condition == ["always"] else {"where": condition}
        if group.layered:
            found["layers"] = self._deep(group.stack, part)
        return found

    def _counted(self, group: Group, part: str) -> Any:
        """How many layers hold it, where nothing tells which."""
        counts = [len(group.seen.get(number, {})) for number in range(len(self.seen))]
        rows = [Values(one) for one in self.fields]
        return self._known(
            ("counts", tuple(counts), part), rows, lambda solver: solver.solve(counts, part), layered=False
        )

    def _deep(self, stack: str, part: str) -> Any:
        if stack not in self.deep:
            rows = [Values(one) for one in self.fields]
            deep = self.depths[stack]
            self.deep[stack] = self._known(
                ("deep", tuple(deep), part), rows, lambda solver: solver.solve(deep, part), layered=False
            )
        return self.deep[stack]

    def _numbers(self, kind: str, group: Group) -> Iterator[tuple[str, Any]]:
        """The numbers of a group, each as an expression."""
        sample = next(iter(next(iter(group.seen.values())).values()))[0]
        yield "count", self._number(group, lambda things: len(things))
        yield (
            "shapes",
            [
                [self._number(group, _axis(tensor, axis)) for axis in range(len(shape))]
                for tensor, shape in enumerate(shapes(sample))
            ],
        )
        for name in NUMBERS[kind]:
            yield name, self._number(group, lambda things, name=name: numeric(things[0], name))

    def _number(self, group: Group, of: Any) -> Any:
        """One number, over the configurations where it is the same in all layers, else over layers."""
        even, rows, wanted = True, [], []
        for number, layers in group.seen.items():
            values = {layer: of(things) for layer, things in layers.items()}
            even &= len(set(values.values())) == 1
            deep = self.depths[group.stack][number] if group.layered else 1
            for layer, value in values.items():
                rows.append(Values(self.fields[number], layer=layer, layers=deep))
                wanted.append(value)
        if even:
            wanted = [of(next(iter(layers.values()))) for layers in group.seen.values()]
            rows = [Values(self.fields[number]) for number in group.seen]
        part = self._part(group)
        places = tuple(group.seen) if even else tuple((id(row.fields), row.layer) for row in rows)
        try:
            found = self._known(
                (places, tuple(wanted), part),
                rows,
                lambda solver: solver.solve(wanted, part),
                layered=not even,
            )
        except LookupError:
            found = self._like_others(group, rows, wanted)
        if isinstance(found, int) and found > SMALL:
            found = self._field_for(found, rows, part)
        self.near.setdefault(group.path.rpartition(".")[0], []).append(found)
        return found

    def _field_for(self, constant: int, rows: list[Values], part: str) -> Any:
        """The field that happened to be the same wherever something was seen, and is another elsewhere.

        Raises:
            LookupError: several fields may be meant.
        """
        found = []
        for path in self._near(part):
            here = Rows(rows, []).numbers(path)
            everywhere = set(Rows([Values(one) for one in self.fields], []).numbers(path))
            for factor in (1, 2):
                alike = all(one is not None and one * factor == constant for one in here)
                if alike and len(everywhere) > 1:
                    found.append(path if factor == 1 else ["*", 2, path])
        if len(found) > 1:
            raise LookupError(f"{constant} may be any of {found[:3]}")
        return found[0] if found else constant

    def _like_others(self, group: Group, rows: list[Values], wanted: list[Any]) -> Any:
        """An axis of the same module that has these numbers, or of any where rows are enough.

        Raises:
            LookupError: none has.
        """
        module = group.path.rpartition(".")[0]
        around = module.rpartition(".")[0]
        inner = [one for path, held in self.near.items() if path.startswith(around) for one in held]
        every = [one for held in self.near.values() for one in held] if len(rows) > 1 else []
        for one in (*self.near.get(module, ()), *inner, *every):
            if isinstance(one, str | list) and Rows(rows, []).numbers(one) == wanted:
                return one
        raise LookupError(f"nothing has {wanted[:3]}")

    def _known(self, key: Any, rows: list[Values], ask: Any, *, layered: bool) -> Any:
        """What a solver says, its answer kept: first one that knows the fields nearby alone, then one of all fields."""
        if key not in self._solved:
            part = key[-1] if isinstance(key[-1], str) else key[2]
            try:
                self._solved[key] = ask(self._solver(rows, part, layered=layered))
            except LookupError as problem:
                self._solved[key] = problem
                if len(self._near(part)) < len(self.paths):
                    with suppress(LookupError):
                        self._solved[key] = ask(self._solver(rows, None, layered=layered))
        found = self._solved[key]
        if isinstance(found, LookupError):
            raise found
        return found

    def _near(self, part: str | None) -> list[str]:
        """The fields of a part, of what it is in, and of what is in it."""
        return [path for path in self.paths if part is None or distance(path, part)[0] < 2]

    def _solver(self, rows: list[Values], part: str | None, *, layered: bool) -> Solver:
        """The solver over these rows; the last few are kept."""
        key = (part, layered, tuple((id(row.fields), row.layer, row.layers) for row in rows))
        if key not in self._solvers:
            while len(self._solvers) >= MOST_SOLVERS:
                del self._solvers[next(iter(self._solvers))]
            self._solvers[key] = Solver(Rows(rows, self._near(part), layered=layered))
        return self._solvers[key]

    def _part(self, group: Group) -> str:
        """The part of the configuration that a path is likely to be made by."""
        if not self.parts:
            return ""
        path = group.path.lower()
        near = [part for part in self.parts if part.rpartition(".")[2].partition("_")[0] in path]
        text = next((p for p in self.parts if p in ("text_config", "llm_config", "decoder")), "")
        return near[0] if near else text


def _axis(tensor: int, axis: int) -> Any:
    return lambda things: shapes(things[0])[tensor][axis]
