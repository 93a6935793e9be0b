"""What a user pastes, made comparable: colours, log prefixes, frames, line wraps and case taken away."""

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from l4guide.diagnose.prefix import common_start, parted, unprefixed
from l4guide.errors import BadInput, CannotDo
from l4guide.frozen import frozen
from l4guide.text import Sentence, say

#: Characters that are read whole. An error stands at the end of a log, so the end gets the larger part; of what lies
#: between, only lines that tell of a failure are read, up to the third number.
READ_AT_START, READ_AT_END, READ_BETWEEN = 100_000, 400_000, 200_000
TELLING = re.compile(
    r'error|exception|out of memory|traceback|fatal|warning|not supported|  file "|^ {4}|kv cache',
    re.IGNORECASE,
)

#: Bytes that show an encoding without a mark: of UTF-16 most have a zero beside them.
SAMPLE = 400

#: Terminal colours, also where an editor wrote the escape as two characters, and titles.
ESCAPES = re.compile(
    r"\^\[\[[\d;]{0,20}m|\x1b(?:\[[0-?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)?|[@-Z\\^_])"
)
#: Frames that rich draws around tracebacks, and characters that are not text.
NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2500-\u257f\u2770-\u2771\ufeff\ufffd]+")
#: Bytes of standard input that are passed on at once.
CHUNK = 65_536
LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


@frozen
class Line:
    """One line without its prefixes: its number in the paste, whose output it belongs to, and how grave it is.

    `stream` is the process that a prefix names (`rank3`), `level` the word of a logger (`ERROR`); each may be empty.
    """

    number: int
    text: str
    stream: str
    level: str


@frozen
class Reading:
    """One way to read the text: as it stands in one line, the same in small letters, and where each line begins."""

    text: str
    small: str
    starts: Sequence[int]

    def index_at(self, place: int) -> int:
        """The index of the line that holds a place of the text."""
        return max(0, bisect_right(self.starts, place) - 1)


@frozen
class Paste:
    """The lines, process after process, and read twice: line ends as spaces, and as nothing (a hard wrap)."""

    lines: tuple[Line, ...]
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


def _reading(lines: Sequence[Line], between: str) -> Reading:
    """The lines as one, joined by `between`; what is blank within a line becomes one space."""
    parts, starts, place = [], [], 0
    for line in lines:
        part = re.sub(r"\s+", " ", line.text)
        part = part.strip() if between else part
        starts.append(place)
        if part:
            parts.append(part)
            place += len(part) + len(between)
    text = between.join(parts)
    return Reading(text=text, small=text.translate(LOWER), starts=starts)


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """Every line to be read, with its number; carriage returns of a progress bar do not count."""
    long = len(text) > READ_AT_START + READ_AT_END
    ends, place, between = len(text) - READ_AT_END, 0, 0
    lines = text.split("\n")
    start = common_start(lines)
    for number, line in enumerate(lines, start=1):
        first, place = place, place + len(line) + 1
        if long and first > READ_AT_START and place < ends:
            if between > READ_BETWEEN or not TELLING.search(line[:1000]):
                continue
            between += len(line)
        if long and len(line) > READ_AT_END:
            line = f"{line[:READ_AT_START]} {line[-READ_AT_END:]}"
        for whole in line.removeprefix(start).split("\r"):
            for part in parted(whole):
                yield number, part


def _passed_on() -> bytes:
    """Standard input, written on while it is read; an interrupt ends it, as it ends the command before the pipe."""
    parts: list[bytes] = []
    sys.stdout.flush()
    source: Any = sys.stdin.buffer
    out = sys.stdout.buffer
    try:
        while part := source.read1(CHUNK):
            parts.append(part)
            out.write(part)
            out.flush()
    except KeyboardInterrupt:
        out.write(b"\n")
    whole = b"".join(parts)
    if whole:
        out.write(b"\n" if whole.endswith(b"\n") else b"\n\n")
    out.flush()
    return whole


def clean(raw: str | bytes) -> Paste:
    """The paste of what a user gave.

    Raises:
        BadInput: there is nothing in it.
    """
    text = decode(raw)
    if not text.strip():
        raise BadInput("error.nothing_pasted")
    text = text.replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    remarks: tuple[Sentence, ...] = ()
    if len(text) > READ_AT_START + READ_AT_END:
        values = {"length": len(text), "start": READ_AT_START, "end": READ_AT_END}
        remarks = (Sentence("diagnose.shortened", values),)
    streams: dict[str, list[Line]] = {}
    for number, part in _numbered(text):
        bare, stream, level = unprefixed(NOT_TEXT.sub(" ", ESCAPES.sub("", part)))
        streams.setdefault(stream, []).append(Line(number=number, text=bare, stream=stream, level=level))
    lines = tuple(line for stream in streams.values() for line in stream)
    return Paste(lines=lines, spaced=_reading(lines, " "), glued=_reading(lines, ""), remarks=remarks)


def read_paste(name: str | None, *, echo: bool = False) -> bytes:
    """What the file `name` holds; without a name, or for `-`, what standard input gives.

    Args:
        name: a file.
        echo: pass on to standard output what another command writes to standard input, as it comes.

    Raises:
        CannotDo: the file cannot be read.
    """
    if name is None or name == "-":
        if sys.stdin.isatty():
            sys.stderr.write(say("diagnose.waiting") + "\n")
        return _passed_on() if echo and not sys.stdin.isatty() else sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise CannotDo("error.paste_not_read", path=name, problem=problem) from error
