"""Numeric fields that nothing read, less those that are known to change no count."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from l4guide.model.defaults import defaults
from l4guide.tracing.comparison import is_held
from l4guide.tracing.expressions import record

#: The parts of a record that say what depends on what.
DEPENDING = ("parameters", "calls", "kept", "rules", "unexplained")


def telling(unread: tuple[str, ...], config: Mapping[str, Any], *, expressed: bool) -> tuple[str, ...]:
    """The unread fields of a configuration that may change a count.

    A field changes none that its type was tried with at many numbers and whose expressions do not ask for it, nor one
    with the number that a type has by default whose counts are known to be right.

    Args:
        unread: names of fields, of the language model.
        config: the whole configuration.
        expressed: whether the counts are those of the type's expressions, which know all that they were tried with.

    Raises:
        BadData: a record is missing or broken.
    """
    if not unread:
        return ()
    idle = _idle(str(config.get("model_type")), expressed=expressed)
    usual = dict(_usual(config))
    return tuple(name for name in unread if name not in idle and usual.get(name) is None)


def _idle(model_type: str, *, expressed: bool) -> set[str]:
    """Names of the fields that a type's record was tried with, those that it asks for left out."""
    found = record(model_type)
    if found is None:
        return set()
    asked = "" if expressed else json.dumps([found.get(part) for part in DEPENDING])
    numbers = (path for path in found["numbers"] if f'"{path}"' not in asked)
    return {path.rpartition(".")[2] for path in numbers}


def _usual(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Fields with the number that their type has by default, of types that were found counted right."""
    parts = (config, *(part for part in config.values() if isinstance(part, Mapping)))
    for part in parts:
        name = str(part.get("model_type"))
        if is_held(name):
            known = defaults().get(name, {})
            yield from ((key, value) for key, value in part.items() if known.get(key) == value)
