"""A type of model tried at many configurations: the observations that its expressions are fitted to and tested on."""

import copy
import inspect
import random
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from l4guide.frozen import frozen
from l4guide.tracing.build import default_config, typed_config
from l4guide.tracing.moves import Field, drawn, fields_of, is_count_of_layers, legacy
from l4guide.tracing.observed import observe
from l4guide.tracing.variation import derived

#: So many more layers are tried where a few are refused.
MORE_LAYERS = 6
#: What shapes a tower's convolutions, and all fields of a tower.
NOTHING = re.compile(r"(?!)")
CONVOLUTIONS = re.compile(
    r"(.*\.)?\w*(conv|kernel|stride|dilat|sample|sampling|ratio|depths|multiplier|channel|mel_|_mel|codebook|quantiz|filter|residual"
    r"|reduction|resolution|compress)\w*"
)
TOWERS = re.compile(r"(?!.*(text|llm|language|decoder)\w*\.[^.]*$).*\..*")


@frozen
class Round:
    """How much of a type is tried: its trials, the builds that each and all may cost, and the fields that are left.

    A field whose other values were refused `patience` times more than taken is left as it is, too. A record refuses a
    configuration that has another value in a field that was left.
    """

    trials: int
    builds: int
    builds_a_trial: int
    patience: int
    left: re.Pattern[str] = NOTHING


#: One after the other, until a type has a record that holds.
ROUNDS = (
    Round(trials=15, builds=90, builds_a_trial=14, patience=2),
    Round(trials=36, builds=360, builds_a_trial=18, patience=3),
    Round(trials=16, builds=150, builds_a_trial=18, patience=3, left=CONVOLUTIONS),
    Round(trials=16, builds=150, builds_a_trial=18, patience=3, left=TOWERS),
)
#: Further configurations that a record is held to: they choose the round.
FURTHER = range(1000, 1004)
TAKES = re.compile(r"kwargs\.(?:pop|get)\(\s*\"(\w+)\"")


def nested(moves: Mapping[str, Any], parts: Mapping[str, str], model_type: str) -> dict[str, Any]:
    """Values by path as a config.json holds them, every part that has a type of its own named."""
    found: dict[str, Any] = {"model_type": model_type}
    for path, kind in parts.items():
        _part(found, path)["model_type"] = kind
    for path, value in moves.items():
        part, _, name = path.rpartition(".")
        _part(found, part)[name] = value
    return found


def _part(config: dict[str, Any], path: str) -> dict[str, Any]:
    for step in path.split(".") if path else ():
        config = config.setdefault(step, {})
    return config


