"""A run in a process of its own: started, watched and ended from here.

A CUDA fault stays with its process, and neither a hung kernel nor a compiler can be interrupted from a
thread. So the work happens in a child; stopping means ending its process group, and what it had finished by
then is kept here.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from l4guide.errors import CannotDo
from l4guide.process_group import signal_group

Event = dict[str, Any]
Post = Callable[..., object]

#: A run ends with exactly one event of these kinds, and none follows it.
LAST = frozenset({"finished", "error", "cancelled"})
GRACE_S = 2.0
STDERR_LINES_KEPT = 60


def direct_post(function: Callable[..., object], *args: object) -> None:
    """Call at once, on the thread that pumps the events."""
    function(*args)


def kernel_post() -> Post:
    """A `post` for widgets: calls are handed to the kernel's event loop, so that they run on its main thread.

    Take it while a cell or a callback runs; outside an event loop it is `direct_post`.
    """
    import asyncio

    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        return direct_post


class Run:
    """One worker process at a time, its events handed to `on_event` through `post`.

    `rows` and `limits` hold what was finished, whatever became of the process. `gpu` is the card that the
    worker named when it started. `last` is the event that ended the run, None before that.
    """

    def __init__(
        self,
        on_event: Callable[[Event], object],
        *,
        post: Post = direct_post,
        deadline_s: float = 180.0,
        module: str = "l4guide.measure.worker",
    ) -> None:
        self.on_event = on_event
        self.post = post
        self.deadline_s = deadline_s
        self.module = module
        self.rows: list[Event] = []
        self.limits: list[Event] = []
        self.gpu: str | None = None
        self.last: Event | None = None
        self._process: subprocess.Popen[str] | None = None
        self._pump_thread: threading.Thread | None = None
        self._ended_by: str | None = None
        self._failure: BaseException | None = None

    @property
    def running(self) -> bool:
        """Whether the last event is still to come."""
        return self._pump_thread is not None and self.last is None

    def start(self, request: Mapping[str, object]) -> None:
        """Start the worker on `request` (see `l4guide.measure.worker`).

        Raises:
            CannotDo: the run before has not ended, or no process can be started.
        """
        if self.running:
            raise CannotDo("error.run_in_progress")
        self.rows, self.limits = [], []
        self.gpu = self.last = self._ended_by = self._failure = None
        command = [sys.executable, "-u", "-m", self.module, "--tethered", "--json", json.dumps(request)]
        try:
            # A group of its own lets cancel reach the compilers that the worker starts; stdin is the tether.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as problem:
            raise CannotDo("error.worker_not_started", reason=str(problem)) from problem
        self._pump_thread = threading.Thread(target=self._pump, args=(self._process,), daemon=True)
        self._pump_thread.start()

    def cancel(self) -> None:
        """Stop the run; harmless when there is none. The event `cancelled` follows."""
        self._end("cancelled")

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the last event to be handed over; whether it came in time.

        Raises:
            BaseException: what `on_event` or `post` raised first, if either did.
        """
        if self._pump_thread is not None:
            self._pump_thread.join(timeout)
            if self._pump_thread.is_alive():
                return False
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return True

    def _end(self, reason: str) -> None:
        process = self._process
        if process is None or not self.running or self._ended_by is not None:
            return
        self._ended_by = reason
        signal_group(process, signal.SIGTERM)
        killer = threading.Timer(GRACE_S, signal_group, (process, signal.SIGKILL))
        killer.daemon = True
        killer.start()

    def _pump(self, process: subprocess.Popen[str]) -> None:
        stderr: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdin is not None
        drain = threading.Thread(target=stderr.extend, args=(process.stderr,), daemon=True)
        drain.start()
        deadline = threading.Timer(self.deadline_s, self._end, ("deadline",))
        deadline.daemon = True
        deadline.start()
        last: Event | None = None
        for line in process.stdout:
            event = _event(line)
            if event is None:
                stderr.append(line)
            elif event["kind"] in LAST:
                last = event
            elif self._ended_by is None:
                self._keep(event)
                self._hand_over(event)
        # Not reaped yet, so that its group id cannot have passed to strangers: what it started goes with it.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        signal_group(process, signal.SIGKILL)
        code = process.wait()
        deadline.cancel()
        drain.join(GRACE_S)
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        self.last = self._verdict(last, code, "".join(stderr))
        self._hand_over(self.last)

    def _keep(self, event: Event) -> None:
        if event["kind"] == "row":
            self.rows.append(event["row"])
        elif event["kind"] == "limit":
            self.limits.append(event["limit"])
        elif event["kind"] == "started":
            self.gpu = event.get("gpu")

    def _hand_over(self, event: Event) -> None:
        try:
            self.post(self.on_event, event)
        except Exception as failure:  # a listener's mistake must not leave a process behind
            self._failure = self._failure or failure
            self._end("cancelled")

    def _verdict(self, last: Event | None, code: int, stderr: str) -> Event:
        """The one event that ends the run: the worker's own last word, else why it had none."""
        kept = {"rows_kept": len(self.rows)}
        if last is not None:
            return {**last, **kept}
        if self._ended_by == "cancelled":
            return {
                "kind": "cancelled",
                "key": "measure.cancelled",
                "values": {"rows": len(self.rows)},
                **kept,
            }
        if self._ended_by == "deadline":
            values = {"seconds": round(self.deadline_s), "rows": len(self.rows)}
            return {"kind": "error", "key": "measure.deadline_passed", "values": values, "detail": "", **kept}
        if code < 0:
            cause = {"signal": _signal_name(-code), "rows": len(self.rows)}
            return {
                "kind": "error",
                "key": "measure.worker_killed",
                "values": cause,
                "detail": stderr,
                **kept,
            }
        cause = {"code": code, "rows": len(self.rows)}
        return {"kind": "error", "key": "measure.worker_failed", "values": cause, "detail": stderr, **kept}


def _event(line: str) -> Event | None:
    """The event in one line of output; None for what a library printed there."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("kind"), str) else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
