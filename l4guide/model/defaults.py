"""What a type of model takes where its configuration is silent, as transformers has it: recorded in `data/traces/`."""

import json
from collections.abc import Iterable, Mapping
from functools import cache

from l4guide import catalogue
from l4guide.errors import BadData

CONFIGS = "configs.jsonl"
#: Layers at most that a list begins with before it repeats itself.
FIRST_APART = 3


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


def kinds_of(model_type: str, name: str, layers: int) -> list[object]:
    """The kinds of so many layers as a type lists them by default; empty where its list does not say how to go on.

    They are those of its list where it is as long, else go on as it does: a few first ones, a run that is repeated, and
    perhaps a last one of its own.

    Raises:
        BadData: the file is missing, or one of its lines is broken.
    """
    line = _lines().get(model_type)
    config = line["config"] if line else {}
    listed = config.get(name) if isinstance(config, dict) else None
    if not isinstance(listed, list) or len(set(map(str, listed))) < 2:
        return []
    if len(listed) == layers:
        return listed
    for last in (0, 1):
        body = listed[: len(listed) - last]
        for begun in range(FIRST_APART + 1):
            for length in range(1, (len(body) - begun) // 2 + 1):
                if all(body[n] == body[n - length] for n in range(begun + length, len(body))):
                    found = [body[n if n < begun else begun + (n - begun) % length] for n in range(layers)]
                    return found[: layers - last] + listed[len(listed) - last :]
    return []


def forget() -> None:
    """Read the file again when it is next asked: it was written anew."""
    _lines.cache_clear()
    defaults.cache_clear()


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
