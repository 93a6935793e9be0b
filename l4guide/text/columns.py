"""A table for a terminal: cells padded to the width of their column."""

from collections.abc import Sequence
from unicodedata import east_asian_width


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """One text a line, its cells under one another; every line has as many."""
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(text + " " * (width - _width(text)) for text, width in zip(line, widths, strict=True))
        for line in lines
    )
    return [line.rstrip() for line in padded]


def _width(text: str) -> int:
    """Places that a text takes in a terminal: Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
