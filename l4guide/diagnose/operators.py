"""The lists of refused operators or backends that xFormers and vLLM print, with each one's reasons."""

import re
from collections.abc import Callable, Mapping

from l4guide.diagnose.wording import Match

#: How much after the message belongs to its list.
REACH = 8_000
MOST_OPERATORS = 30
MOST_REASONS = 12
IN_BRACES = re.compile(r"([A-Z][A-Z0-9_]{2,60}): ?\[([^\[\]{}]{0,800})\]")
BECAUSE = re.compile(r"`([^`]{1,80})` is not supported because:(.{0,1500}?)(?= `[^`]{1,80}` is not supported|$)")
#: Where one reason of xFormers ends and the next begins, once its line ends are gone.
BEGINNINGS = re.compile(
    r" (?=max\(|min\(|requires |attn_bias|operator |only |dtype=|device=|xFormers |bf16 |triton |query\.|"
    r"embed |dropout|unsupported |Only |GPU |HINT)"
)


def _in_braces(text: str) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(reason.strip(" '\"") for reason in reasons.split(", ") if reason.strip())[:MOST_REASONS]
        for name, reasons in IN_BRACES.findall(text)[:MOST_OPERATORS]
    }


def _because(text: str) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(reason.strip() for reason in BEGINNINGS.split(f" {reasons}") if reason.strip())[:MOST_REASONS]
        for name, reasons in BECAUSE.findall(text)[:MOST_OPERATORS]
    }


PRINTED: Mapping[str, Callable[[str], dict[str, tuple[str, ...]]]] = {"braces": _in_braces, "because": _because}


def operators_of(match: Match, printed: str) -> Mapping[str, tuple[str, ...]]:
    """The operators after the message, or inside it, by name with their reasons."""
    return PRINTED[printed](match.reading.text[match.start : match.end + REACH])
