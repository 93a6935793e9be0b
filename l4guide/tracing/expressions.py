"""The trace of a configuration from recorded expressions: no torch, no transformers, no total that was looked up.

`data/traces/expressions/` has a line a type, a file for each initial. Each was found by `make traces` at many
configurations of the type, and held to others that it was not found at. It answers for configurations of the kinds that
were tried; see `resolution`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from l4guide import catalogue
from l4guide.errors import BadData
from l4guide.model.traced import KINDS, Call, Kept, Trace, sharing, together
from l4guide.tracing.language import MOST, Unsaid, Values, holds, number
from l4guide.tracing.resolution import Resolution

EXPRESSIONS = "expressions"
#: Words that expressions have as numbers.
WORDS: Mapping[str, tuple[str, ...]] = {
    "mask": ("none", "causal", "bool", "additive"),
    "through": ("interface", "sdpa", "eager", "modules"),
}
#: More layers than any stack has.
MOST_LAYERS = 4096
#: Classes of a type that have no head of a language model.
OTHER_CLASSES = ("Model", "Classification", "Answering", "Choice", "Prediction", "Encoder")


def expressed(config: Mapping[str, Any]) -> Trace | None:
    """The trace of a configuration; None where its type has no record, or the record was never tried with its like.

    Raises:
        BadData: the record is missing or broken.
    """
    found = record(str(config.get("model_type")))
    if found is None or _is_of_another_class(config, found):
        return None
    fields = Resolution(found, config)
    if fields.outside():
        return None
    try:
        return evaluated(found, fields)
    except Unsaid:
        return None


def outside(config: Mapping[str, Any]) -> str | None:
    """The field that keeps a record from answering for a configuration; None where its type has no record.

    Raises:
        BadData: as `expressed`.
    """
    found = record(str(config.get("model_type")))
    return None if found is None else Resolution(found, config).outside()


def file_of(model_type: str) -> Path:
    """The file that a type's line is in."""
    return catalogue.data_folder() / "traces" / EXPRESSIONS / f"{model_type[0]}.jsonl"


@cache
def record(model_type: str) -> Mapping[str, Any] | None:
    """The line of a type; None where there is none.

    Raises:
        BadData: the file cannot be read, or the line is broken.
    """
    import json

    if not re.fullmatch(r"[a-z]\w*([.-]\w+)*", model_type):
        return None
    path = file_of(model_type)
    if not path.exists():
        return None
    start = f'{{"model_type":{json.dumps(model_type)},'
    try:
        with path.open(encoding="utf-8") as file:
            line = next((line for line in file if line.startswith(start)), None)
        return None if line is None else json.loads(line)
    except (OSError, ValueError) as error:
        raise BadData("error.unreadable_table", file=path, reason=error) from None


def _is_of_another_class(config: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    named = config.get("architectures")
    if not isinstance(named, list) or not named or found["class"] in named:
        return False
    return str(named[0]).endswith(OTHER_CLASSES)


def evaluated(found: Mapping[str, Any], fields: Resolution) -> Trace:
    """A record over the fields of a configuration.

    Raises:
        Unsaid: an expression asks for what the configuration does not say.
    """
    values = Values(fields.field)
    modules, active = _parameters(found["parameters"], values)
    calls = tuple(call for term in found["calls"] for call in _calls(term, values))
    kept = None if found["kept"] is None else [one for term in found["kept"] for one in _kept(term, values)]
    return Trace(
        model_type=found["model_type"],
        model_class=found["class"],
        transformers=found["transformers"],
        parameters=sum(modules.values()),
        active_parameters=active,
        modules=modules,
        calls=_alike(calls),
        kept=None if kept is None else together(kept),
        tokens=0,
        flops=None,
        shared_layers=sharing(calls, kept or (), two=found["two_stacks"]),
        unsaid=found["unsaid"],
    )


def _parameters(terms: list[Mapping[str, Any]], values: Values) -> tuple[dict[str, int], int | None]:
    """Parameters by kind, and those that one token is multiplied with."""
    counted = dict.fromkeys(KINDS, 0)
    idle, unknown = 0, False
    for term in terms:
        for here, layers in _places(term, values):
            elements = _whole(term["elements"], here) * layers
            counted[term["kind"]] += elements
            if number(term.get("looked_up", 0), here):
                idle += elements
            elif term["kind"] == "experts":
                experts, taken = number(term.get("experts"), here), number(term.get("taken"), here)
                unknown |= not experts or taken is None
                idle += (
                    round(elements * (1 - min(taken, experts) / experts))
                    if experts and taken is not None
                    else 0
                )
    if max(counted.values()) > MOST:
        raise Unsaid("parameters")
    active = None if unknown else sum(counted.values()) - idle - counted["tower"]
    return {kind: elements for kind, elements in counted.items() if elements}, active


def _places(term: Mapping[str, Any], values: Values) -> Iterator[tuple[Values, int]]:
    """The layers that hold a term, each as values to evaluate it at and how many are like it."""
    where = term.get("where", ["always"])
    if "layers" not in term:
        if holds(where, values):
            yield values, 1
        return
    layers = _whole(term["layers"], values)
    if layers > MOST_LAYERS:
        raise Unsaid("layers")
    found = [here for layer in range(layers) if holds(where, here := values.at(layer, layers))]
    if not term.get("varies") and found:
        yield found[0], len(found)
    else:
        yield from ((here, 1) for here in found)


def _calls(term: Mapping[str, Any], values: Values) -> Iterator[Call]:
    for here, layers in _places(term, values):
        said: dict[str, Any] = {name: number(term.get(name), here) for name in ("window", "chunk", "softcap")}
        said |= {name: bool(number(term.get(name, 0), here)) for name in ("causal", "bias", "sinks")}
        said |= {name: _word(words, _whole(term.get(name, 0), here)) for name, words in WORDS.items()}
        said |= {name: _whole(term[name], here) for name in ("head_dim", "head_dim_v", "heads", "kv_heads")}
        count = layers * _whole(term.get("count", 1), here)
        yield Call(component=term["component"], layers=count, cross=bool(term.get("cross")), **said)


def _word(words: tuple[str, ...], place: int) -> str:
    if place >= len(words):
        raise Unsaid("word")
    return words[place]


def _kept(term: Mapping[str, Any], values: Values) -> Iterator[Kept]:
    for here, layers in _places(term, values):
        states = [[_whole(axis, here) for axis in shape] for shape in term.get("states", ())]
        yield Kept(
            layers=layers * _whole(term.get("count", 1), here),
            elements=_whole(term.get("elements", 0), here),
            window=number(term.get("window"), here),
            stride=_whole(term.get("stride", 1), here),
            state_elements=sum(_product(shape[:-1]) for shape in states),
            state_bytes=sum(_product(shape) for shape in states),
            cross=bool(term.get("cross")),
            source=number(term.get("source"), here),
        )


def _alike(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """Calls that differ in their layers alone as one."""
    from dataclasses import replace

    counted: dict[Call, int] = {}
    for call in calls:
        one = replace(call, layers=1)
        counted[one] = counted.get(one, 0) + call.layers
    return tuple(replace(call, layers=layers) for call, layers in counted.items())


def _product(axes: list[int]) -> int:
    found = 1
    for axis in axes:
        found *= axis
        if found > MOST:
            raise Unsaid("states")
    return found


def _whole(expression: Any, values: Values) -> int:
    found = number(expression, values)
    if not isinstance(found, int) or found < 0:
        raise Unsaid(str(expression)[:40])
    return found
