"""What a user pastes, made comparable: colours, log prefixes, frames, line wraps and case taken away."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

from l4guide.errors import BadInput, CannotDo
from l4guide.frozen import frozen
from l4guide.text import Sentence, say

#: Characters that are read. An error stands at the end of a log, so the end gets the larger part.
READ_AT_START = 100_000
READ_AT_END = 400_000

#: Bytes that show an encoding without a mark: of UTF-16 most have a zero beside them.
SAMPLE = 400

#: Terminal colours and titles.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)?|[@-Z\\^_])")
#: Frames that rich draws around tracebacks, and characters that are not text.
NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2500-\u257f\u2770-\u2771\ufeff\ufffd]+")
#: What loggers, launchers, quotations and test runners put before each line.
PREFIXES = re.compile(
    r"^[ \t]*(?:"
    r"\[(?:rank)?\d{1,5}\]:|\[\d{1,4},\d{1,4}\]<\w{1,10}>:?|"
    r"\(\w{1,60}(?: [\w=]{1,40}){0,4}\)|"
    r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d(?: \[[^\]\n]{1,120}\])?|"
    r"\[?\d{4}-\d\d-\d\d[ T|]\d\d:\d\d:\d\d[.,\d]{0,10}Z?\]?|"
    r"\w{1,20} {0,4}\| |E   |>"
    r")[ \t]?",
    re.MULTILINE,
)
MOST_PREFIXES = 4
LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


@frozen
class Reading:
    """One way to read the text: as it stands in one line, and the same in small letters."""

    text: str
    small: str


@frozen
class Paste:
    """The text in lines, and read twice: line ends as spaces, and line ends as nothing (a hard wrap)."""

    lines: str
    spaced: Reading
    glued: Reading
    remarks: tuple[Sentence, ...]

    def readings(self) -> Iterator[Reading]:
        """The readings, the likelier one first."""
        yield self.spaced
        yield self.glued


def decode(raw: str | bytes) -> str:
    """Text of whatever was given; what is not text becomes a mark that is dropped later."""
    if isinstance(raw, str):
        return raw
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if raw.startswith(mark):
            return raw[2:].decode(encoding, errors="replace")
    sample = raw[:SAMPLE]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample[first::2].count(0) > len(sample) // 4:
            return raw.decode(encoding, errors="replace")
    return raw.decode("utf-8", errors="replace")


def _reading(text: str) -> Reading:
    text = re.sub(r"\s+", " ", text)
    return Reading(text=text, small=text.translate(LOWER))


def clean(raw: str | bytes) -> Paste:
    """The paste of what a user gave.

    Raises:
        BadInput: there is nothing in it.
    """
    text = decode(raw)
    if not text.strip():
        raise BadInput("error.nothing_pasted")
    remarks: tuple[Sentence, ...] = ()
    if len(text) > READ_AT_START + READ_AT_END:
        values = {"length": len(text), "start": READ_AT_START, "end": READ_AT_END}
        remarks = (Sentence("diagnose.shortened", values),)
        text = f"{text[:READ_AT_START]}\n{text[-READ_AT_END:]}"
    text = NOT_TEXT.sub(" ", ESCAPES.sub("", text)).replace("\r\n", "\n").replace("\r", "\n")
    for _ in range(MOST_PREFIXES):
        text, found = PREFIXES.subn("", text)
        if not found:
            break
    return Paste(lines=text, spaced=_reading(text), glued=_reading(re.sub(r"\n", "", text)), remarks=remarks)


def read_paste(name: str | None) -> bytes:
    """What the file `name` holds; without a name, or for `-`, what standard input gives.

    Raises:
        CannotDo: the file cannot be read.
    """
    if name is None or name == "-":
        if sys.stdin.isatty():
            sys.stderr.write(say("diagnose.waiting") + "\n")
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise CannotDo("error.paste_not_read", path=name, problem=problem) from error
