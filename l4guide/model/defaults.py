"""What a type of model takes where its configuration is silent, as transformers has it: recorded in `data/traces/`."""

import json
from collections.abc import Iterable, Mapping
from functools import cache

from l4guide import catalogue
from l4guide.errors import BadData

CONFIGS = "configs.jsonl"


@cache
def _lines() -> Mapping[str, Mapping[str, object]]:
    path = catalogue.data_folder() / "traces" / CONFIGS
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        return {line["model_type"]: line for line in lines}
    except (OSError, ValueError, KeyError) as error:
        raise BadData("error.unreadable_table", file=path, reason=error) from None


@cache
def defaults() -> Mapping[str, Mapping[str, object]]:
    """By type, its fields that do not follow from others; lists, which have an entry a layer, are left out.

    Raises:
        BadData: the file is missing, or one of its lines is broken.
    """
    return {
        name: _fixed(line["config"], set(line["derived"]), "")  # type: ignore[arg-type, call-overload]
        for name, line in _lines().items()
    }


def pattern(model_type: str, name: str) -> list[object]:
    """The shortest run of kinds that a type's list with an entry a layer repeats; empty where it repeats none.

    Raises:
        BadData: the file is missing, or one of its lines is broken.
    """
    line = _lines().get(model_type)
    config = line["config"] if line else {}
    listed = config.get(name) if isinstance(config, dict) else None
    if not isinstance(listed, list):
        return []
    for length in range(1, len(listed) // 2 + 1):
        if all(kind == listed[place % length] for place, kind in enumerate(listed)):
            return listed[:length]
    return []


def forget() -> None:
    """Read the file again when it is next asked: it was written anew."""
    _lines.cache_clear()
    defaults.cache_clear()


def known_fields(model_type: str) -> frozenset[str]:
    """The names of all fields that a type has; empty for a type that is not recorded.

    Raises:
        BadData: the file is missing, or one of its lines is broken.
    """
    line = _lines().get(model_type)
    return frozenset(line["config"]) if line else frozenset()  # type: ignore[call-overload]


def _fixed(config: Mapping[str, object], derived: set[str], path: str) -> Mapping[str, object]:
    return {
        key: _fixed(value, derived, f"{path}{key}.") if isinstance(value, dict) else value
        for key, value in config.items()
        if f"{path}{key}" not in derived and not isinstance(value, list)
    }


def taken(
    own: Mapping[str, object], outer: Mapping[str, object], inner: Iterable[str]
) -> Mapping[str, object]:
    """What the language model `own` of a configuration takes for granted; `inner` are names of parts that hold it.

    What the whole gives its part by default goes before what the part's type has by itself.
    """
    known = defaults()
    whole = known.get(str(outer.get("model_type")), {})
    if own is outer:
        return whole
    part = next((whole[key] for key in inner if isinstance(whole.get(key), dict)), None)
    return part if isinstance(part, dict) else known.get(str(own.get("model_type")), {})
