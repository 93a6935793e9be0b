"""A pasted config.json as checked fields: every number within limits, every fault one line that names the field."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from l4guide import catalogue
from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.table import read_rows

#: No configuration that anyone published comes near these; beyond them it is a typing mistake.
MOST_LAYERS = 2048
MOST_COLUMNS = 2**22
MOST_BYTES = 8 * 2**20
#: Where a model of several parts keeps its language model.
INNER = (
    "text_config",
    "llm_config",
    "language_config",
    "language_model_config",
    "text_model_config",
    "thinker_config",
)


@frozen
class ModelType:
    """What transformers takes where a configuration of this type does not say; a row of `model_types.csv`."""

    model_type: str
    head_dim: int | None
    gated: bool
    tied_embeddings: bool
    sources: tuple[str, ...]


@cache
def model_types() -> Mapping[str, ModelType]:
    """Every row of `model_types.csv`, by type.

    Raises:
        BadData: a row is broken.
    """
    columns = list(ModelType.__dataclass_fields__)
    rows = read_rows(catalogue.data_folder() / "model_types.csv", columns, ["model_type"])
    return {row.cells["model_type"]: row.fill(ModelType) for row in rows}


def read_config(path: Path) -> Mapping[str, object]:
    """The object in a JSON file.

    Raises:
        BadInput: there is no such file, it is too large, it is no JSON, or no object.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput("error.config_too_large", path=path, limit=MOST_BYTES)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or error
        raise BadInput("error.config_unreadable", path=path, problem=problem) from error
    return parse_config(text, path.name)


def parse_config(text: str, name: str) -> Mapping[str, object]:
    """The object in a JSON text called `name`.

    Raises:
        BadInput: it is no JSON, or no object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("error.config_no_json", path=name, problem=str(error)[:120]) from error
    if not isinstance(found, dict):
        raise BadInput("error.config_no_object", path=name, kind=type(found).__name__)
    return found


class Fields:
    """The fields of one configuration, under the names that different makers give them.

    `assumed` collects what was not said and had to be taken from the type or from other fields.
    """

    def __init__(self, config: Mapping[str, object], name: str) -> None:
        self.name = name
        inner = next((config[key] for key in INNER if isinstance(config.get(key), dict)), None)
        self.outer = config
        self.own: Mapping[str, object] = inner if isinstance(inner, dict) else config
        deeper = self.own.get("text_config")
        if isinstance(deeper, dict) and deeper is not self.own:
            self.own = deeper
        self.assumed: list[str] = []

    @property
    def model_type(self) -> ModelType | None:
        """What its type takes for granted; None for a type that is not known."""
        named = [str(config.get("model_type", "")) for config in (self.own, self.outer)]
        return next((model_types()[name] for name in named if name in model_types()), None)

    @property
    def towers(self) -> list["Fields"]:
        """Its vision and audio parts, which lie beside the language model."""
        parts = [self.outer, *(part for key in INNER if isinstance(part := self.outer.get(key), dict))]
        return [
            Fields(value, f"{self.name}: {key}")
            for part in parts
            for key, value in part.items()
            if isinstance(value, dict) and value and ("vision" in key or "audio" in key)
        ]

    def get(self, *names: str) -> object:
        """The first of `names` that is set, of the language model, else of the whole; None where none is."""
        for config in (self.own, self.outer):
            for name in names:
                if config.get(name) is not None:
                    return config[name]
        return None

    def whole(self, *names: str, at_least: int = 0, at_most: int = MOST_COLUMNS) -> int | None:
        """A whole number under one of `names`; None where none is set.

        Raises:
            BadInput: it is no whole number, or out of limits.
        """
        for config in (self.own, self.outer):
            for name in names:
                value = config.get(name)
                if value is not None:
                    return self._checked(name, value, at_least, at_most)
        return None

    def needed(self, *names: str, at_least: int = 1, at_most: int = MOST_COLUMNS) -> int:
        """The same, where there is no answer without it.

        Raises:
            BadInput: it is missing as well.
        """
        found = self.whole(*names, at_least=at_least, at_most=at_most)
        if found is None:
            raise BadInput(
                "error.config_missing", path=self.name, field=names[0], others=", ".join(names[1:]) or "-"
            )
        return found

    def flag(self, name: str) -> bool | None:
        """A truth value; None where it is not set."""
        value = self.get(name)
        return value if isinstance(value, bool) else None

    def listed(self, *names: str) -> Sequence[object]:
        """A list under one of `names`; a text counts as its characters; empty where none is set."""
        for name in names:
            value = self.get(name)
            if isinstance(value, list | str) and value:
                return value
        return ()

    def _checked(self, name: str, value: object, at_least: int, at_most: int) -> int:
        if isinstance(value, float) and math.isfinite(value) and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadInput("error.config_not_whole", path=self.name, field=name, value=str(value)[:40])
        if not at_least <= value <= at_most:
            limits = {"low": at_least, "high": at_most}
            raise BadInput("error.config_out_of_range", path=self.name, field=name, value=value, **limits)
        return value
