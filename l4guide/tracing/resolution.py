"""A user's configuration completed as its type completes it, by recorded rules; what was never tried is refused.

A record has, for every field that a shape may depend on, the kinds of values that it was tried with. A field of another
kind, a part of another type, or a number in place of the only one that was ever taken, and the record says nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from l4guide.tracing.language import MOST, Unsaid, Values, holds, number, same

#: Before the path of a field: as the file says it, null where it says nothing.
AS_SAID = "="
#: No list with an entry a layer is longer.
MOST_ENTRIES = 4096
NUMBER, ZERO, NEGATIVE, NULL, TRUE, FALSE, EMPTY = (
    "number",
    "zero",
    "negative",
    "null",
    "true",
    "false",
    "empty",
)


def kinds(value: Any) -> Iterator[str]:
    """The kinds of a value: of a number whether there is any, of a text itself, of a list those of its entries."""
    if isinstance(value, bool):
        yield TRUE if value else FALSE
    elif value is None:
        yield NULL
    elif isinstance(value, int | float):
        yield NUMBER if value > 0 else ZERO if value == 0 else NEGATIVE
    elif isinstance(value, str):
        yield f"'{value}"
    elif isinstance(value, list | tuple):
        if not value:
            yield EMPTY
        for one in value:
            yield from (f"[{kind}" for kind in kinds(one))


class Resolution:
    """The fields of one configuration as its type completes them."""

    def __init__(self, record: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        self.record = record
        self.said: dict[str, Any] = {}
        self.parts: set[str] = set()
        self._read(config, "")
        self._made: dict[str, Any] = {}
        self._making: set[str] = set()

    def _read(self, config: Mapping[str, Any], path: str) -> None:
        aliases, parts = self.record["aliases"], self.record["parts"]
        for key, value in config.items():
            here = f"{path}{key}"
            if here in parts:
                if isinstance(value, Mapping):
                    self.parts.add(here)
                    self._read(value, f"{here}.")
            else:
                self.said.setdefault(aliases.get(here, here), value)

    def outside(self) -> str:
        """The first field that the record was not tried with, or not so; empty where all were."""
        tried: Mapping[str, Any] = self.record["tried"]
        parts: Mapping[str, str] = self.record["parts"]
        for path, model_type in parts.items():
            said = self.said.get(f"{path}.model_type", model_type)
            if path in self.parts and said != model_type:
                return path
        numbers = set(self.record["numbers"])
        for path, value in self.said.items():
            known = [NUMBER] if path in numbers else tried.get(path)
            if known is None:
                continue
            if isinstance(known, Mapping):
                if not self._is_as_known(path, value, known):
                    return path
            elif any(kind not in known for kind in kinds(value)):
                return path
        return self._unexplained()

    def _is_as_known(self, path: str, value: Any, known: Mapping[str, Any]) -> bool:
        """Whether a field has the only value that it was seen with, or what follows from others."""
        if "only" in known:
            return same(value, known["only"])
        try:
            return value is None or same(value, self._followed(path))
        except Unsaid:
            return False

    def _unexplained(self) -> str:
        """A field on which it depends that the type has what no expression was found for; empty where it has none."""
        for condition in self.record["unexplained"]:
            try:
                if not holds(condition, Values(self.field)):
                    continue
            except Unsaid:
                pass
            return str(condition)[:80]
        return ""

    def field(self, path: str) -> Any:
        """The completed value of a field.

        Raises:
            Unsaid: the type has no such field, or its rules do not say what it is here.
        """
        if path.startswith(AS_SAID):
            return self._as_file_says(path[1:])
        if path not in self._made:
            if path in self._making:
                raise Unsaid(path)
            self._making.add(path)
            self._made[path] = self._make(path)
        return self._made[path]

    def _make(self, path: str) -> Any:
        rule = self.record["rules"].get(path)
        if rule is None:
            return self._plain(path)
        given = self.said.get(path)
        return list(given) if "entries" in rule and isinstance(given, list) else self._followed(path)

    def _followed(self, path: str) -> Any:
        """What a field is by its rule."""
        rule = self.record["rules"][path]
        values = Values(self.field)
        if "entries" in rule:
            return list(self._entries(rule))
        if "kinds" in rule:
            return self._kind(rule["kinds"], values)
        return number(rule["value"], values)

    def _plain(self, path: str) -> Any:
        if path in self.said:
            return self.said[path]
        part = path.rpartition(".")[0]
        usual: Mapping[str, Any] = self.record["usual"]
        if part in self.parts and path in self.record["usual_of_parts"]:
            usual = self.record["usual_of_parts"]
        if path not in usual:
            raise Unsaid(path)
        return usual[path]

    def _entries(self, rule: Mapping[str, Any]) -> Iterator[Any]:
        """A list with an entry a layer."""
        values = Values(self.field)
        length = number(rule["entries"], values)
        if length is None or not 0 <= length <= MOST_ENTRIES:
            raise Unsaid("entries")
        for place in range(length):
            yield self._kind(rule["kinds"], values.at(place, length))

    def _kind(self, chosen: list[Any], values: Values) -> Any:
        """The first value whose condition holds, else the last."""
        *cases, otherwise = chosen
        if isinstance(otherwise, Mapping) and "number" in otherwise:
            return number(otherwise["number"], values)
        for condition, value in cases:
            if holds(condition, values):
                return self._as_said(value)
        return self._as_said(otherwise)

    def _as_file_says(self, path: str) -> Any:
        """What the file says; where it is silent what the type has before it completes anything."""
        return self.said.get(path, self.record["rules"].get(path, {}).get("absent"))

    def _as_said(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            found = self._as_file_says(value["said"])
            if isinstance(found, int) and abs(found) > MOST:
                raise Unsaid(value["said"])
            return found
        return value
