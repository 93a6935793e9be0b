"""The process that builds and watches models: one configuration a line as JSON on stdin, one JSON line in answer.

A process of its own, because a configuration may ask for more memory or time than anyone has, and because nothing that
one names may reach the asker. Once it has imported what it needs it opens no socket, starts no process and writes no
file, and its memory is limited; see `confine`.

    {"config": {"model_type": "llama", …}, "name": "config.json"}     the trace of a configuration
    {"model_type": "llama"}                                           the trace of a type where nothing is said
    {"config_of": "llama"}                                            what its configuration then says
    {"config_of": "llama", "seed": 1}                                 the same with other counts and widths
    {"expressions_of": "llama"}                                       its trace as expressions, found by many trials
    {"types": true}                                                   the language models that transformers knows

An answer is {"trace": …}, {"config": …, "derived": […]}, {"line": …, "why": …}, {"types": […]}
or {"problem": key, "values": …, "exit_code": …}.
"""

import contextlib
import copy
import json
import logging
import os
import resource
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from l4guide.errors import BadInput, CannotDo, Problem
from l4guide.model.traced import Trace

#: Memory beside what the imports took: a hundred layers of a thousand experts need a tenth of it.
MOST_BYTES = 6 * 2**30
#: What a configuration may not bring about, by the names of Python's audit events.
FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.spawn",
    "os.posix_spawn",
    "os.fork",
    "ctypes.dlopen",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


def confine() -> None:
    """From now on: no network, no process, no written file, and so much memory and no more."""
    pages = (
        int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) if sys.platform == "linux" else 0
    )
    if pages:
        most = pages * resource.getpagesize() + MOST_BYTES
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(FORBIDDEN):
        raise PermissionError(f"{event} is not allowed here")
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        raise PermissionError(f"writing {arguments[0]!r} is not allowed here")


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one question, whatever transformers makes of it."""
    name = str(question.get("name", question.get("model_type", "-")))
    try:
        return _answer(question, name)
    except Problem as problem:
        values = {key: str(value) for key, value in problem.sentence.values.items()}
        return {"problem": problem.sentence.key, "values": values, "exit_code": problem.exit_code}
    except MemoryError:
        return _problem(CannotDo("model_trace.memory", path=name, gib=MOST_BYTES // 2**30))
    except Exception as refused:  # transformers raises whatever it likes
        return _problem(BadInput("model_trace.refused", path=name, reason=reason(refused)))


def _answer(question: Mapping[str, Any], name: str) -> dict[str, Any]:
    from l4guide.tracing.build import default_config, language_types
    from l4guide.tracing.forward import trace

    if question.get("types"):
        return {"types": language_types()}
    if "config_of" in question:
        return _config_of(str(question["config_of"]), question.get("seed"))
    if "expressions_of" in question:
        return _expressions_of(str(question["expressions_of"]))
    config = question.get("config")
    if config is None:
        return {"trace": trace(lambda: default_config(str(question.get("model_type")))).to_json()}
    return {"trace": _trace_of(config, name).to_json()}


def _config_of(model_type: str, seed: int | None) -> dict[str, Any]:
    """A type's configuration as a file would hold it: at its default, or with other counts and widths."""
    from l4guide.tracing.build import default_config
    from l4guide.tracing.variation import derived, said_by, varied

    config = default_config(model_type)
    said = said_by(config)
    return {"config": said if seed is None else varied(said, seed), "derived": derived(config)}


def _expressions_of(model_type: str) -> dict[str, Any]:
    """The record of a type; the reason where no expressions hold at every configuration that was tried."""
    import transformers

    from l4guide.tracing.fitting.fit import NoFit
    from l4guide.tracing.fitting.recording import line_of, stands
    from l4guide.tracing.trials import ROUNDS, Trials

    why = ""
    for effort in ROUNDS:
        trials = Trials(model_type, effort)
        # As JSON holds it: what was seen has lists where transformers has tuples.
        study, further = (
            json.loads(json.dumps(seen(), default=str)) for seen in (trials.study, trials.further)
        )
        try:
            line = line_of(study, transformers.__version__)
        except NoFit as problem:
            why = why or str(problem)
            continue
        if stands(line, further):
            return {"line": line, "why": ""}
        why = why or "it does not hold at further configurations"
    return {"line": None, "why": why}


def _trace_of(config: dict[str, Any], name: str) -> Trace:
    """The trace of a configuration, with the fields that nothing read."""
    from l4guide.tracing.build import noting_reads, strange, typed_config
    from l4guide.tracing.forward import trace

    def make(other: str = "") -> Any:
        # transformers changes what it is given, and a model is built more than once.
        given = copy.deepcopy(config)
        return typed_config(_with_another(given, other.split(".")) if other else given, name)

    unknown = strange(config, make())
    with noting_reads() as names:

        def made() -> Any:
            config = make()
            names.clear()  # to be made, a configuration reads all of its fields
            return config

        traced = trace(made)
    unread = [field for field in unknown if field.rpartition(".")[2] not in names]
    return replace(traced, unread=tuple(field for field in unread if _is_idle(field, make)))


def _is_idle(field: str, make: Callable[..., Any]) -> bool:
    """Whether a configuration is the same with another value of a field, but for the field itself."""
    try:
        return _told(make(), field) == _told(make(field), field)
    except Exception:  # another value is refused: it is read
        return False


def _told(config: Any, field: str) -> str:
    """All that a configuration holds but one field."""
    return json.dumps(_with_another(config.to_dict(), field.split("."), 0), default=str, sort_keys=True)


def _with_another(config: dict[str, Any], path: list[str], value: object = None) -> dict[str, Any]:
    """A configuration with another value at `path`: the one given, else the next number."""
    *outer, last = path
    part = config
    for key in outer:
        part = part.get(key) or {}
    if last in part:
        part[last] = _next(part[last]) if value is None else value
    return config


def _next(value: Any) -> Any:
    return [_next(one) for one in value] if isinstance(value, list) else value + 1


def _problem(problem: Problem) -> dict[str, Any]:
    values = {key: str(value) for key, value in problem.sentence.values.items()}
    return {"problem": problem.sentence.key, "values": values, "exit_code": problem.exit_code}


def reason(refused: BaseException) -> str:
    """What an exception says, in one short line."""
    said = " ".join(str(refused).split())
    return f"{type(refused).__name__}: {said}"[:240]


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer until the questions end."""
    for line in questions:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def main() -> None:
    """Serve on the real stdout; whatever a library prints goes to stderr."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        warnings.filterwarnings("ignore")
        logging.disable(logging.CRITICAL)
        from torch.distributions import Distribution

        from l4guide.tracing.attention import register

        # Its checks ask tensors for values.
        Distribution.set_default_validate_args(False)
        register()
        confine()
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
