"""What was running, and whose code: read from the frames of a traceback."""

from collections.abc import Collection, Sequence

from l4guide.diagnose.trace import Frame
from l4guide.frozen import frozen

#: How many frames around the innermost are searched for a call.
REACH_OUT = 12


@frozen
class Origin:
    """A library as its frames, modules and messages show it in a traceback; whether what it runs is attention."""

    library: str
    hints: tuple[str, ...]
    attention: bool


@frozen
class Site:
    """Something that a program does, as its frames show it: what `name` says was running.

    The innermost frame that is no plumbing decides; `outer` phrases of code count in the frames around it too. A
    `raw` site is known by plumbing: moving a module's weights shows nothing else.
    """

    name: str
    code: tuple[str, ...]
    functions: tuple[str, ...]
    files: tuple[str, ...]
    outer: tuple[str, ...]
    unless: tuple[str, ...]
    raw: bool

    def ran_in(self, frame: Frame) -> bool:
        """Whether this frame does it."""
        if any(phrase in frame.code for phrase in self.unless):
            return False
        named = frame.function.rpartition(".")[2] in self.functions
        in_file = any(file in frame.file for file in self.files)
        return named or in_file or any(phrase in frame.code for phrase in self.code)

    def ran_around(self, frame: Frame) -> bool:
        """Whether this frame, outside the innermost, calls it."""
        return any(phrase in frame.code for phrase in self.outer)


def is_plumbing(frame: Frame, plumbing: Sequence[str]) -> bool:
    """Whether a frame only passes a call on; `file:function` names one function of a file."""
    for one in plumbing:
        file, _, function = one.partition(":")
        if file in frame.file.replace("\\", "/") and (not function or function == frame.function):
            return True
    return False


def site_of(frames: Sequence[Frame], sites: Sequence[Site], plumbing: Sequence[str]) -> str | None:
    """What the frames say was running; `other` where they show something that has no name here, None without frames."""
    if not frames:
        return None
    raw = next((site.name for site in sites if site.raw and site.ran_in(frames[-1])), None)
    if raw is not None:
        return raw
    telling = [frame for frame in reversed(frames) if not is_plumbing(frame, plumbing)]
    if not telling:
        return "other"
    named = next((site.name for site in sites if not site.raw and site.ran_in(telling[0])), None)
    if named is not None:
        return named
    around = telling[1 : REACH_OUT + 1]
    return next((site.name for frame in around for site in sites if site.ran_around(frame)), "other")


def origin_of(scope: str, end: int, origins: Collection[Origin], choices: Collection[str]) -> Origin | None:
    """The origin among `choices` whose hint stands last before the place `end` of a text, else anywhere in it.

    An empty `choices` admits every library.
    """
    last, before, after = -1, None, None
    for origin in origins:
        if choices and origin.library not in choices:
            continue
        for hint in origin.hints:
            place = scope.rfind(hint, 0, end)
            if place > last:
                last, before = place, origin
            elif after is None and hint in scope:
                after = origin
    return before or after
