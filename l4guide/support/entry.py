"""One TOML table on its way in."""

from collections.abc import Collection
from typing import TypeVar

from l4guide.errors import BadData
from l4guide.text import Sentence

T = TypeVar("T")


class Entry:
    """A table: keys are taken once, and none may be left over."""

    def __init__(self, table: object, file: str, where: str) -> None:
        self.file, self.where = file, where
        if not isinstance(table, dict):
            raise self.fault("", Sentence("error.rule_expected", {"expected": "a table"}))
        self.rest: dict[str, object] = dict(table)

    def fault(self, key: str, fault: Sentence) -> BadData:
        """The error that names file, entry and key."""
        return BadData("error.bad_rule", file=self.file, where=self.where, key=key, fault=fault)

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of `key`, which must be a `kind`; missing is a fault unless there is a default."""
        if key not in self.rest and default is not None:
            return default
        if key not in self.rest:
            raise self.fault(key, Sentence("error.rule_missing"))
        value = self.rest.pop(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fault(key, Sentence("error.rule_expected", {"expected": kind.__name__}))
        return value

    def maybe(self, key: str, kind: type[T]) -> T | None:
        """The value of `key`, or None where the table has none."""
        return self.take(key, kind) if key in self.rest else None

    def choice(self, key: str, choices: Collection[str], default: str | None = None) -> str:
        """The text `key`, one of `choices`."""
        return self.check(key, [self.take(key, str, default)], choices)[0]

    def choices(self, key: str, choices: Collection[str]) -> tuple[str, ...]:
        """The list `key`, whose texts are all among `choices`."""
        return self.check(key, self.take(key, list), choices)

    def check(self, key: str, values: list[str], choices: Collection[str]) -> tuple[str, ...]:
        """`values` as a tuple, if each is one of `choices`."""
        for value in values:
            if value not in choices:
                shown = ", ".join(sorted(choices))
                raise self.fault(key, Sentence("error.rule_unlisted", {"value": value, "choices": shown}))
        return tuple(values)

    def done(self) -> None:
        """No key may be left: a misspelt one would otherwise be silently without effect."""
        for key in self.rest:
            raise self.fault(key, Sentence("error.rule_unknown_key"))
