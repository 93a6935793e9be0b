"""The tracebacks in a paste: their frames, the message that ends each, and which of them belong together."""

import re
from bisect import bisect_right
from collections.abc import Sequence

from l4guide.diagnose.paste import LOWER, Line, Paste
from l4guide.frozen import frozen

NAMED = r"(?P<function>[\w.<>]{1,200})"
NOTEBOOK = r"(?:Cell In|Input In) ?\[\d{1,5}\]"
SCRIPT = r"<ipython-input-[\w\-]{1,60}>|[~/][^\s:]{1,300}\.py"
#: How a frame begins: as Python and torch.compile print it, then as IPython and rich do.
FRAMES = tuple(
    re.compile(rf"^(?P<indent>\s*){one}$")
    for one in (
        r'File "(?P<file>[^"]{1,400})"(?:, line \d{1,7})?(?:, in (?P<function>.{1,200}))?\s*',
        rf"File (?P<file>[^\s\"][^\"]{{0,400}}?):\d{{1,7}}(?:, in {NAMED}.{{0,400}})?",
        rf"(?P<file>{NOTEBOOK})(?:, line \d{{1,7}})?(?:,? in {NAMED})?.{{0,400}}",
        rf"(?P<file>{SCRIPT}) in {NAMED}\(.{{0,400}}",
        rf"(?P<file>{SCRIPT}):\d{{1,7}} in {NAMED}\s*",
    )
)
NATIVE = re.compile(
    r"^(?P<indent>\s*)(?:frame )?#\d{1,3}:? (?:0x[0-9a-f]{1,16} in )?(?P<function>[^\s].{0,400})$"
)
HEADER = re.compile(r"Traceback \(most recent call last\)|^\s*-{20,}\s*$")
LINK = re.compile(
    r"During handling of the above exception|The above exception was the direct cause|Original exception was|"
    r"Original error was|The following exception"
)
#: The line of an IPython or rich frame that ran, and lines beside it.
ARROW = re.compile(r"^\s*(?:-{1,8}> ?\d{1,7}|\u276f? ?> ?\d{1,7}) (?P<code>.{0,600})$")
BESIDE = re.compile(r"^\s+\d{1,7}(?: |$)")
CARETS = re.compile(r"^[\s^~]+$")
#: `package.SomeError: message`, and what else may begin the line after the frames.
MESSAGE = re.compile(r"^\s*(?:[A-Za-z_]\w*\.){0,8}[A-Za-z_]\w{2,80}(?::(?: |$)|\s*$)")
#: Lines of code that are kept of a frame, and of a message.
MOST_CODE, MOST_MESSAGE = 12, 400
#: How far before a message without frames the code that ran may stand.
MOST_ORPHANS = 3


@frozen
class Frame:
    """One step of a traceback: the line of the paste, the file, the function and the code, all in small letters."""

    index: int
    file: str
    function: str
    code: str

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.file} {self.function} {self.code}"


@frozen
class Traceback:
    """Frames, outermost first, and the lines from the first of them to the end of the message.

    `message` is the index of the line that the message begins with, None where the paste ends before it. Linked
    tracebacks have the same `chain`.
    """

    frames: tuple[Frame, ...]
    first: int
    message: int | None
    end: int
    chain: int


def _frame_at(line: str) -> tuple[str, str, int] | None:
    """File, function and indentation of a frame's first line."""
    if not any(mark in line for mark in ("File ", " in ", "In ", "#", ":")):
        return None
    for pattern in FRAMES:
        if found := pattern.match(line):
            return found["file"], found["function"] or "", len(found["indent"])
    if found := NATIVE.match(line):
        return "", found["function"], len(found["indent"])
    return None


