"""Fit what serving adds to the counted steps on measured servers: `python -m l4guide.serving.fit TABLE.csv`.

The table is that of public serving runs, in the columns of `served_public.csv`; it stays where it is. Its rows and
those of `data/served.csv` are fitted together, each source weighing as the root of its rows.
`data/calibration/serving.toml` gets the factors, the 80 % interval over servers whose source was left out, and the
errors then.
"""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from l4guide import catalogue
from l4guide.errors import Problem
from l4guide.files import write_text
from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers
from l4guide.serving.batch import Shape, StepTimes, step_times
from l4guide.serving.calibration import Factors
from l4guide.serving.capacity import Granted, Request, granted
from l4guide.serving.engine import GIB, engine_of
from l4guide.serving.load import closed, open_
from l4guide.serving.measured import Served, architecture, served
from l4guide.serving.steady import Balance, Server, balance
from l4guide.serving.table import read_table
from l4guide.step import Plan
from l4guide.workload import Workload

#: Where the search begins, and by how much each is moved, smaller from round to round.
START = {
    "products": 1.0,
    "attention": 1.0,
    "prompt": 1.1,
    "reread": 1.0,
    "step_s": 1.5e-3,
    "sequence_s": 2e-5,
    "launch_s": 6e-4,
    "request_s": 5e-3,
    # Without a way from card to card every byte crosses the bus to the host's memory and back.
    "pcie": 2.0,
}
#: What an engine may have of its own.
OWN = {"tensorrt-llm": ("prompt", "attention", "sequence_s", "request_s")}
MOVES = (1.6, 1.25, 1.1)
#: Bounds of what a factor may be, as shares of where it begins.
BOUNDS = {"products": (0.8, 1.6), "attention": (0.7, 2.0), "prompt": (0.7, 1.8)}
BOUNDS |= {"pcie": (0.5, 2.0), "launch_s": (0.5, 2.0)}
#: A source is left out where it has so many rows.
FEWEST = 10
#: What it costs to move a factor from where it begins, a unit of its logarithm.
HELD = 0.004
MEASURES = ("throughput", "tpot", "ttft")
#: Shares of a prompt that the runs of a source had in common.
SHARED = {"inference-sim/training": 0.9}
#: Names of one source in both tables.
SAME = {"ree2raz/inference-bench": "ree2raz-inference-bench"}


@frozen
class Case:
    """A measured server with its tables."""

    row: Served
    source: str
    times: StepTimes
    shape: Shape
    room: Granted
    slots: float


def case_of(row: Served) -> Case | None:
    """The tables of a measured server; None where its card cannot be timed."""
    model, gpu = architecture(row.model), catalogue.gpu(row.gpu)
    dtype = "fp16" if row.weights == "fp16" else "bf16"
    plan = Plan(dtype=dtype, weights=row.weights, kv_dtype=row.kv_dtype, gpus=row.gpus)
    source = SAME.get(row.source, row.source)
    shape = Shape(
        prompt_tokens=round(row.prompt_tokens or 1),
        output_tokens=round(row.output_tokens or 1),
        prefix_share=SHARED.get(source, 0.0),
    )
    workload = Workload(
        task="decode", head_dim=128, head_dim_v=128, seqlen_q=1, dtype=dtype, kv_dtype=row.kv_dtype
    )
    asked = Request(
        utilization=row.utilization,
        max_model_len=row.max_model_len,
        batched_tokens=row.batched_tokens,
        sequences=row.seqs,
        eager=row.eager,
    )
    room = granted(gpu, model, plan, engine_of(f"{row.engine}:{row.release}"), asked)
    if row.kv_cache_gib is not None:
        room = replace(room, cache=Interval.exactly(row.kv_cache_gib * GIB))
    try:
        times = step_times(gpu, model, plan, workload, shape)
    except Problem:
        return None
    common = shape.prompt_tokens - shape.fresh_tokens
    kept = shape.output_tokens / (1 if room.engine.defaults.whole_answers else 2)
    slots = room.sequences(shape.fresh_tokens + kept, common).value.item()
    return Case(row=row, source=source, times=times, shape=shape, room=room, slots=max(slots, 0.5))


