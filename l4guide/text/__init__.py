"""Every sentence that a user reads, by key, in English and Chinese.

A sentence is kept as its key and values until it is shown, so that one answer can be read in either language.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path

from l4guide.toml import read_toml

LANGUAGES = {"en": "English", "zh": "中文"}


@cache
def sentences(language: str) -> dict[str, str]:
    """All sentences of one language by dotted key, with `{placeholders}` unfilled.

    Raises:
        KeyError: the language is not one of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise KeyError(f"language {language!r} is not one of {', '.join(LANGUAGES)}")
    tables = read_toml(Path(__file__).with_name(f"{language}.toml"))
    return {
        f"{section}.{key}": value for section, entries in tables.items() for key, value in entries.items()
    }


def say(key: str, /, language: str = "en", **values: object) -> str:
    """The sentence `key` in `language`, with `values` filled in; a value may itself be a sentence or several."""
    filled = {k: v.say(language) if isinstance(v, Sentence | Joined) else v for k, v in values.items()}
    return sentences(language)[key].format_map(filled)


def digits(value: float, significant: int = 3) -> str:
    """A number to read: so many significant digits, never an exponent."""
    return format(Decimal(f"{value:.{significant}g}"), "f")


def placeholders(sentence: str) -> set[str]:
    """The names that a sentence wants filled in."""
    return {name.split(".")[0].split("[")[0] for _, name, _, _ in string.Formatter().parse(sentence) if name}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence still to be said: its key and the values that go into it."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def say(self, language: str = "en") -> str:
        """This sentence in `language`."""
        return say(self.key, language, **self.values)

    def __str__(self) -> str:
        return self.say()


@dataclass(frozen=True, slots=True)
class Joined:
    """Several sentences or plain words, joined as the language joins a list."""

    items: tuple[Sentence | str, ...]

    def say(self, language: str = "en") -> str:
        """The list in `language`."""
        spoken = [item.say(language) if isinstance(item, Sentence) else item for item in self.items]
        return say("list.separator", language).join(spoken)

    def __str__(self) -> str:
        return self.say()
