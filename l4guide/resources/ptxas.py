"""What ptxas says of a kernel in its verbose log."""

import re
from dataclasses import dataclass

_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")


@dataclass(frozen=True, slots=True, kw_only=True)
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
