"""The lists of refused operators or backends, as xFormers, vLLM and Transformer Engine print them, with the reasons."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile

from l4guide.diagnose.setting import Setting

#: How much before or after the message belongs to its list.
REACH = 8_000
MOST_OPERATORS = 30
MOST_REASONS = 12
#: Lines of the paste around the message that may belong to the list.
MOST_LINES = 400
IN_BRACES = re.compile(r"([A-Z][A-Z0-9_]{2,60}): ?\[([^\[\]{}]{0,800})\]")
BECAUSE = re.compile(r"^[ \t]{0,40}`([^`\n]{1,80})` is not supported because:")
DISABLING = re.compile(
    r"Disabling ([A-Z]\w{3,40}(?: \d)?(?: backend)?) ((?:as|for|due|because|since)\b.{1,400})"
)


def _in_braces(setting: Setting) -> dict[str, tuple[str, ...]]:
    """`{NAME: [reason, reason], NAME: [reason]}`, as vLLM prints it in one line."""
    match = setting.match
    text = match.reading.text[match.start : match.end + REACH]
    return {
        name: tuple(reason.strip(" '\"") for reason in reasons.split(", ") if reason.strip())[:MOST_REASONS]
        for name, reasons in IN_BRACES.findall(text)[:MOST_OPERATORS]
    }


def _texts(setting: Setting, first: int, last: int) -> list[str]:
    lines, stream = setting.paste.lines, setting.paste.lines[setting.index].stream
    around = lines[max(0, setting.index + first) : setting.index + last]
    return [line.text for line in around if line.stream == stream]


def _because(setting: Setting) -> dict[str, tuple[str, ...]]:
    """A line with the operator, then one indented line for each reason, as xFormers prints it."""
    texts = _texts(setting, 0, MOST_LINES)
    heads = [(place, head[1]) for place, text in enumerate(texts) if (head := BECAUSE.match(text))]
    listed = {}
    for place, name in heads[:MOST_OPERATORS]:
        indented = takewhile(lambda line: line[:1].isspace() and not BECAUSE.match(line), texts[place + 1 :])
        reasons = dict.fromkeys(line.strip() for line in indented if line.strip())
        listed[name] = tuple(reasons)[:MOST_REASONS]
    return listed


def _disabling(setting: Setting) -> dict[str, tuple[str, ...]]:
    """`Disabling FlashAttention 2 as it does not support MLA.`, a line for each reason, above the error."""
    listed: dict[str, tuple[str, ...]] = {}
    for name, reason in _pairs(_texts(setting, -MOST_LINES, 1)):
        listed[name] = (*listed.get(name, ()), reason)[:MOST_REASONS]
    return dict(list(listed.items())[:MOST_OPERATORS])


def _pairs(texts: list[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        if found := DISABLING.search(text[:1_000]):
            yield found[1].removesuffix(" backend"), found[2].strip()


PRINTED: Mapping[str, Callable[[Setting], dict[str, tuple[str, ...]]]] = {
    "braces": _in_braces,
    "because": _because,
    "disabling": _disabling,
}


def operators_of(setting: Setting, printed: str) -> Mapping[str, tuple[str, ...]]:
    """The operators that the message lists, by name with their reasons."""
    return PRINTED[printed](setting)