class Trials:
    """The trials of one type, chosen by chance from its name, so that they are the same each time."""

    def __init__(self, model_type: str, effort: Round = ROUNDS[0]) -> None:
        self.model_type = model_type
        self.effort = effort
        self.most_builds = effort.builds
        self.config = default_config(model_type)
        self.fields = list(fields_of(self.config))
        self.parts = dict(_types(self.config))
        self.derived = frozenset(derived(self.config))
        self.legacy = [Field(path=path, value=None) for path in _taken_from_old_files(self.config)]
        self.refused: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.builds = self.builds_before = 0
        self.last: tuple[dict[str, Any], dict[str, Any] | None] | None = None
        self.way: Any = None
        self.always: dict[str, Any] = {}

    def study(self) -> dict[str, Any]:
        """What was seen at the default, with every part said, and at so many other configurations.

        Raises:
            Exception: whatever transformers says of a type that cannot be built by default.
        """
        whole, way = observe(lambda: default_config(self.model_type))
        self.way = None if whole["unsaid"] else way
        seen = [{"raw": {"model_type": self.model_type}, **whole}]
        said = self._parts_alone()
        for number in range(self.effort.trials):
            if self.builds >= self.most_builds:
                break
            one = self._trial(random.Random(f"{self.model_type} {number}"))
            if one is not None:
                seen.append(one)
        return {
            "model_type": self.model_type,
            "parts": self.parts,
            "derived": sorted(self.derived),
            "fields": {field.path: field.value for field in self.fields},
            "legacy": [field.path for field in self.legacy],
            "aliases": dict(_aliases(self.config)),
            "said": said,
            "seen": seen,
        }

    def _parts_alone(self) -> dict[str, Any]:
        """The default with every part named; where parts by themselves do not go together, what a trial says besides.

        A file that leaves that out is not answered: nothing is known of it.
        """
        try:
            found: dict[str, Any] = typed_config(nested({}, self.parts, self.model_type), "-").to_dict()
        except Exception:  # transformers raises whatever it likes
            by_path = {field.path: field.value for field in self.fields}
            # A list with an entry a layer follows the layers.
            numbers = {path: value for path, value in by_path.items() if isinstance(value, int | float)}
            self.always = {path: numbers[path] for path in sorted(self.derived & set(numbers)) if "." in path}
            found = typed_config(nested(self.always, self.parts, self.model_type), "-").to_dict()
            for path in self.always:
                part, _, name = path.rpartition(".")
                _part(found, part)[name] = None
        return found

    def further(self) -> list[dict[str, Any]]:
        """What was seen at configurations that no record is fitted to."""
        self.most_builds = self.builds + len(FURTHER) * self.effort.builds_a_trial
        tried = (self._trial(random.Random(f"{self.model_type} {number}")) for number in FURTHER)
        return [one for one in tried if one is not None]

    def _trial(self, chance: random.Random) -> dict[str, Any] | None:
        open_fields = [field for field in self.fields if not self.effort.left.fullmatch(field.path)]
        moves = drawn(open_fields, self.derived, chance)
        for field in self.fields:
            # A part alone may have another value there than the whole has: both may be said.
            if (
                field.path in self.derived
                and self.effort.left.fullmatch(field.path)
                and chance.random() < 0.7
            ):
                moves[field.path] = field.value
        for field in self.legacy:
            if chance.random() < 0.25 and (value := legacy(field.name, chance)) is not None:
                moves[field.path] = value
        open_moves = {
            path: value
            for path, value in moves.items()
            if is_count_of_layers(path)
            or self.taken[path] >= self.refused[path]
            or (self.refused[path] - self.taken[path] <= self.effort.patience and chance.random() < 0.4)
        }
        self.builds_before = self.builds
        # Layers first: the fewer of them, the sooner all else is tried; lists with an entry a layer follow them.
        layers = {path: value for path, value in open_moves.items() if is_count_of_layers(path)}
        rest = [move for move in open_moves.items() if move[0] not in layers]
        chance.shuffle(rest)
        found = self._settled({}, layers)
        if len(found) < len(layers):
            # Some types want a layer of each kind, which only comes after others.
            found = self._settled(found, {p: n + MORE_LAYERS for p, n in layers.items() if p not in found})
        found = self._settled(found, dict(rest))
        # What wants others to be there first, as experts want to be counted.
        missing = {path: value for path, value in open_moves.items() if path not in found}
        if missing and self._seen(found | missing) is not None:
            found |= missing
            self.taken.update(missing.keys())
        return self._seen(found)

    def _settled(self, current: dict[str, Any], moves: dict[str, Any]) -> dict[str, Any]:
        """As many of these moves as the type takes together."""
        if not moves or self.builds >= min(self.most_builds, self.builds_before + self.effort.builds_a_trial):
            return current
        if self._seen(current | moves) is not None:
            self.taken.update(moves.keys())
            return current | moves
        if len(moves) == 1:
            self.refused.update(moves.keys())
            return current
        items = list(moves.items())
        half = len(items) // 2
        return self._settled(self._settled(current, dict(items[:half])), dict(items[half:]))

    def _seen(self, moves: dict[str, Any]) -> dict[str, Any] | None:
        """What was seen at these moves; nothing where the type does not take them, or does not run as by default."""
        if self.last is not None and self.last[0] == moves:
            return self.last[1]
        self.builds += 1
        found = self._observed(moves)
        self.last = (moves, found)
        return found

    def _observed(self, moves: dict[str, Any]) -> dict[str, Any] | None:
        raw = nested(self.always | moves, self.parts, self.model_type)
        try:
            found, _ = observe(lambda: typed_config(copy.deepcopy(raw), "-"), way=self.way)
        except Exception:  # transformers raises whatever it likes
            return None
        if self.way is not None and found["unsaid"]:
            return None
        return {"raw": raw, **found}


def _types(config: Any, path: str = "") -> list[tuple[str, str]]:
    """The parts of a configuration with their types."""
    found = []
    for key in config.to_dict():
        part = vars(config).get(key)
        if hasattr(part, "to_dict"):
            found += [(f"{path}{key}", str(part.model_type)), *_types(part, f"{path}{key}.")]
    return found


def _aliases(config: Any, path: str = "") -> list[tuple[str, str]]:
    """Other names of fields, by path."""
    found = [(f"{path}{name}", f"{path}{own}") for name, own in type(config).attribute_map.items()]
    for key in config.to_dict():
        part = vars(config).get(key)
        if hasattr(part, "to_dict"):
            found += _aliases(part, f"{path}{key}.")
    return found


def _taken_from_old_files(config: Any, path: str = "") -> list[str]:
    """Fields that a type takes and does not keep, by path: how older files spell what it keeps otherwise."""
    known = set(config.to_dict())
    source = inspect.getsource(type(config))
    found = [f"{path}{name}" for name in dict.fromkeys(TAKES.findall(source)) if name not in known]
    for key in config.to_dict():
        part = vars(config).get(key)
        if hasattr(part, "to_dict"):
            found += _taken_from_old_files(part, f"{path}{key}.")
    return found
