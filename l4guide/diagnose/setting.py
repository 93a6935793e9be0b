"""Where in the paste a message stands: its traceback, what ran there, and the words that belong to it."""

import re
from collections.abc import Collection, Iterator
from functools import cached_property

from l4guide.diagnose.amounts import Amounts, amounts_in
from l4guide.diagnose.paste import LOWER, Paste
from l4guide.diagnose.site import Origin, is_plumbing, origin_of, site_of
from l4guide.diagnose.symptom import SymptomBook
from l4guide.diagnose.trace import Frame, Traceback, Traces, orphans
from l4guide.diagnose.wording import Match

#: `_fwd_kernel[grid](...)`, inductor's `triton_..._0.run(...)`, and a function that is called a kernel.
LAUNCH = re.compile(
    r"(\w{2,80})\[[^\[\]]{0,80}\]\(|\b(triton_\w{2,160})\.run\(|(?:^| )(\w{0,60}kernel\w{0,60}) "
)
#: A kernel that the message itself names.
KERNEL = re.compile(r"\b(triton_\w{2,160}|_\w{3,80}_kernel\w{0,40})\b")
#: How lines of code begin that hold the text of an error.
CODE = (
    "raise ",
    "except ",
    "print(",
    "logger.",
    "logging.",
    "warnings.warn(",
    "#",
    "if ",
    "elif ",
    "return ",
)
#: Lines around a message without a traceback that may belong to it.
LINES_BEFORE, LINES_AFTER = 40, 90
#: Characters of one line, and of one setting, that are looked at.
MOST_OF_LINE, MOST_OF_SCOPE = 4_000, 120_000


class Setting:
    """The surroundings of one match.

    Args:
        match: the words that were recognised.
        paste: where they stand.
        traces: the tracebacks of the paste.
        book: how sites and libraries are recognised.
    """

    def __init__(self, match: Match, paste: Paste, traces: Traces, book: SymptomBook) -> None:
        self.match, self.paste, self.traces, self.book = match, paste, traces, book
        #: Indexes of further lines whose numbers were used.
        self.used: list[int] = []
        self.index = match.reading.index_at(match.start)
        self.last = max(self.index, match.reading.index_at(max(match.start, match.end - 1)))

    @cached_property
    def traceback(self) -> Traceback | None:
        """The traceback that the message ends or lies in."""
        return self.traces.at(self.index)

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """Its frames before the message, outermost first; code above a bare message counts as one."""
        if self.traceback is None:
            return orphans(self.paste, self.index)
        return tuple(frame for frame in self.traceback.frames if frame.index < self.index)

    @cached_property
    def scope(self) -> str:
        """The words that belong to the message, in small letters: its tracebacks, or the lines around it."""
        lines = (self.paste.lines[index].text[:MOST_OF_LINE] for index in self._indexes())
        return " ".join(" ".join(lines).split()).translate(LOWER)[:MOST_OF_SCOPE]

    @cached_property
    def site(self) -> str | None:
        """What was running."""
        return site_of(self.frames, self.book.sites, self.book.plumbing)

    @cached_property
    def ran(self) -> Frame | None:
        """The innermost frame that is no plumbing."""
        telling = [frame for frame in self.frames if not is_plumbing(frame, self.book.plumbing)]
        return telling[-1] if telling else None

    def origin(self, choices: Collection[str] = ()) -> Origin | None:
        """Whose code printed or launched it, among `choices`."""
        end = self.scope.find(self.message[:40])
        end = len(self.scope) if end < 0 else end + len(self.match.text)
        return origin_of(self.scope, end, self.book.origins, choices)

    @cached_property
    def kernel(self) -> str | None:
        """The kernel that the last frame before the message launches; None where no frame shows one."""
        code = " ".join(frame.text for frame in self.frames)[-20_000:]
        found = [next(filter(None, names)) for names in LAUNCH.findall(code)]
        named = KERNEL.search(self.message[:600])
        return found[-1] if found else named[1] if named else None

    def _indexes(self) -> Iterator[int]:
        if self.traceback is not None:
            for one in self.traces.chained(self.traceback):
                yield from range(one.first, one.end)
            return
        lines, stream = self.paste.lines, self.paste.lines[self.index].stream
        around = range(max(0, self.index - LINES_BEFORE), min(len(lines), self.last + LINES_AFTER + 1))
        for index in around:
            if lines[index].stream == stream and (index >= self.index or self.traces.at(index) is None):
                yield index

    @cached_property
    def nearby(self) -> str:
        """The words of the scope, and those of the lines before it that a program may have printed of its shapes."""
        first = self.traceback.first if self.traceback is not None else self.index
        before = self.paste.lines[max(0, first - LINES_BEFORE) : first]
        printed = " ".join(line.text[:MOST_OF_LINE] for line in before).translate(LOWER)
        return f"{printed} {self.scope}"

    @cached_property
    def message(self) -> str:
        """The words from the recognised ones on, in small letters."""
        return self.match.reading.small[self.match.start : self.match.start + 3_000]

    @cached_property
    def amounts(self) -> Amounts:
        """What the message says of memory."""
        return amounts_in(self.message)

    @property
    def is_code(self) -> bool:
        """Whether the words stand in a line of a program that raises, catches or prints them, not in its output."""
        return self.paste.lines[self.index].text.lstrip().startswith(CODE)

    @property
    def is_warning(self) -> bool:
        """Whether a logger or Python calls the line a warning, or only tells it."""
        line = self.paste.lines[self.index]
        words = line.text.translate(LOWER)
        warned = "warning:" in words[:400] or line.level in ("WARNING", "WARN")
        return warned and self.traceback is None