def states(case: Case, factors: Factors) -> Balance:
    """The measured server in balance."""
    return balance(
        Server(
            times=case.times,
            shape=case.shape,
            factors=factors,
            slots=case.slots,
            sequences_at_most=case.room.sequences_at_most,
            batched_tokens=case.room.batched_tokens,
            eager=case.row.eager,
            puts_off=not case.room.engine.defaults.whole_answers,
        )
    )


@frozen
class Predicted:
    """Tokens per second that are written, seconds a token and to the first one; None where that is not compared."""

    rate: float
    token: float | None = None
    first: float | None = None


def predicted(case: Case, factors: Factors) -> Predicted:
    """What a measured server is predicted to do."""
    state, row, answer = states(case, factors), case.row, case.shape.output_tokens
    if row.kind == "burst":
        return _burst(case, state, factors)
    if row.kind == "open":
        found = open_(state, np.array([row.requests_per_s or 0.0]))
        rate, token = found.requests_per_s.item(), found.tpot.item()
        # The run lasts until the last answer has ended.
        more = 0.0 if row.requests is None else rate * answer * token / row.requests
        first = None if found.full.item() else found.ttft.item()
        return Predicted(rate=rate * answer / (1.0 + more), token=token, first=first)
    found = closed(state, np.array([float(row.concurrency or 1)]))
    # Benchmarks that hold so many requests of one length in flight send them in step, so their first tokens say little.
    return Predicted(rate=found.requests_per_s.item() * answer, token=found.tpot.item())


def _burst(case: Case, state: Balance, factors: Factors) -> Predicted:
    """All requests at once: prompts of as many as fit, their answers, and the rest at the server's rate."""
    number = float(case.row.requests or 1)
    first = np.array([min(number, max(float(state.writing[-1]), 1.0))])
    room = float(case.room.batched_tokens)
    tokens = np.minimum(first * case.shape.fresh_tokens, room)
    step = case.times.seconds(case.shape, factors, first / 2, tokens, eager=case.row.eager)
    reading = step * first * case.shape.fresh_tokens / tokens + factors.request_s * first
    token = case.times.seconds(case.shape, factors, first, np.zeros(1), eager=case.row.eager)
    waits = closed(state, np.array([number]))
    seconds = reading + case.shape.output_tokens * token + (number - first) / waits.requests_per_s
    return Predicted(rate=number * case.shape.output_tokens / seconds.item())


def measured(row: Served) -> float | None:
    """Tokens per second that were written, or that follow from both latencies."""
    if row.output_tokens_per_s is not None:
        return row.output_tokens_per_s
    if row.ttft_ms is None or row.tpot_ms is None or row.concurrency is None or row.output_tokens is None:
        return None
    return 1e3 * row.concurrency * row.output_tokens / (row.ttft_ms + (row.output_tokens - 1) * row.tpot_ms)


def errors(cases: Sequence[Case], factors: Factors | Mapping[str, Factors]) -> dict[str, Numbers]:
    """Logarithms of predicted over measured throughput and latencies; nan where one was not measured."""
    found = []
    for case in cases:
        mine = factors if isinstance(factors, Factors) else factors.get(case.row.engine, factors[""])
        said, row = predicted(case, mine), case.row
        pairs = ((said.rate, measured(row)), (said.token, row.tpot_ms), (said.first, row.ttft_ms))
        scales = (1.0, 1e3, 1e3)
        found.append(
            [np.log(a * by / b) if a and b else np.nan for (a, b), by in zip(pairs, scales, strict=True)]
        )
    return dict(zip(MEASURES, np.array(found).reshape(-1, len(MEASURES)).T, strict=True))


def loss(cases: Sequence[Case], weights: Numbers, factors: Factors) -> float:
    """Mean distance in the logarithm: of seconds a token where requests come at a rate, else of throughput."""
    apart = errors(cases, factors)
    paced = np.array([case.row.kind == "open" for case in cases]) & ~np.isnan(apart["tpot"])
    chosen = np.abs(np.where(paced, apart["tpot"], apart["throughput"]))
    moved = sum(abs(log(getattr(factors, name) / START[name])) for name in START)
    return float(np.average(np.minimum(chosen, 1.0), weights=weights)) + HELD * moved


