"""The process that traces, from its asker's side: started, given so much time, replaced when it dies."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from l4guide.distributions import version_of
from l4guide.errors import BadInput, CannotDo, Problem
from l4guide.model.traced import Trace
from l4guide.process_group import signal_group
from l4guide.tracing.guard import cleaned

#: The imports take 2 to 6 seconds and the largest models as long again; a slow disk or a busy machine some more.
DEADLINE_S = 120.0
WORKER = (sys.executable, "-m", "l4guide.tracing.worker")
NEEDED = ("torch", "transformers")
#: Older ones have no interface that a trace can watch.
OLDEST_TRANSFORMERS = (5, 6)
#: No hub, no telemetry, no card, no bytecode: what is built here needs none of them.
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    # Some types make their defaults from sets: the record is to come out the same each time.
    "PYTHONHASHSEED": "0",
}


def is_at_hand() -> bool:
    """Whether torch and transformers are installed, so that models can be traced here."""
    return not _missing()


@cache
def _missing() -> list[str]:
    """What has to be installed first."""
    missing = [name for name in NEEDED if name not in sys.modules and find_spec(name) is None]
    if missing:
        return missing
    numbers = (version_of("transformers") or "").split(".")[:2]
    old = all(part.isdigit() for part in numbers) and tuple(map(int, numbers)) < OLDEST_TRANSFORMERS
    return [f"transformers >= {'.'.join(map(str, OLDEST_TRANSFORMERS))}"] if old else []


class Tracer:
    """A tracing process for many models; it is replaced when it dies or overstays its deadline.

    Use as a context manager: leaving it ends the process.
    """

    def __init__(self, *, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[str] | None = None
        self._late = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def config(self, config: Mapping[str, object], name: str) -> Trace:
        """The trace of a configuration called `name`, without what could fetch or execute anything.

        Raises:
            BadInput: a number is out of limits; transformers does not know its type, or cannot build it.
            CannotDo: torch or transformers is not installed, or it takes too much time or memory.
        """
        return Trace.from_json(self._ask({"config": cleaned(config, name), "name": name}, name)["trace"])

    def model_type(self, model_type: str) -> Trace:
        """The trace of a type of model as it is where a configuration says nothing.

        Raises:
            BadInput: transformers does not know the type, or cannot build it so.
            CannotDo: as `config`.
        """
        return Trace.from_json(self._ask({"model_type": model_type}, model_type)["trace"])

    def config_of(self, model_type: str, *, seed: int | None = None) -> tuple[dict[str, Any], list[str]]:
        """The configuration of a type where nothing is said, and its fields that follow from others.

        With a seed it is one with other counts and widths.

        Raises:
            BadInput: transformers does not know the type, or cannot make its configuration from nothing.
            CannotDo: as `config`.
        """
        found = self._ask({"config_of": model_type, "seed": seed}, model_type)
        return found["config"], found["derived"]

    def language_types(self) -> Sequence[str]:
        """The types that transformers has language models of.

        Raises:
            CannotDo: torch or transformers is not installed.
        """
        found: list[str] = self._ask({"types": True}, "-")["types"]
        return found

    def _ask(self, question: Mapping[str, object], name: str) -> dict[str, Any]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self._deadline_s, self._overdue, (process,))
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
        if not line:
            self.stop()
            if self._late:
                self._late = False
                raise CannotDo("model_trace.too_slow", path=name, deadline_s=f"{self._deadline_s:g}")
            raise CannotDo("model_trace.died", path=name)
        answer: dict[str, Any] = json.loads(line)
        if "problem" in answer:
            raise _problem(answer)
        return answer

    def _overdue(self, process: subprocess.Popen[str]) -> None:
        self._late = True
        signal_group(process)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            missing = _missing()
            if missing:
                raise CannotDo("model_trace.not_at_hand", missing=", ".join(missing))
            path = os.pathsep.join(entry for entry in sys.path if entry)
            try:
                self._process = subprocess.Popen(
                    WORKER,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="utf-8",
                    env=os.environ | SETTINGS | {"PYTHONPATH": path},
                    start_new_session=True,
                )
            except OSError as problem:
                raise CannotDo("error.worker_not_started", reason=str(problem)) from problem
        return self._process

    def stop(self) -> None:
        """End the process; the next question starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        signal_group(process)
        with contextlib.suppress(BrokenPipeError):
            process.communicate()


def _problem(answer: Mapping[str, Any]) -> Problem:
    kind = BadInput if answer["exit_code"] == BadInput.exit_code else CannotDo
    return kind(answer["problem"], **answer["values"])