class _Reader:
    """Goes through the lines once and collects the tracebacks."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.found: list[Traceback] = []
        self.chain = 0
        self.first: int | None = None
        self.message: int | None = None
        self.frames: list[Frame] = []
        self.code: list[str] = []
        self.at: tuple[int, str, str, int] | None = None
        self.arrow = False

    def read(self) -> tuple[Traceback, ...]:
        """All tracebacks, in the order of the lines."""
        for index, line in enumerate(self.lines):
            self._line(index, line)
        self._close(len(self.lines))
        return tuple(self.found)

    def _line(self, index: int, line: Line) -> None:
        if self.first is not None and line.stream != self.lines[self.first].stream:
            self._close(index)
            self.chain += 1
        text = line.text[:1000]
        if LINK.search(text):
            self._close(index)
            return
        if HEADER.search(text):
            self._begin(index)
            return
        place = _frame_at(text)
        if place is not None:
            if self.first is None or self.message is not None:
                self._begin(index)
            self._end_frame()
            self.at, self.arrow = (index, *place), False
        elif self.first is not None and self.message is None:
            self._inside(index, text)
        elif self.message is not None and self._is_over(index, line):
            self._close(index)
            self.chain += 1

    def _begin(self, index: int) -> None:
        """A new traceback, in the chain of the last one where the words that link them ended that."""
        if self.first is not None:
            self._close(index)
            self.chain += 1
        self.first = index

    def _inside(self, index: int, text: str) -> None:
        """A line between the first frame and the message: code, a mark below it, or the message itself."""
        if arrow := ARROW.match(text):
            self.code, self.arrow = [arrow["code"]], True
            return
        if not text.strip() or CARETS.match(text) or (BESIDE.match(text) and self.at is not None):
            return
        indent = len(text) - len(text.lstrip())
        is_code = self.at is not None and not self.arrow and (self.at[3] < indent or not self.code)
        if is_code and (self.at is None or self.at[3] < indent or not MESSAGE.match(text)):
            self.code += [text.strip()] if len(self.code) < MOST_CODE else []
        elif self.at is not None:
            self._end_frame()
            self.message = index

    def _is_over(self, index: int, line: Line) -> bool:
        """Whether a message has ended before this line."""
        assert self.message is not None
        long = index - self.message > MOST_MESSAGE
        return long or (line.level != self.lines[self.message].level and bool(line.level))

    def _end_frame(self) -> None:
        if self.at is not None:
            index, file, function, _ = self.at
            small = [part.translate(LOWER) for part in (file, function, " ".join(self.code))]
            self.frames.append(Frame(index=index, file=small[0], function=small[1], code=small[2]))
        self.at, self.code = None, []

    def _close(self, end: int) -> None:
        self._end_frame()
        if self.first is not None and self.frames:
            found = Traceback(
                frames=tuple(self.frames), first=self.first, message=self.message, end=end, chain=self.chain
            )
            self.found.append(found)
        self.first = self.message = None
        self.frames = []


@frozen
class Traces:
    """The tracebacks of a paste."""

    tracebacks: tuple[Traceback, ...]

    def at(self, index: int) -> Traceback | None:
        """The traceback whose lines hold one, frames or message."""
        place = bisect_right(self.tracebacks, index, key=lambda one: one.first) - 1
        found = self.tracebacks[place] if place >= 0 else None
        return found if found is not None and index < found.end else None

    def chained(self, one: Traceback) -> tuple[Traceback, ...]:
        """The tracebacks that an exception has in common with those that it was raised from or during."""
        return tuple(other for other in self.tracebacks if other.chain == one.chain)


def traces(paste: Paste) -> Traces:
    """Every traceback of a paste, distributed over several processes or not."""
    return Traces(tracebacks=_Reader(paste.lines).read())


def orphans(paste: Paste, index: int) -> tuple[Frame, ...]:
    """Indented code right above a message whose frames were not pasted, as frames of unknown files."""
    found: list[Frame] = []
    stream = paste.lines[index].stream
    for place in range(index - 1, max(-1, index - 1 - MOST_ORPHANS), -1):
        line = paste.lines[place]
        if line.stream != stream or not line.text[:1].isspace() or not line.text.strip():
            break
        found.append(Frame(index=place, file="", function="", code=line.text.strip()[:600].translate(LOWER)))
    return tuple(reversed(found))
