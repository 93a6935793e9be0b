"""Whose frames stand around a message: the library and the kernel that a traceback names."""

import re
from collections.abc import Collection

from l4guide.diagnose.symptom import Origin
from l4guide.diagnose.wording import Match

#: How far back the frame that launched a kernel may stand.
FRAME_REACH = 20_000
#: `_fwd_kernel[grid](...)`, inductor's `triton_..._0.run(...)`, and `in some_kernel` of a frame.
LAUNCH = re.compile(
    r"(\w{2,80})\[[^\[\]]{0,80}\]\(|\b(triton_\w{2,160})\.run\(|, in (\w{0,60}kernel\w{0,60})\b"
)


def library_of(match: Match, origins: Collection[Origin], choices: Collection[str]) -> str | None:
    """The library among `choices` whose hint stands last before the message, else anywhere; None without any.

    An empty `choices` admits every library.
    """
    last, before, after = -1, None, None
    for origin in origins:
        if choices and origin.library not in choices:
            continue
        for hint in origin.hints:
            place = match.reading.small.rfind(hint, 0, match.end)
            if place > last:
                last, before = place, origin.library
            elif after is None and hint in match.reading.small:
                after = origin.library
    return before or after


def kernel_of(match: Match) -> str | None:
    """The kernel that the last frame before the message launches; None where no frame shows one."""
    text = match.reading.text[max(0, match.start - FRAME_REACH) : match.start]
    found = [next(filter(None, names)) for names in LAUNCH.findall(text)]
    return found[-1] if found else None
