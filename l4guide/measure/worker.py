"""The child process of a run: reads one request, says what it does as JSON lines on stdout.

    python -m l4guide.measure.worker --json '{"kind": "live", "workload": {"head_dim": 128}}'

Requests: `live` (the workload's attention: correctness, and time where there is a GPU), `limit` (a tile too
large for the card, then one that fits), `suite` (the benchmark, full or quick), `tune` (tiles near the table's),
`inquiry` (what PyTorch says of its own backends), `trace` (the online softmax of a small problem, step by step).
`workload` takes the options of `l4guide.workload.ask`; `gpu` is the chosen card, by which tiles are cut where none is
attached.

Events, one JSON object a line, `kind` first; sentences travel as `key` and `values`, so that they can be said
in either language:

    started   mode (gpu, interpreter or compile), gpu, arch, total, key, values
    progress  done, total, key, values
    plan      identity, device, works: all that a benchmark will do, each with its row should it not be reached
    row       row: a `Measurement` without what is not known
    pace      pace: a `Pace` without what is not known
    done      work: the piece of a benchmark whose rows and paces came since its `progress`
    tile      tile: what was found for a kernel (see `l4guide.measure.tuning`)
    reply     reply: backend, can_be_used, reasons
    trace     row: row, steps, lse, exact_lse, max_error
    limit     limit: tile, required_bytes, limit_bytes, fits, basis (measured or compiled), text
    finished  key, values
    error     key, values, detail

The last event is `finished` or `error`. Whatever a library prints goes to stderr.
"""

import argparse
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from l4guide.errors import BadInput, Problem
from l4guide.text import Sentence

Emit = Callable[..., None]

KINDS = ("live", "limit", "suite", "tune", "inquiry", "trace")


def main(arguments: list[str] | None = None) -> int:
    """Answer one request; the exit code is that of the problem it met, 0 when it met none."""
    parser = argparse.ArgumentParser(prog="python -m l4guide.measure.worker", description=__doc__)
    parser.add_argument("--json", required=True, metavar="REQUEST", help="the request as JSON")
    parser.add_argument("--tethered", action="store_true", help="end when stdin closes: the parent is gone")
    options = parser.parse_args(arguments)
    if options.tethered:
        tether(sys.stdin.fileno())
    emit = json_lines()
    try:
        answer(json.loads(options.json), emit)
    except Problem as problem:
        emit("error", **spoken(problem.sentence), detail="")
        return problem.exit_code
    except Exception as failure:
        detail = "".join(traceback.format_exception(failure))
        values = {"reason": f"{type(failure).__name__}: {first_line(failure)}"}
        emit("error", key="measure.failed", values=values, detail=detail)
        return 1
    return 0


def answer(request: Mapping[str, Any], emit: Emit) -> None:
    """Do what `request` asks, saying so through `emit`.

    Raises:
        Problem: the request cannot be answered on this machine, or at all.
    """
    kind = request.get("kind")
    if kind not in KINDS:
        raise BadInput("error.not_a_choice", name="kind", value=str(kind), choices=", ".join(KINDS))
    if kind == "limit":
        from l4guide.measure.limit import show_limit

        show_limit(request, emit)
    elif kind == "inquiry":
        from l4guide.measure.inquiry import answer_inquiry

        answer_inquiry(request, emit)
    elif kind == "suite":
        from l4guide.measure.bench import run_suite

        run_suite(request, emit)
    elif kind == "tune":
        from l4guide.measure.tuning import run_tuning

        run_tuning(request, emit)
    elif kind == "trace":
        from l4guide.measure.trace import run_trace

        run_trace(request, emit)
    else:
        from l4guide.measure.live import run_live

        run_live(request, emit)


def json_lines() -> Emit:
    """A function that writes events to what was stdout; from now on stdout itself is stderr.

    Libraries, and the compilers they start, print to file descriptor 1; only events may go to the parent.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def emit(kind: str, **content: object) -> None:
        line = json.dumps({"kind": kind, **content}, ensure_ascii=False, allow_nan=False)
        with lock:
            out.write(line + "\n")
            out.flush()

    return emit


def tether(descriptor: int) -> None:
    """End this process as soon as the pipe on `descriptor` closes, which it does when the parent ends."""

    def watch() -> None:
        while os.read(descriptor, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def spoken(sentence: Sentence) -> dict[str, Any]:
    """A sentence as it travels: its key and values, values that JSON does not know as text."""
    plain = (str, int, float, bool, type(None))
    values = {k: v if isinstance(v, plain) else str(v) for k, v in sentence.values.items()}
    return {"key": sentence.key, "values": values}


def first_line(failure: BaseException) -> str:
    """What an exception says, cut to its first line."""
    return next(iter(str(failure).strip().splitlines()), "")


if __name__ == "__main__":
    sys.exit(main())
