"""Processes that lead a group of their own, ended with all that they started: ptxas, the compiler of a worker."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def signal_group(process: subprocess.Popen[str], number: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process and all that it started, unless it has been reaped and its id may be another's.

    Args:
        process: Started with `start_new_session=True`.
        number: The signal.
    """
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class Answerer:
    """A process that answers each line of JSON on stdin with one on stdout; it is replaced when it dies or is late.

    Args:
        command: What to run.
        environment: Its variables, asked for when it is started.
        deadline_s: How long an answer may take.
        complaints: A file for its stderr; None drops it.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Callable[[], Mapping[str, str]],
        *,
        deadline_s: float,
        complaints: Path | None = None,
    ) -> None:
        self.deadline_s = deadline_s
        self._command, self._environment, self._complaints = command, environment, complaints
        self._process: subprocess.Popen[str] | None = None
        self._late = False

    def ask(self, question: Mapping[str, object]) -> dict[str, Any]:
        """The answer to a question.

        Raises:
            TimeoutError: none came in time, and the process was ended.
            EOFError: the process ended without one.
            OSError: it cannot be started.
        """
        process = self._process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self.deadline_s, self._overdue, (process,))
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.stop()
        late, self._late = self._late, False
        raise TimeoutError if late else EOFError

    def end(self) -> None:
        """End the process while it is asked, from any thread."""
        if self._process is not None:
            signal_group(self._process)

    def stop(self) -> None:
        """End the process; the next question starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        signal_group(process)
        with contextlib.suppress(BrokenPipeError):
            process.communicate()

    def _overdue(self, process: subprocess.Popen[str]) -> None:
        self._late = True
        signal_group(process)

    def _started(self) -> subprocess.Popen[str]:
        with contextlib.ExitStack() as files:
            stderr: Any = subprocess.DEVNULL
            if self._complaints is not None:
                stderr = files.enter_context(self._complaints.open("w"))
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
                env=dict(self._environment()),
                start_new_session=True,
            )
