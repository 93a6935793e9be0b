"""The process that traces, from its asker's side: started, given so much time, replaced when it dies."""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from l4guide.distributions import version_of
from l4guide.errors import BadInput, CannotDo, Problem
from l4guide.model.traced import Trace
from l4guide.process_group import Answerer
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
        self._worker = Answerer(WORKER, _environment, deadline_s=deadline_s)

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

    def expressions_of(self, model_type: str) -> tuple[str, dict[str, Any] | None]:
        """The record of a type as expressions; where none were found, why.

        Raises:
            BadInput: transformers does not know the type, or cannot build it by default.
            CannotDo: as `config`.
        """
        found = self._ask({"expressions_of": model_type}, model_type)
        return found["why"], found["line"]

    def language_types(self) -> Sequence[str]:
        """The types that transformers has language models of.

        Raises:
            CannotDo: torch or transformers is not installed.
        """
        found: list[str] = self._ask({"types": True}, "-")["types"]
        return found

    def stop(self) -> None:
        """End the process; the next question starts another."""
        self._worker.stop()

    def _ask(self, question: Mapping[str, object], name: str) -> dict[str, Any]:
        missing = _missing()
        if missing:
            raise CannotDo("model_trace.not_at_hand", missing=", ".join(missing))
        try:
            answer = self._worker.ask(question)
        except TimeoutError:
            deadline_s = f"{self._worker.deadline_s:g}"
            raise CannotDo("model_trace.too_slow", path=name, deadline_s=deadline_s) from None
        except EOFError:
            raise CannotDo("model_trace.died", path=name) from None
        except OSError as problem:
            raise CannotDo("error.worker_not_started", reason=str(problem)) from problem
        if "problem" in answer:
            raise _problem(answer)
        return answer


def _environment() -> Mapping[str, str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return os.environ | SETTINGS | {"PYTHONPATH": path}


def _problem(answer: Mapping[str, Any]) -> Problem:
    kind = BadInput if answer["exit_code"] == BadInput.exit_code else CannotDo
    return kind(answer["problem"], **answer["values"])
