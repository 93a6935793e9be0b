"""What was seen, brought together by path: the layers that hold it, and its numbers over configurations and layers."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from l4guide.frozen import frozen

#: What tells apart things of one path, and what is said of them as numbers; truths are 0 and 1.
KEYS: Mapping[str, tuple[str, ...]] = {
    "parameters": ("kind",),
    "calls": ("component", "cross"),
    "kept": ("cross", "grows", "states_kept"),
}
NUMBERS: Mapping[str, tuple[str, ...]] = {
    "parameters": ("looked_up", "experts", "taken"),
    "calls": (
        *("head_dim", "head_dim_v", "heads", "kv_heads", "window", "chunk", "softcap"),
        *("causal", "bias", "sinks", "mask", "through"),
    ),
    "kept": ("elements", "window", "stride", "source"),
}
#: Words that stand for their places.
WORDS: Mapping[str, tuple[str, ...]] = {
    "mask": ("none", "causal", "bool", "additive"),
    "through": ("interface", "sdpa", "eager", "modules"),
}


@frozen
class Group:
    """Things of one path: by configuration, then by layer (0 where its path has none), what is there."""

    path: str
    said: tuple[Any, ...]
    seen: Mapping[int, Mapping[int, tuple[Mapping[str, Any], ...]]]

    @property
    def layered(self) -> bool:
        """Whether it lies in a stack of layers."""
        return "*" in self.path

    @property
    def stack(self) -> str:
        """The path of the stack that it lies in."""
        return self.path.partition("*")[0]

    def by_layer(self) -> list["Group"]:
        """What each layer holds, as if there were no stack."""
        head, _, rest = self.path.partition("*")
        every = sorted({layer for layers in self.seen.values() for layer in layers})
        return [
            Group(
                path=f"{head}{layer}{rest.replace('*', '#')}",
                said=self.said,
                seen={n: {0: layers[layer]} for n, layers in self.seen.items() if layer in layers},
            )
            for layer in every
        ]


def groups(kind: str, seen: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Everything of one kind that the configurations were seen to have, by path."""
    found: dict[Any, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for number, one in enumerate(seen):
        for path, places, said in one[kind] or ():
            if kind == "kept":
                said |= {"grows": said["elements"] > 0, "states_kept": len(said["states"])}
            rank = len(said.get("shape", ()))
            key = (path, tuple(said[name] for name in KEYS[kind]), rank)
            layer, *inner = places or (0,)
            found[key][number][layer].append((tuple(inner), said))
    return [
        group
        for (path, said, rank), by_config in found.items()
        for group in _even(path, said, rank, kind, by_config)
    ]


def _even(path: str, said: tuple[Any, ...], rank: int, kind: str, by_config: Any) -> Iterator[Group]:
    """One group; where things of one layer differ among themselves, one for each inner number."""
    names = NUMBERS[kind]
    even = all(
        len({_numbers(one, names) for _, one in things}) == 1
        for layers in by_config.values()
        for things in layers.values()
    )
    if even:
        yield Group(path=path, said=said, seen=_bare(by_config))
        return
    inner = sorted({place for layers in by_config.values() for t in layers.values() for place, _ in t})
    for place in inner:
        some: Any = defaultdict(lambda: defaultdict(list))
        for number, layers in by_config.items():
            for layer, things in layers.items():
                chosen = [thing for thing in things if thing[0] == place]
                if chosen:
                    some[number][layer] = chosen
        head, star, rest = path.partition("*")
        for index in place:
            rest = rest.replace("*", str(index), 1)
        yield from _distinct(head + star + rest, said, names, some)


def _distinct(path: str, said: tuple[Any, ...], names: tuple[str, ...], by_config: Any) -> Iterator[Group]:
    """One group, or one for each of the different things that lie at one place, in their order."""
    most = max(
        len({_numbers(one, names) for _, one in things})
        for layers in by_config.values()
        for things in layers.values()
    )
    for rank in range(most):
        some: Any = defaultdict(lambda: defaultdict(list))
        for number, layers in by_config.items():
            for layer, things in layers.items():
                kinds = list(dict.fromkeys(_numbers(one, names) for _, one in things))
                if rank < len(kinds):
                    some[number][layer] = [t for t in things if _numbers(t[1], names) == kinds[rank]]
        yield Group(path=path, said=said, seen=_bare(some))


def _bare(by_config: Any) -> Mapping[int, Mapping[int, tuple[Mapping[str, Any], ...]]]:
    return {
        number: {layer: tuple(one for _, one in things) for layer, things in layers.items()}
        for number, layers in by_config.items()
    }


def numeric(said: Mapping[str, Any], name: str) -> int | float | None:
    """What is said under a name, as a number."""
    value = said[name]
    if isinstance(value, str):
        return WORDS[name].index(value)
    return int(value) if isinstance(value, bool) else value


def _numbers(said: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    return (*map(tuple, shapes(said)), *(said[name] for name in names))


def shapes(said: Mapping[str, Any]) -> list[list[int]]:
    """The axes of the tensors that something is made of."""
    return [said["shape"]] if "shape" in said else said.get("states", [])


def depths(groups_of_all: Sequence[Group], configurations: int) -> Mapping[str, list[int]]:
    """By stack, how many layers it has in each configuration."""
    found: dict[str, list[int]] = {}
    for group in groups_of_all:
        if group.layered:
            deep = found.setdefault(group.stack, [0] * configurations)
            for number, layers in group.seen.items():
                deep[number] = max(deep[number], *(layer + 1 for layer in layers))
    return found
