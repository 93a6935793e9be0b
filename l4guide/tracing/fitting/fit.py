"""The record of a type: its parameters, calls and cache as expressions in the fields of its configuration."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from l4guide.tracing.fitting.groups import KEYS, NUMBERS, Group, depths, groups, numeric, shapes
from l4guide.tracing.fitting.rows import Rows, flat
from l4guide.tracing.fitting.solve import Solver
from l4guide.tracing.language import Unsaid, Values


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

    def __init__(self, study: Mapping[str, Any], seen: Sequence[Mapping[str, Any]]) -> None:
        self.seen = seen
        self.parts = list(study["parts"])
        self.paths = sorted(study["fields"], key=lambda path: (path in study["derived"], path))
        self.fields = [fields_seen(one, self.parts) for one in seen]
        found = {kind: groups(kind, seen) for kind in KEYS}
        self.groups = found
        self.depths = depths([*found["parameters"], *found["calls"]], len(seen))
        self.depths = {**self.depths, **depths(found["kept"], len(seen))}
        self.deep: dict[str, Any] = {}
        self.near: dict[str, list[Any]] = {}
        self._solved: dict[Any, Any] = {}
        self._solvers: dict[Any, Solver] = {}

    def terms(self, kind: str) -> list[dict[str, Any]]:
        """Every group of one kind as a term.

        Raises:
            NoFit: no expression was found for one.
        """
        ordered = sorted(self.groups[kind], key=lambda group: -len(group.seen))
        found = {id(group): self._term(kind, group) for group in ordered}
        return [found[id(group)] for group in self.groups[kind]]

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
        condition = self._known(
            ("where", group.layered, part, tuple(deep), tuple(wanted)),
            lambda: self._solver(rows, layered=group.layered).separate(
                dict(enumerate(wanted)), part, group.path
            ),
        )
        found: dict[str, Any] = {} if condition == ["always"] else {"where": condition}
        if group.layered:
            found["layers"] = self._deep(group.stack, part)
        return found

    def _deep(self, stack: str, part: str) -> Any:
        if stack not in self.deep:
            rows = [Values(one) for one in self.fields]
            deep = self.depths[stack]
            self.deep[stack] = self._known(
                ("deep", tuple(deep), part), lambda: self._solver(rows, layered=False).solve(deep, part)
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
                lambda: self._solver(rows, layered=not even).solve(wanted, part),
            )
        except LookupError:
            found = self._like_others(group, rows, wanted)
        self.near.setdefault(group.path.rpartition(".")[0], []).append(found)
        return found

    def _like_others(self, group: Group, rows: list[Values], wanted: list[Any]) -> Any:
        """An axis of the same module that has these numbers, or of any where rows are enough.

        Raises:
            LookupError: none has.
        """
        module = group.path.rpartition(".")[0]
        every = [one for held in self.near.values() for one in held] if len(rows) > 1 else []
        for one in (*self.near.get(module, ()), *every):
            if isinstance(one, str | list) and Rows(rows, []).numbers(one) == wanted:
                return one
        raise LookupError(f"nothing has {wanted[:3]}")

    def _solver(self, rows: list[Values], *, layered: bool) -> Solver:
        """The solver over these rows, made once."""
        key = (layered, tuple((id(row.fields), row.layer, row.layers) for row in rows))
        if key not in self._solvers:
            self._solvers[key] = Solver(Rows(rows, self.paths, layered=layered))
        return self._solvers[key]

    def _known(self, key: Any, make: Any) -> Any:
        """What was found for the same question before."""
        if key not in self._solved:
            try:
                self._solved[key] = make()
            except LookupError as problem:
                self._solved[key] = problem
        found = self._solved[key]
        if isinstance(found, LookupError):
            raise found
        return found

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
