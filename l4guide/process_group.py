"""A process that leads a group of its own, ended with all that it started: a compiler's ptxas, a worker's compiler."""

import contextlib
import os
import signal
import subprocess


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
