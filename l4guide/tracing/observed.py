"""What one configuration was seen to be made of, layer by layer: what expressions are fitted to."""

import re
from collections.abc import Mapping
from typing import Any

from l4guide.tracing.attention import Sighting, component_of, is_cross
from l4guide.tracing.cache import Layer
from l4guide.tracing.forward import Watched, watch
from l4guide.tracing.weights import Held, held

NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.|$)|(?<=expert_)\d+(?=\.|$)")


def observe(make: Any, *, way: Any = None) -> tuple[dict[str, Any], Any]:
    """The model of the configuration that `make` returns, as JSON holds it, and the way in which it ran; see `watch`.

    `resolved` is the configuration as its type completed it. Each of `parameters`, `calls` and `kept` is a list of
    [key, numbers of the layers in the key's path, what was seen]: a key is a path without its numbers.

    Raises:
        Exception: whatever transformers says of a configuration that it cannot build.
    """
    resolved = make().to_dict()
    seen = watch(make, way=way)
    found = {
        "resolved": resolved,
        "class": type(seen.model).__name__,
        "two_stacks": seen.two_stacks,
        "unsaid": seen.unsaid,
        "parameters": [_parameter(one) for one in held(seen.model, seen.taken)],
        "calls": [_call(sighting, seen) for sighting in seen.sightings],
        "kept": None if seen.kept is None else [_kept(layer) for layer in seen.kept],
    }
    return found, seen.way


def without_numbers(path: str) -> tuple[str, list[int]]:
    """A path with a star for each number in it, and the numbers."""
    return NUMBER.sub("*", path), [int(number) for number in NUMBER.findall(path)]


def _parameter(one: Held) -> list[Any]:
    key, places = without_numbers(one.name)
    said: Mapping[str, Any] = {
        "kind": one.kind,
        "looked_up": one.looked_up,
        "shape": list(one.shape),
        "experts": one.experts,
        "taken": one.taken,
    }
    return [key, places, said]


def _call(sighting: Sighting, seen: Watched) -> list[Any]:
    key, places = without_numbers(sighting.module)
    said = {
        "component": component_of(sighting.module, two_stacks=seen.two_stacks),
        "cross": is_cross(sighting.module),
        "causal": sighting.seen.causal and not is_cross(sighting.module),
        "mask": sighting.mask,
        "bias": sighting.bias,
        "sinks": sighting.sinks,
        "through": sighting.through,
        "head_dim": sighting.query[-1],
        "head_dim_v": sighting.value_width,
        "heads": sighting.query[1],
        "kv_heads": sighting.key[1],
        "window": sighting.seen.window,
        "chunk": sighting.seen.chunk,
        "softcap": sighting.softcap or None,
    }
    return [key, places, said]


def _kept(layer: Layer) -> list[Any]:
    one = layer.kept
    said = {
        "cross": one.cross,
        "elements": one.elements,
        "window": one.window,
        "stride": one.stride,
        "states": [list(shape) for shape in layer.states],
        "source": one.source,
    }
    return ["cross.*" if one.cross else "cache.*", [layer.number], said]
