"""A pasted config.json as checked fields: every number within limits, every fault one line that names the field."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from l4guide import catalogue
from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.model.checkpoint_index import (
    KEY,
    NAMES,
    PROCESSOR,
    PROCESSORS,
    QUANTISATIONS,
    QUANTISED,
    beside,
    is_index,
)
from l4guide.model.defaults import defaults, taken
from l4guide.table import read_records, read_rows

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

#: Names of numbers that neither count nor measure what a model is made of.
BESIDE = re.compile(
    r"_id$|_ids$|dropout|_drop$|drop_|eps|theta|rope|initializer|_std$|factor|scal|coef|loss|temperature|version|multiplier"
    r"|softcap|_range$|time_step|_base$|_init$|pdrop|max_|_idx$|_prob$|_size_limit|logits|limit|alpha|beta|noise|clip"
)


@frozen
class ModelType:
    """What transformers takes where a configuration of this type does not say; a row of `model_types.csv`."""

    model_type: str
    head_dim: int | None
    gated: bool
    tied_embeddings: bool
    causal: bool
    learnt_positions: bool
    sources: tuple[str, ...]


@cache
def model_types() -> Mapping[str, ModelType]:
    """Every row of `model_types.csv`, by type.

    Raises:
        BadData: a row is broken.
    """
    found = read_records(catalogue.data_folder() / "model_types.csv", ModelType, ["model_type"])
    return {one.model_type: one for one in found}


@cache
def idle_fields() -> frozenset[str]:
    """Names of numbers that change no count to speak of, whatever the type; the rows of `idle_fields.csv`.

    Raises:
        BadData: a row is broken.
    """
    rows = read_rows(catalogue.data_folder() / "idle_fields.csv", ["field", "says", "sources"], ["field"])
    return frozenset(row.cells["field"] for row in rows)


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
    config = parse_config(text, path.name)
    lies = {KEY: NAMES, QUANTISED: QUANTISATIONS, PROCESSOR: PROCESSORS}
    found = {key: beside(path, names) for key, names in lies.items() if key not in config}
    return {**config, **{key: value for key, value in found.items() if value is not None}}


def parse_config(text: str, name: str) -> Mapping[str, object]:
    """The object in a JSON text called `name`; a checkpoint's index may stand before or behind it.

    Raises:
        BadInput: it is no JSON, or no object.
    """
    try:
        found, rest = _documents(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("error.config_no_json", path=name, problem=str(error)[:120]) from error
    if is_index(found) and rest is not None:
        found, rest = rest, found
    if not isinstance(found, dict):
        raise BadInput("error.config_no_object", path=name, kind=type(found).__name__)
    return {**found, KEY: rest} if is_index(rest) else found


def _documents(text: str) -> tuple[object, object]:
    """The one value in a JSON text, or the two where one follows the other; the second is None where there is none."""
    decoder = json.JSONDecoder()
    text = text.strip()
    first, end = decoder.raw_decode(text)
    rest = text[end:].strip()
    return first, json.loads(rest) if rest else None


class Fields:
    """The fields of one configuration, under the names that different makers give them.

    `assumed` collects what was not said and had to be taken from the type or from other fields; `read` the names that
    were asked for.
    """

    def __init__(self, config: Mapping[str, object], name: str) -> None:
        self.name = name
        inner = next((config[key] for key in INNER if isinstance(config.get(key), dict)), None)
        if composes(config):
            inner = config["decoder"]
        self.outer = config
        self.own: Mapping[str, object] = inner if isinstance(inner, dict) else config
        deeper = self.own.get("text_config")
        if isinstance(deeper, dict) and deeper is not self.own:
            self.own = deeper
        self.assumed: list[str] = []
        self.read: set[str] = set()
        self._taken: Mapping[str, object] | None = None

    @property
    def taken(self) -> Mapping[str, object]:
        """What its type takes for granted where it is silent, as transformers has it."""
        if self._taken is None:
            self._taken = taken(self.own, self.outer, INNER)
        return self._taken

    def says(self, *names: str) -> bool:
        """Whether it sets any of `names` itself."""
        self.read.update(names)
        return any(config.get(name) is not None for config in (self.own, self.outer) for name in names)

    @property
    def unread(self) -> tuple[str, ...]:
        """Fields of numbers that nothing has asked for and that may count or measure something."""
        return tuple(
            key
            for key, value in self.own.items()
            if key not in self.read and _counts(value) and not BESIDE.search(key) and key not in idle_fields()
        )

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
            Fields(inner, f"{self.name}: {key}")
            for part in parts
            for key, value in part.items()
            if isinstance(value, dict) and value and ("vision" in key or "audio" in key)
            for inner in _with_layers(value) or [value]
        ]

    def get(self, *names: str) -> object:
        """The first of `names` that is set, of the language model, of the whole, by its type; None where none is."""
        self.read.update(names)
        for config in (self.own, self.outer, self._silent(names)):
            for name in names:
                if config.get(name) is not None:
                    return config[name]
        return None

    def _silent(self, names: Sequence[str]) -> Mapping[str, object]:
        """What its type takes where it does not name any of these at all: a null says that there is none."""
        named = any(name in config for config in (self.own, self.outer) for name in names)
        return {} if named else self.taken

    def whole(self, *names: str, at_least: int = 0, at_most: int = MOST_COLUMNS) -> int | None:
        """A whole number under one of `names`; None where none is set, nor taken by its type.

        Raises:
            BadInput: it is no whole number, or out of limits.
        """
        found = self._said(names, at_least, at_most)
        if found is None:
            usual = self._silent(names)
            value = next((usual[name] for name in names if isinstance(usual.get(name), int)), None)
            found = int(value) if isinstance(value, int) and at_least <= value <= at_most else None
        return found

    def _said(self, names: Sequence[str], at_least: int, at_most: int) -> int | None:
        self.read.update(names)
        for config in (self.own, self.outer):
            for name in names:
                value = config.get(name)
                if value is not None:
                    return self._checked(name, value, at_least, at_most)
        return None

    def needed(self, *names: str, at_least: int = 1, at_most: int = MOST_COLUMNS) -> int:
        """The same, where there is no answer unless the configuration itself says it.

        Raises:
            BadInput: it is missing as well.
        """
        found = self._said(names, at_least, at_most)
        if found is None:
            raise BadInput(
                "error.config_missing", path=self.name, field=names[0], others=", ".join(names[1:]) or "-"
            )
        return found

    def flag(self, name: str) -> bool | None:
        """A truth value; None where it is not set."""
        value = self.get(name)
        return value if isinstance(value, bool) else None

    def whole_model_flag(self, name: str) -> bool | None:
        """A truth value of the whole model, which goes before that of its language model; None where none is set."""
        for config in (self.outer, defaults().get(str(self.outer.get("model_type")), {})):
            if self.outer is not self.own and isinstance(config.get(name), bool):
                return bool(config[name])
        return self.flag(name)

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


def composes(config: Mapping[str, object]) -> bool:
    """Whether a configuration holds those of an encoder and of its decoder."""
    return isinstance(config.get("encoder"), dict) and isinstance(config.get("decoder"), dict)


def _with_layers(part: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The part, or where it has no layers itself the parts inside it that have."""
    if "num_hidden_layers" in part:
        return [part]
    inner = (value for value in part.values() if isinstance(value, dict))
    return [found for value in inner for found in _with_layers(value)]


def _counts(value: object) -> bool:
    """Whether a value is a whole number above 1, which may be a count or a width."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 1
