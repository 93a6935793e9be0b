"""Which tool a file is of, which options its keys set, and which of its keys nothing here understands."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from l4guide.catalogue import data_folder
from l4guide.errors import BadData, BadInput
from l4guide.frozen import frozen
from l4guide.recipes.parse import read_keys
from l4guide.recipes.values import Settings
from l4guide.text import Joined, Sentence
from l4guide.toml import read_toml

FILE = "recipes.toml"


@frozen
class Reading:
    """A training tool's file, read: `options` are what it sets, by the names of options.

    `said` names the keys behind them, `assumed` the options that the tool's own default settles, `unread` the keys
    that nothing here understands.
    """

    name: str
    tool: str
    options: dict[str, object]
    said: tuple[str, ...]
    assumed: dict[str, object]
    unread: tuple[str, ...]

    def lines(self) -> Iterator[Sentence]:
        """What the file sets, what is assumed, and what is not understood."""
        named = {"file": self.name, "tool": self.tool}
        if self.unread:
            yield Sentence("remark.recipe_unread", {**named, "keys": Joined(self.unread)})
        yield Sentence("remark.recipe_sets", {**named, "keys": Joined(self.said)})
        if self.assumed:
            values = tuple(f"{name.replace('_', '-')} {value}" for name, value in self.assumed.items())
            yield Sentence("remark.recipe_assumed", {**named, "options": Joined(values)})

    def to_json(self) -> dict[str, object]:
        """What the file sets, what is assumed, and what is not understood."""
        return {
            "file": self.name,
            "tool": self.tool,
            "sets": {name: list(v) if isinstance(v, tuple) else v for name, v in self.options.items()},
            "assumed": self.assumed,
            "not_understood": list(self.unread),
        }


@cache
def tables() -> Mapping[str, Any]:
    """What `data/recipes.toml` says.

    Raises:
        BadData: the file is missing or broken.
    """
    try:
        return read_toml(data_folder() / FILE)
    except (OSError, ValueError) as error:
        raise BadData("error.bad_calibration", file=FILE, problem=str(error)) from error


def read_recipe(path: Path) -> Reading:
    """A training tool's file.

    Raises:
        BadInput: it cannot be read, holds no keys, or is of no tool that is known here.
    """
    return reading_of(read_keys(path), path.name)


def reading_of(keys: Mapping[str, object], name: str) -> Reading:
    """The keys of a file called `name`, read.

    Raises:
        BadInput: they are of no tool that is known here.
    """
    keys = {key: value for key, value in keys.items() if value is not None}
    tool = _tool(keys, name)
    known: Mapping[str, str] = tool["keys"]
    settings = Settings(tool=tool["name"], optimizers=tables()["optimizers"])
    said: list[str] = []
    unread: list[str] = []
    for key, value in keys.items():
        kind = known.get(key.lower())
        if kind is not None:
            (said if settings.read(kind, value) else unread).append(f"{key}: {_short(value)}")
        elif not _holds_known(key, known) and not _is_neutral(key, tool):
            unread.append(f"{key}: {_short(value)}")
    options = settings.finished()
    assumed = {
        option: value
        for option, value in tool["defaults"].items()
        if option not in options and settings.takes(option, options["method"])
    }
    return Reading(
        name=name,
        tool=tool["name"],
        options={**options, **assumed},
        said=tuple(said),
        assumed=assumed,
        unread=tuple(unread),
    )


def _tool(keys: Mapping[str, object], name: str) -> Mapping[str, Any]:
    """The first tool of which a key is there.

    Raises:
        BadInput: there is none.
    """
    there = {key.lower().rsplit(".", maxsplit=1)[-1] for key in keys}
    for tool in tables()["tool"]:
        if there & set(tool["marks"]):
            return dict(tool)
    names = ", ".join(tool["name"] for tool in tables()["tool"])
    raise BadInput("error.recipe_of_no_tool", path=name, tools=names)


def _holds_known(key: str, known: Mapping[str, str]) -> bool:
    """Whether the key only holds others, some of which are read."""
    return any(other.startswith(f"{key.lower()}.") for other in known)


def _is_neutral(key: str, tool: Mapping[str, Any]) -> bool:
    """Whether the key, or what it lies in, changes neither memory nor time."""
    neutral = tables()["neutral"]
    outer, _, inner = key.lower().partition(".")
    if key.lower() in tool["keys"] or outer in tool["keys"]:
        return True
    names = (outer, inner.rsplit(".", maxsplit=1)[-1]) if inner else (outer,)
    beginnings = (*neutral["beginnings"], *neutral["adapters"], *tool["neutral"])
    return any(one.startswith(beginning) for one in names if one for beginning in beginnings)


def _short(value: object) -> str:
    """A value as it is told: no longer than a reader wants."""
    if isinstance(value, list | tuple):
        text = ", ".join(str(one) for one in value[:8])
    else:
        text = "…" if isinstance(value, Mapping) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
