"""The lists of refused operators or backends that xFormers and vLLM print, with each one's reasons."""

import re
from collections.abc import Callable, Mapping
from itertools import takewhile

from l4guide.diagnose.paste import Paste
from l4guide.diagnose.wording import Match

#: How much after the message belongs to its list.
REACH = 8_000
MOST_OPERATORS = 30
MOST_REASONS = 12
IN_BRACES = re.compile(r"([A-Z][A-Z0-9_]{2,60}): ?\[([^\[\]{}]{0,800})\]")
BECAUSE = re.compile(r"^[ \t]{0,40}`([^`\n]{1,80})` is not supported because:", re.MULTILINE)


def _in_braces(match: Match, paste: Paste) -> dict[str, tuple[str, ...]]:
    """`{NAME: [reason, reason], NAME: [reason]}`, as vLLM prints it in one line."""
    text = match.reading.text[match.start : match.end + REACH]
    return {
        name: tuple(reason.strip(" '\"") for reason in reasons.split(", ") if reason.strip())[:MOST_REASONS]
        for name, reasons in IN_BRACES.findall(text)[:MOST_OPERATORS]
    }


def _because(match: Match, paste: Paste) -> dict[str, tuple[str, ...]]:
    """A line with the operator, then one indented line for each reason, as xFormers prints it."""
    found = list(BECAUSE.finditer(paste.lines))[:MOST_OPERATORS]
    ends = [*[operator.start() for operator in found][1:], len(paste.lines)]
    listed = {}
    for operator, end in zip(found, ends, strict=False):
        lines = paste.lines[operator.end() : min(end, operator.end() + REACH)].splitlines()[1:]
        indented = takewhile(lambda line: line[:1].isspace(), lines)
        listed[operator[1]] = tuple(dict.fromkeys(line.strip() for line in indented if line.strip()))[
            :MOST_REASONS
        ]
    return listed


PRINTED: Mapping[str, Callable[[Match, Paste], dict[str, tuple[str, ...]]]] = {
    "braces": _in_braces,
    "because": _because,
}


def operators_of(match: Match, paste: Paste, printed: str) -> Mapping[str, tuple[str, ...]]:
    """The operators that the message lists, by name with their reasons."""
    return PRINTED[printed](match, paste)
