"""What ptxas says of a kernel in its verbose log."""

import contextlib
import re
import sys
from pathlib import Path

from l4guide.frozen import frozen

_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")


@frozen
class Usage:
    """Per thread: registers, bytes spilled to local memory (stores plus loads), bytes of stack frame."""

    registers: int
    spill_bytes: int
    stack_bytes: int


def read_log(log: str) -> Usage:
    """The usage in a log of `ptxas -v`; of several functions the most demanding counts.

    Raises:
        ValueError: the log reports no function.
    """
    registers = [int(count) for count in _REGISTERS.findall(log)]
    frames = [tuple(map(int, frame)) for frame in _FRAME.findall(log)]
    if not registers or not frames:
        raise ValueError("the compiler's log reports no function")
    return Usage(
        registers=max(registers),
        spill_bytes=max(stores + loads for _, stores, loads in frames),
        stack_bytes=max(stack for stack, _, _ in frames),
    )


class Overheard:
    """The last log that Triton had ptxas write in this process.

    Triton runs `ptxas -v` into a temporary file and removes it unread; an audit hook reads it just before. Running
    ptxas again would tell the same, but needs flags that differ between Triton's versions, and takes as long as
    the rest of the compilation where a kernel spills. A hook cannot be removed, so one serves a whole process.
    """

    def __init__(self) -> None:
        self.log = ""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.remove" and str(arguments[0]).endswith(".log"):
            with contextlib.suppress(OSError):
                self.log = Path(str(arguments[0])).read_text(encoding="utf-8", errors="replace")

    def take(self) -> Usage:
        """What the last log says; it is said once.

        Raises:
            ValueError: ptxas was not run, or reported no function.
        """
        log, self.log = self.log, ""
        return read_log(log)
