"""What ptxas says of a kernel in its verbose log, asked with the very flags that Triton gave it."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


class Overheard:
    """The last assembling command that this process ran.

    Triton's flags for ptxas differ between its versions, and it keeps no log; an audit hook hears the command
    whatever the version. A hook cannot be removed, so one of these serves a whole process.
    """

    def __init__(self) -> None:
        self.command: tuple[str, ...] = ()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "subprocess.Popen" and isinstance(arguments[1], Sequence):
            command = tuple(str(word) for word in arguments[1])
            if "ptxas" in Path(command[0]).name and any(word.endswith(".ptx") for word in command):
                self.command = command

    def assemble(self, ptx: str) -> Usage:
        """Assemble `ptx` once more as the last command did, and read what is said.

        Raises:
            ValueError: no command was heard, or ptxas reported no function.
            subprocess.CalledProcessError: ptxas failed.
        """
        if not self.command:
            raise ValueError("Triton did not run ptxas")
        with tempfile.TemporaryDirectory() as folder:
            source, binary = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
            source.write_text(ptx, encoding="utf-8")
            command = [str(source) if word.endswith(".ptx") else word for word in self.command]
            command[command.index("-o") + 1] = str(binary)
            said = subprocess.run([*command, "-v"], check=True, capture_output=True, text=True)
        return read_log(said.stdout + said.stderr)
