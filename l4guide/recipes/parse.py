"""The keys of a stranger's YAML or JSON file: no code runs, and neither size, depth nor references get out of hand."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from l4guide.errors import BadInput

#: No recipe that anyone published comes near these.
MOST_BYTES, MOST_KEYS, MOST_DEPTH = 256 * 1024, 2000, 6
#: Characters of a value, and values of a list, that are looked at.
MOST_CHARACTERS, MOST_VALUES = 500, 64
#: What stands for a value that is not looked into: lists in lists may grow without end by referring to one another.
DEEPER = "…"


def read_keys(path: Path) -> dict[str, object]:
    """Every key of a file with its value, `a.b` for key b inside a; what holds keys is there itself as well.

    Raises:
        BadInput: it cannot be read, is too large, is neither YAML nor JSON, or holds no keys.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= MOST_BYTES else ""
    except (OSError, UnicodeDecodeError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise BadInput("error.recipe_unreadable", path=path, problem=problem) from error
    if size > MOST_BYTES:
        raise BadInput("error.recipe_too_large", path=path, limit=MOST_BYTES)
    return parse_keys(text, path.name)


def parse_keys(text: str, name: str) -> dict[str, object]:
    """The same of a text called `name`.

    Raises:
        BadInput: it is neither YAML nor JSON, or holds no keys.
    """
    found = _loaded(text, name)
    if not isinstance(found, Mapping) or not found:
        raise BadInput("error.recipe_no_keys", path=name, kind=type(found).__name__)
    keys: dict[str, object] = {}
    for key, value in _walked(found, "", MOST_DEPTH):
        keys[key] = value
        if len(keys) > MOST_KEYS:
            raise BadInput("error.recipe_too_large", path=name, limit=MOST_BYTES)
    return keys


def _loaded(text: str, name: str) -> object:
    """What a text says: as JSON where it is that, else as YAML, of which plain values alone are read."""
    if text.lstrip().startswith("{"):
        try:
            found: object = json.loads(text)
        except (ValueError, RecursionError):
            pass  # YAML has such braces as well
        else:
            return found
    import yaml  # only who hands over a recipe waits for it

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError) as error:
        problem = " ".join(str(error).split())[:120] or type(error).__name__
        raise BadInput("error.recipe_not_yaml", path=name, problem=problem) from error


def _walked(found: Mapping[object, object], before: str, depth: int) -> Iterator[tuple[str, object]]:
    """Keys and values, outer ones first; lists are values. What refers to itself ends at the depth."""
    for key, value in found.items():
        name = f"{before}{_plain(key)}"[:200]
        yield name, _plain(value, 1)
        if isinstance(value, Mapping) and depth:
            yield from _walked(value, f"{name}.", depth - 1)


def _plain(value: object, depth: int = 0) -> object:
    """A value no larger than what is looked at, with what lies deeper left out."""
    if isinstance(value, str):
        return value[:MOST_CHARACTERS]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and depth:
        return [_plain(one, depth - 1) for one in value[:MOST_VALUES]]
    if isinstance(value, Mapping) and depth:
        few = list(value.items())[:MOST_VALUES]
        return {str(_plain(key)): _plain(one, depth - 1) for key, one in few}
    return DEEPER if isinstance(value, list | tuple | Mapping | set) else str(value)[:MOST_CHARACTERS]
