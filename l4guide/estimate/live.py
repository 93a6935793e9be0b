"""Runs on the user's own card put the estimate right for that card: clock, memory and launches, kernel by kernel.

What one kernel shows is not carried to another: on the cards that we could try it on, that made most estimates worse.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Protocol

import numpy as np

from l4guide.catalogue import Gpu
from l4guide.errors import CannotDo
from l4guide.estimate.attention import (
    Estimate,
    Times,
    attention_time,
    attention_times,
    basis_of,
    call_times,
)
from l4guide.estimate.ceilings import Ceilings
from l4guide.estimate.chip import Chip, chip_of
from l4guide.estimate.least_squares import Prior, fit
from l4guide.estimate.physics import AS_FITTED, Live
from l4guide.estimate.problems import Array, Problems, problems_of
from l4guide.estimate.routes import IMPLEMENTATIONS, Choice, best_implementation, choose
from l4guide.frozen import frozen
from l4guide.workload import Workload, ask

#: What a card may differ by from the fit before any run of it, as deviations of the logarithm.
PRIORS = {
    "compute": Prior(middle=1.0, deviation=0.15),
    "memory": Prior(middle=1.0, deviation=0.10),
    "launch": Prior(middle=1.0, deviation=0.15),
}
#: A kernel that was never measured may be anything within its stretch; 2.56 deviations span 80 %.
DEVIATIONS_OF_80_PERCENT = 2.56
#: Share of rows that the interval must hold.
COVERAGE = 0.8
#: However well or badly the runs fit, the interval is scaled by no less and no more.
NARROWEST, WIDEST = 0.1, 4.0
#: Fewer runs of a kernel move its estimate, held back by the priors; its interval stays as wide as it was.
FEWEST_RUNS = 4
#: Into so many parts runs are divided, each judged by the others; up to a dozen runs are judged one by one.
MOST_PARTS = 12


class Run(Protocol):
    """A measured pass: what `l4guide.measure.measurement.Measurement` has, of any other origin too."""

    @property
    def implementation(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def attention_pass(self) -> str: ...  # noqa: D102
    @property
    def batch(self) -> int: ...  # noqa: D102
    @property
    def seqlen_q(self) -> int: ...  # noqa: D102
    @property
    def seqlen_kv(self) -> int: ...  # noqa: D102
    @property
    def heads(self) -> int: ...  # noqa: D102
    @property
    def kv_heads(self) -> int: ...  # noqa: D102
    @property
    def head_dim(self) -> int: ...  # noqa: D102
    @property
    def dtype(self) -> str: ...  # noqa: D102
    @property
    def causal(self) -> bool: ...  # noqa: D102
    @property
    def latency_ms(self) -> float | None: ...  # noqa: D102


Case = tuple[str, str, str]  # card, implementation, and decode or prompt
Shape = tuple[str, str, Workload]  # card, implementation, and exactly what was run
FIELDS = ("task", "batch", "seqlen_q", "seqlen_kv", "heads", "kv_heads", "head_dim", "dtype", "causal")


def _case(gpu: Gpu, implementation: str, task: str) -> Case:
    return gpu.name, implementation, "decode" if task == "decode" else "prompt"


def correct(chip: Chip, choice: Choice, problems: Problems, measured_us: Array) -> Live:
    """The factors that bring the model closest to these runs, and how wide its interval must then be.

    The width is judged on each run by factors from others, so that no run vouches for itself.
    """
    found = replace(_factors(chip, choice, problems, measured_us), runs=len(problems))
    if len(problems) < FEWEST_RUNS:
        return found
    ratios: list[float] = []
    part = np.arange(len(problems)) % MOST_PARTS
    for left in range(min(MOST_PARTS, len(problems))):
        others = part != left
        live = _factors(chip, choice, problems.take(others), measured_us[others])
        times = call_times(problems.take(~others), chip, choice, live=replace(live, seen=True))
        half = np.log(times.high / times.value)
        ratios += (np.abs(np.log(times.value / measured_us[~others])) / half).tolist()
    rank = min((len(ratios) + 1) * COVERAGE, len(ratios))
    reached = float(np.interp(rank, np.arange(1, len(ratios) + 1), np.sort(ratios)))
    return replace(found, widen=min(max(reached, NARROWEST), WIDEST), seen=True)


def _live(values: Mapping[str, float]) -> Live:
    return Live(compute=values["compute"], memory=values["memory"], launch=values["launch"])


def _factors(chip: Chip, choice: Choice, problems: Problems, measured_us: Array) -> Live:
    priors = dict(PRIORS)
    if choice.stretch is not None:
        deviation = math.log(choice.stretch.high / choice.stretch.low) / DEVIATIONS_OF_80_PERCENT
        priors = {
            name: Prior(middle=1.0, deviation=max(deviation, p.deviation)) for name, p in PRIORS.items()
        }

    def predict(values: Mapping[str, float]) -> Array:
        return call_times(problems, chip, choice, live=_live(values)).value

    weights = np.ones(len(problems))
    found = fit(predict, measured_us, weights, priors, effective_rows=float(len(problems)))
    return _live(found.values)


@frozen
class LiveEstimator:
    """The estimator put right for the cards that something was run on; on any other it is the estimator as fitted.

    `ceilings` hold what a card itself sustained, by its name: they are what products and weights go by.
    """

    corrections: Mapping[Case, Live]
    measured_ms: Mapping[Shape, float]
    ceilings: Mapping[str, Ceilings] = field(default_factory=dict)

    @property
    def cards(self) -> frozenset[str]:
        """Names of the cards that something was run on."""
        return frozenset(card for card, _, _ in self.corrections) | self.ceilings.keys()

    def live(self, gpu: Gpu, implementation: str, task: str) -> Live:
        """What runs of an implementation on a card have shown."""
        return self.corrections.get(_case(gpu, implementation, task), AS_FITTED)

    def attention_time(self, workload: Workload, gpu: Gpu, implementation: str = "flash-attn") -> Estimate:
        """As `l4guide.estimate.attention_time`; a forward shape that was run is answered by its run.

        Raises:
            BadInput: the implementation is not one that the estimator knows.
            CannotDo: there is no measured row to lean on.
        """
        live = self.live(gpu, implementation, workload.task)
        estimate = attention_time(workload, gpu, implementation, live=live)
        measured = self.measured_ms.get((gpu.name, implementation, workload))
        if measured is None or workload.task == "training":
            return estimate
        return _measured(estimate, measured)

    def attention_times(self, workloads: Sequence[Workload], gpu: Gpu, implementation: str) -> Times:
        """As `l4guide.estimate.attention_times`.

        Raises:
            BadInput: the implementation is not one that the estimator knows.
            CannotDo: there is no measured row to lean on.
        """
        live = self.live(gpu, implementation, workloads[0].task)
        return attention_times(workloads, gpu, implementation, live=live)

    def basis(self, workload: Workload, gpu: Gpu, implementation: str) -> str:
        """What times of an implementation stand on.

        Raises:
            BadInput: the implementation is not one that the estimator knows.
            CannotDo: there is no measured row to lean on.
        """
        return basis_of(workload, gpu, implementation, live=self.live(gpu, implementation, workload.task))

    def best_implementation(self, workload: Workload, gpu: Gpu) -> str | None:
        """The fastest of the one that is usual on such cards and those that were run on this one often enough.

        None where nothing was measured on such a card.
        """
        usual = best_implementation(workload, gpu)
        *_, kind = _case(gpu, "", workload.task)
        run = [
            name
            for (card, name, of), live in self.corrections.items()
            if (card, of) == (gpu.name, kind) and live.seen
        ]
        return usual if not run else next(iter(self._fastest(workload, gpu, {usual, *run})), usual)

    def _fastest(self, workload: Workload, gpu: Gpu, names: Iterable[str | None]) -> list[str]:
        known = (name for name in names if name is not None)
        return [found.implementation for _, found in self.ranked(workload, [gpu], known)]

    def ranked(
        self, workload: Workload, gpus: Iterable[Gpu], implementations: Iterable[str] = IMPLEMENTATIONS
    ) -> list[tuple[Gpu, Estimate]]:
        """Every card and implementation that has an estimate, the fastest first."""
        found = []
        names = tuple(implementations)
        for gpu in gpus:
            for implementation in names:
                try:
                    found.append((gpu, self.attention_time(workload, gpu, implementation)))
                except CannotDo:  # this one has no estimate here; the others do
                    continue
        return sorted(found, key=lambda pair: pair[1].latency_ms)


#: The estimator as it was fitted.
NO_RUNS = LiveEstimator(corrections={}, measured_ms={})


def _measured(estimate: Estimate, latency_ms: float) -> Estimate:
    """The estimate with its time replaced by the run's; the interval keeps its width, since runs differ too."""
    factor = latency_ms / estimate.latency_ms
    return replace(
        estimate,
        latency_ms=latency_ms,
        low_ms=estimate.low_ms * factor,
        high_ms=estimate.high_ms * factor,
        burst_ms=min(estimate.burst_ms, latency_ms),
        tflops=estimate.tflops / factor,
        tflops_low=estimate.tflops_low / factor,
        tflops_high=estimate.tflops_high / factor,
        gb_per_s=estimate.gb_per_s / factor,
        gb_per_s_low=estimate.gb_per_s_low / factor,
        gb_per_s_high=estimate.gb_per_s_high / factor,
        basis="measured",
        kind="measured",
    )


