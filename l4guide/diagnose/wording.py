"""Texts with blanks, as libraries print them, and where they stand in a paste.

A text is data, `out of resource: shared memory, Required: {required_bytes}`, never a regular expression: what a
blank may hold is listed here, each with an upper bound, so that no text can take long to look for.
"""

import re
import string
from collections.abc import Iterator, Mapping
from functools import cache

from l4guide.diagnose.paste import LOWER, Paste, Reading
from l4guide.frozen import frozen

WHOLE = r"\d{1,15}"
#: What may stand in a blank, by its name; the paste is compared in small letters.
BLANKS: Mapping[str, str] = {
    **dict.fromkeys(("required_bytes", "limit_bytes", "required", "limit", "shared_bytes"), WHOLE),
    **dict.fromkeys(("required_size", "limit_size", "size"), r"\d{1,9}(?:\.\d{1,3})? ?(?:[kmgt]i?b|bytes)"),
    **dict.fromkeys(("head_dim", "head_dim_v", "heads", "kv_heads", "batch", "window", "number"), r"\d{1,9}"),
    **dict.fromkeys(("seqlen_q", "seqlen_kv"), r"\d{1,9}"),
    "softcap": r"\d{1,9}(?:\.\d{1,9})?",
    "dropout": r"\d{1,2}(?:\.\d{1,9})?(?:e-?\d{1,2})?",
    "capability": r"\d{1,2}\.\d",
    "capability_pair": r"\(\d{1,2}, ?\d\)",
    **dict.fromkeys(("major", "minor"), r"\d{1,2}"),
    "arch": r"\d{2,3}[af]?",
    "gqa": r"\w{1,12}",
    "causal": r"\w{1,12}",
    **dict.fromkeys(("dtype", "kv_dtype", "torch_dtype"), r"[\w.:]{1,40}"),
    **dict.fromkeys(("version", "tag"), r"[\w.+\-]{1,40}"),
    **dict.fromkeys(("entry", "name", "symbol"), r"[\w.\-]{1,160}"),
    **dict.fromkeys(("needed", "available", "free", "total", "budget", "fraction"), r"\d{1,7}(?:\.\d{1,4})?"),
    "options": r"[^()]{0,200}",
    "gap": r".{0,160}?",
    "listed": r"[^{}]{0,4000}",
}
#: Bytes of a size as it is printed; PyTorch's GiB and the rest count in powers of 1024.
UNITS = {"bytes": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
#: Fewer letters would be found by chance.
FEWEST_LETTERS = 8


@frozen
class Match:
    """One place in one reading of the paste, and what stood in the blanks."""

    reading: Reading
    start: int
    end: int
    letters: int
    values: Mapping[str, str]

    @property
    def text(self) -> str:
        """The words as they stand there."""
        return self.reading.text[self.start : self.end]

    def overlaps(self, other: "Match") -> bool:
        """Whether both are about the same words."""
        return self.reading is other.reading and self.start < other.end and other.start < self.end


@frozen
class Wording:
    """A text made ready to be looked for."""

    text: str
    #: A part without blanks or spaces that must be there; looking for it first is what makes a search fast.
    core: str
    letters: int
    blanks: tuple[str, ...]
    expression: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What to look for; made when it is first wanted, since most texts are in no paste."""
        return _compiled(self.expression)

    def find(self, reading: Reading, most: int) -> Iterator[Match]:
        """The first `most` places of this text in one reading."""
        if self.core not in reading.small:
            return
        for number, found in enumerate(self.pattern.finditer(reading.small)):
            if number == most:
                return
            values = {name: reading.text[slice(*found.span(name))] for name in self.blanks}
            yield Match(
                reading=reading,
                start=found.start(),
                end=found.end(),
                letters=self.letters,
                values={name: value for name, value in values.items() if value},
            )


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def _literal(part: str) -> str:
    """A part of a text between blanks, as it is looked for: spaces may be missing."""
    return " ?".join(re.escape(word) for word in part.split(" "))


@cache
def wording(text: str) -> Wording:
    """`text` made ready; its full stop may be missing, and a number at either end does not go on.

    Raises:
        ValueError: it has a blank that is not in `BLANKS`, or too few letters to be recognised by.
    """
    pattern, literals, blanks = "", [], []
    bare = " ".join(text.split()).removesuffix(".")
    for part, name, _, _ in string.Formatter().parse(bare):
        small = part.translate(LOWER)
        literals.append(small)
        pattern += _literal(small)
        if name is None:
            continue
        if name not in BLANKS:
            raise ValueError(f"{{{name}}}")
        pattern += BLANKS[name] if name in blanks or name == "gap" else f"(?P<{name}>{BLANKS[name]})"
        if name not in blanks and name != "gap":
            blanks.append(name)
    before, after = r"(?<!\d)" if bare[:1].isdigit() else "", r"(?!\d)" if bare[-1:].isdigit() else ""
    words = [word for literal in literals for word in literal.split(" ")]
    letters = sum(map(len, words))
    if letters < FEWEST_LETTERS:
        raise ValueError(text)
    return Wording(
        text=text,
        core=max(words, key=len),
        letters=letters,
        blanks=tuple(blanks),
        expression=before + pattern + after,
    )


def places(wordings: tuple[Wording, ...], paste: Paste, most: int) -> list[Match]:
    """Where one of `wordings` stands: in the likelier reading of the paste, else in the other."""
    for reading in paste.readings():
        found = [match for one in wordings for match in one.find(reading, most)]
        kept: list[Match] = []
        for match in sorted(found, key=lambda match: -match.letters):
            if not any(match.overlaps(other) for other in kept):
                kept.append(match)
        if kept:
            return kept[:most]
    return []


def bytes_of(values: Mapping[str, str], what: str) -> int | None:
    """The bytes in the blank `what` (required or limit), printed as bytes or as a size; None where neither is."""
    if f"{what}_bytes" in values:
        return int(values[f"{what}_bytes"])
    size = values.get(f"{what}_size")
    return None if size is None else size_bytes(size)


def size_bytes(size: str) -> int:
    """The bytes of a size as it is printed, such as 1.5 GiB; a bare number counts bytes."""
    found = re.match(r"([\d.]+) ?([a-z]*)", size.lower())
    if found is None:
        raise ValueError(size)
    unit = found[2]
    return round(float(found[1]) * UNITS["bytes" if unit in ("", "b", "bytes") else unit[0]])