def fitted(cases: Sequence[Case]) -> dict[str, Factors]:
    """By engine the factors with the smallest loss: those of all, then what some engines have of their own."""
    every = _search(cases, Factors(**START), tuple(START))
    found = {"": every}
    for engine, names in OWN.items():
        mine = [case for case in cases if case.row.engine == engine]
        others = [case for case in cases if case.row.engine != engine]
        found[""] = every = _search(others, every, tuple(START))
        found[engine] = _search(mine, every, names) if mine else every
    return found


def _search(cases: Sequence[Case], begin: Factors, names: Sequence[str]) -> Factors:
    """One factor after another, in smaller and smaller moves."""
    number = {name: sum(case.source == name for case in cases) for name in {case.source for case in cases}}
    weights = np.array([number[case.source] ** -0.5 for case in cases])
    found, least = begin, loss(cases, weights, begin)
    for move in MOVES:
        for name in names:
            for by in (move, 1 / move):
                low, high = BOUNDS.get(name, (0.02, 20.0))
                value = min(max(getattr(found, name) * by, low * START[name]), high * START[name])
                tried = replace(found, **{name: value})
                lower = loss(cases, weights, tried)
                if lower < least:
                    found, least = tried, lower
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit on all rows; score each source with factors that were fitted on the others."""
    parser = argparse.ArgumentParser(prog="python -m l4guide.serving.fit", description=main.__doc__)
    parser.add_argument("table", type=Path)
    path = parser.parse_args(arguments).table
    rows = [*(row for row in served() if row.kind != "capacity"), *read_table(path)]
    cases = [case for row in rows if (case := case_of(row)) is not None]
    left: dict[str, dict[str, Numbers]] = {}
    for name in sorted({case.source for case in cases}):
        out = [case for case in cases if case.source == name]
        left[name] = errors(out, fitted([case for case in cases if case.source != name]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    write_text(catalogue.data_folder() / "calibration" / "serving.toml", _toml(fitted(cases), left, digest))


def spread(left: Mapping[str, Mapping[str, Numbers]], measure: str) -> tuple[float, float]:
    """Ends of the 80 % interval over the middle, from errors on sources that were left out."""
    apart = np.concatenate([found[measure] for found in left.values()])
    low, high = np.exp(-np.nanquantile(apart, [0.9, 0.1]))
    return float(low), float(high)


def _toml(factors: Mapping[str, Factors], left: Mapping[str, Mapping[str, Numbers]], digest: str) -> str:
    lines = [
        "# What serving adds to the counted steps, fitted by `python -m l4guide.serving.fit TABLE.csv` on public runs",
        "# of servers: those of `data/served.csv` and a table that is not here. `spread` holds four fifths of the",
        "# rows, each predicted without its source; `left_out` is the median error of throughput then, and the share",
        "# of rows that an interval from the other sources holds.",
        "",
        f"fitted = {datetime.now(tz=UTC).date().isoformat()}",
        f'sha256 = "{digest}"',
    ]
    for engine, mine in factors.items():
        lines += ["", f"[{engine or 'factors'}]"]
        lines += [f"{name} = {getattr(mine, name):.4g}" for name in (OWN[engine] if engine else START)]
    for measure in MEASURES:
        low, high = spread(left, measure)
        lines += ["", f"[spread.{measure}]", f"low = {low:.3f}", f"high = {high:.3f}"]
    apart: list[float] = []
    held: list[bool] = []
    for source, out in left.items():
        found = out["throughput"][~np.isnan(out["throughput"])]
        low, high = spread({name: other for name, other in left.items() if name != source}, "throughput")
        inside = (np.exp(-found) >= low) & (np.exp(-found) <= high)
        apart, held = [*apart, *found], [*held, *inside]
        lines += ["", "[[left_out]]", f'source = "{source}"', *_score(found, inside)]
    lines += ["", "[every]", *_score(np.array(apart), np.array(held))]
    return "\n".join(lines) + "\n"


def _score(apart: Numbers, inside: NDArray[np.bool_]) -> list[str]:
    median = np.median(np.abs(np.expm1(apart)))
    return [f"rows = {len(apart)}", f"median_error = {median:.3f}", f"inside = {inside.mean():.2f}"]


if __name__ == "__main__":
    main()