def is_usable(run: Run) -> bool:
    """Whether a run puts an estimate right: a timed forward pass, correct, in 16 bits, of a kernel that is known."""
    timed = run.status == "ok" and run.attention_pass == "forward" and bool(run.latency_ms)
    return timed and run.dtype in ("fp16", "bf16") and run.implementation in IMPLEMENTATIONS


def recalibrate(runs: Iterable[Run], gpu: Gpu) -> LiveEstimator:
    """The estimator put right by forward runs on `gpu`; runs of kernels that it does not know are passed over."""
    cases: dict[Case, list[tuple[Workload, float]]] = {}
    measured: dict[Shape, float] = {}
    for run in runs:
        if not is_usable(run) or run.latency_ms is None:
            continue
        workload, _ = ask({name: getattr(run, name) for name in FIELDS})
        cases.setdefault(_case(gpu, run.implementation, run.task), []).append((workload, run.latency_ms))
        measured[gpu.name, run.implementation, workload] = run.latency_ms
    corrections = {}
    for case, calls in cases.items():
        workloads = [workload for workload, _ in calls]
        try:
            choice = choose(workloads[0], gpu, case[1])
            chip = chip_of(gpu, workloads[0].dtype)
        except CannotDo:
            continue
        times_us = np.array([1e3 * latency_ms for _, latency_ms in calls])
        corrections[case] = correct(chip, choice, problems_of(workloads), times_us)
    return LiveEstimator(corrections=corrections, measured_ms=measured)


def together(estimators: Iterable[LiveEstimator], ceilings: Mapping[str, Ceilings]) -> LiveEstimator:
    """Several cards' corrections as one, with the ceilings of cards by their names."""
    corrections: dict[Case, Live] = {}
    measured: dict[Shape, float] = {}
    for one in estimators:
        corrections |= one.corrections
        measured |= one.measured_ms
    return LiveEstimator(corrections=corrections, measured_ms=measured, ceilings=ceilings)
