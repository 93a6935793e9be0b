"""How long attention takes on a card: the physics of its kernel, calibrated on measured rows, with an 80 % interval."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, log

import numpy as np

from l4guide.catalogue import Gpu, find_gpu
from l4guide.estimate.calibration import calibration
from l4guide.estimate.chip import Chip, Span, chip_of
from l4guide.estimate.interval import half_width
from l4guide.estimate.model import Fit, time_of
from l4guide.estimate.physics import AS_FITTED, Live, Parts, best_us, floor_us
from l4guide.estimate.power import Power, power_of
from l4guide.estimate.problems import Array, Problems, problem_of, problems_of
from l4guide.estimate.routes import Choice, choose
from l4guide.frozen import frozen
from l4guide.work import BACKWARD_OVER_FORWARD_FLOPS, work_of
from l4guide.workload import Workload

UNSTRETCHED = Span(low=1.0, value=1.0, high=1.0)
#: dK and dV are one launch, dQ another.
BACKWARD_LAUNCHES = 2
NEAREST = 3


@frozen
class Ceiling:
    """One limit of the card that the estimate divides by, and what kind of number it is."""

    name: str
    low: float
    high: float
    unit: str
    kind: str


@frozen
class Nearest:
    """The measured rows closest to a question on one card; `error` is the median of a fit that left the card out."""

    gpu: str
    kernel: str
    head_dim: int
    seqlen_kv: int
    batch: int
    error: float | None

    def to_json(self) -> dict[str, object]:
        """The error in per cent, absent where no fit could leave the card out."""
        said: dict[str, object] = {
            "gpu": self.gpu,
            "kernel": self.kernel,
            "head_dim": self.head_dim,
            "seqlen_kv": self.seqlen_kv,
            "batch": self.batch,
        }
        return said if self.error is None else {**said, "held_out_error_percent": round(100 * self.error, 1)}


@frozen
class Estimate:
    """Time of one call of one layer, all passes of the task, with an 80 % interval.

    Rates are what the times amount to, `_low` the slow end; `bound` says what limits it: compute, memory or launch.
    `burst_ms` is the time in the first seconds, before a power-limited card has lowered its clock.
    """

    implementation: str
    latency_ms: float
    low_ms: float
    high_ms: float
    burst_ms: float
    tflops: float
    tflops_low: float
    tflops_high: float
    gb_per_s: float
    gb_per_s_low: float
    gb_per_s_high: float
    bound: str
    basis: str
    ceilings: tuple[Ceiling, ...]
    gpus: tuple[str, ...]
    borrowed: bool
    nearest: tuple[Nearest, ...]
    power: Power | None
    sources: tuple[str, ...]
    #: Runs of the implementation on this very card that put the estimate right.
    runs: int = 0
    kind: str = "estimated"

    def to_json(self) -> dict[str, object]:
        """The keys of `l4guide estimate`."""
        said: dict[str, object] = {
            "implementation": self.implementation,
            "latency_ms": self.latency_ms,
            "low_ms": self.low_ms,
            "high_ms": self.high_ms,
            "burst_ms": self.burst_ms,
            "tflops": self.tflops,
            "tflops_low": self.tflops_low,
            "tflops_high": self.tflops_high,
            "gb_per_s": self.gb_per_s,
            "gb_per_s_low": self.gb_per_s_low,
            "gb_per_s_high": self.gb_per_s_high,
            "bound": self.bound,
            "basis": self.basis,
            "kind": self.kind,
            "fitted_on": list(self.gpus),
            "borrowed": self.borrowed,
            "runs_on_this_card": self.runs,
            "nearest": [near.to_json() for near in self.nearest],
            "ceilings": [
                {"name": c.name, "low": c.low, "high": c.high, "unit": c.unit, "kind": c.kind}
                for c in self.ceilings
            ],
            "sources": list(self.sources),
        }
        if self.power is not None:
            said |= {
                "power_w": self.power.watts,
                "power_low_w": self.power.watts_low,
                "power_high_w": self.power.watts_high,
                "sustained_clock_mhz": self.power.sustained_clock_mhz,
                "joules": self.power.joules,
            }
        return said


@frozen
class Times:
    """Times in us of many calls, with the ends of their 80 % intervals, and where the forward time goes."""

    low: Array
    value: Array
    high: Array
    forward: Parts


def _coefficients(choice: Choice) -> dict[str, float]:
    values = dict(choice.fit.coefficients)
    return values | {"passes": 1.0, "update": 0.0} if choice.drop_cache else values


def _forward(chip: Chip, choice: Choice, problems: Problems, *, cold: bool, live: Live) -> Parts:
    """Forward times, never below what a kernel could do at best."""
    fit = choice.fit
    parts = time_of(fit.phase, fit.family, _coefficients(choice), chip, problems, cold=cold, live=live)
    stretch = (choice.stretch or UNSTRETCHED).value
    total = np.maximum(parts.total * stretch, best_us(chip, problems, cold=cold))
    return replace(parts, total=total)


def _all_passes(parts: Parts, factor: Array | float, slowdown: float | None) -> Array:
    """A call's time: `factor` of its forward, and with a `slowdown` a backward so much slower than its products."""
    total = parts.total * factor
    if slowdown is None:
        return total
    work = (parts.total - np.minimum(parts.launch, parts.total)) * factor
    return total + BACKWARD_LAUNCHES * parts.launch + BACKWARD_OVER_FORWARD_FLOPS * slowdown * work


def call_times(
    problems: Problems,
    chip: Chip,
    choice: Choice,
    *,
    training: bool = False,
    live: Live = AS_FITTED,
) -> Times:
    """Times of many calls on one card, of one implementation and one task.

    Generation steps find their cache in memory, as it is in a model of many layers; the low end is what a cache that
    stays in L2 would take. What a borrowed fit leaves open is closed by runs of the kernel itself (`live`).
    """
    decode = choice.fit.phase.startswith("decode")
    forward = _forward(chip, choice, problems, cold=decode, live=live)
    spread = half_width(chip, choice.fit, problems, forward, without_cache=choice.drop_cache)
    spread = live.widen * spread
    quick = forward if not decode else _forward(chip, choice, problems, cold=False, live=live)
    stretch = UNSTRETCHED if live.seen else choice.stretch or UNSTRETCHED
    slowdown = calibration().backward_slowdown
    low, value, high = (
        _all_passes(parts, factor, pace if training else None)
        for parts, factor, pace in (
            (quick, np.exp(-spread) * stretch.low / stretch.value, slowdown.low),
            (forward, 1.0, slowdown.value),
            (forward, np.exp(spread) * stretch.high / stretch.value, slowdown.high),
        )
    )
    best = floor_us(chip, problems, cold=False) * (1 + BACKWARD_OVER_FORWARD_FLOPS * training)
    return Times(low=np.minimum(np.maximum(low, best), value), value=value, high=high, forward=forward)


def _burst_us(problems: Problems, chip: Chip, choice: Choice, forward: Parts, *, training: bool) -> float:
    """The time of a call in the first seconds, before power holds the clock back."""
    best = best_us(chip, problems, cold=False, gemm_tflops=chip.burst_tflops)
    stretch = (choice.stretch or UNSTRETCHED).value
    first = replace(forward, total=np.maximum(forward.burst * stretch, best))
    slowdown = calibration().backward_slowdown.value if training else None
    return float(_all_passes(first, 1.0, slowdown)[0])


def attention_times(
    workloads: Sequence[Workload], gpu: Gpu, implementation: str = "flash-attn", *, live: Live = AS_FITTED
) -> Times:
    """Times of many calls that share a task and types: a whole map in one go.

    Raises:
        BadInput: the implementation is not one that this estimator knows.
        CannotDo: there is no measured row to lean on for this card, type or implementation.
    """
    widest = max(workloads, key=lambda workload: workload.head_dim)
    chip, choice = chip_of(gpu, widest.dtype), choose(widest, gpu, implementation)
    return call_times(problems_of(workloads), chip, choice, training=widest.task == "training", live=live)


def basis_of(workload: Workload, gpu: Gpu, implementation: str, *, live: Live = AS_FITTED) -> str:
    """The basis of an estimate without its time.

    Raises:
        BadInput: the implementation is not one that this estimator knows.
        CannotDo: there is no measured row to lean on for this card, type or implementation.
    """
    chip = chip_of(gpu, workload.dtype)
    return _basis(choose(workload, gpu, implementation), chip, problem_of(workload), live)


def attention_time(
    workload: Workload,
    gpu: Gpu,
    implementation: str = "flash-attn",
    *,
    live: Live = AS_FITTED,
) -> Estimate:
    """Estimate one attention call of one layer on `gpu`; `live` is what runs on that card have shown.

    Raises:
        BadInput: the implementation is not one that this estimator knows.
        CannotDo: there is no measured row to lean on for this card, type or implementation.
    """
    choice = choose(workload, gpu, implementation)
    chip = chip_of(gpu, workload.dtype)
    problems, training = problem_of(workload), workload.task == "training"
    times = call_times(problems, chip, choice, training=training, live=live)
    power = power_of(chip, problems, times.forward, times.value)
    low, value, high = (float(end[0]) for end in (times.low, times.value, times.high))
    burst = value
    if workload.task != "decode":  # a step waits for memory, whatever the clock
        burst = _burst_us(problems, chip, choice, times.forward, training=training)
    work = work_of(workload)
    return Estimate(
        implementation=implementation,
        latency_ms=value / 1e3,
        low_ms=low / 1e3,
        high_ms=high / 1e3,
        burst_ms=min(burst, value) / 1e3,
        tflops=work.flops / value / 1e6,
        tflops_low=work.flops / high / 1e6,
        tflops_high=work.flops / low / 1e6,
        gb_per_s=work.bytes / value / 1e3,
        gb_per_s_low=work.bytes / high / 1e3,
        gb_per_s_high=work.bytes / low / 1e3,
        bound=_bound(times.forward),
        basis=_basis(choice, chip, problems, live),
        ceilings=_ceilings(chip),
        gpus=choice.fit.gpus,
        borrowed=choice.stretch is not None and not live.seen,
        nearest=_nearest(choice.fit, chip, workload),
        power=None if power is None else power[0],
        sources=calibration().sources,
        runs=live.runs,
    )


def _bound(parts: Parts) -> str:
    times = (("compute", parts.compute), ("memory", parts.memory), ("launch", parts.launch))
    return max(times, key=lambda part: float(part[1][0]))[0]


def _basis(choice: Choice, chip: Chip, problems: Problems, live: Live) -> str:
    """How the estimate stands to measured rows: between those of this card, carried from others, or borrowed."""
    fit = choice.fit
    if live.seen:
        return "interpolated"
    if choice.stretch is not None:
        return "roofline"
    inside = (
        problems.head_dim[0] in fit.head_dims
        and problems.seqlen_kv[0] <= fit.longest
        and problems.batch[0] <= fit.largest_batch
        and not choice.drop_cache
    )
    return "interpolated" if chip.name in fit.gpus and inside else "transferred"


def _ceilings(chip: Chip) -> tuple[Ceiling, ...]:
    bandwidth = chip.bandwidth_gb_per_s
    return (
        Ceiling(
            name="gemm",
            low=chip.gemm_low_tflops,
            high=chip.gemm_high_tflops,
            unit="TFLOP/s",
            kind=chip.gemm_kind,
        ),
        Ceiling(name="bandwidth", low=bandwidth, high=bandwidth, unit="GB/s", kind="published"),
    )


def _nearest(fit: Fit, chip: Chip, workload: Workload) -> tuple[Nearest, ...]:
    """The closest measured shapes: on this card if it has rows, else on those most like it."""
    errors = {one.gpu: one.median for one in fit.held_out}
    depth = min(fit.head_dims, key=lambda measured: abs(log(measured / workload.head_dim)))
    distances = {name: 0.0 if name == chip.name else _distance(name, chip) for name in fit.gpus}
    return tuple(
        Nearest(
            gpu=name,
            kernel=fit.family,
            head_dim=depth,
            seqlen_kv=min(workload.seqlen_kv, fit.longest),
            batch=min(workload.batch, fit.largest_batch),
            error=errors.get(name),
        )
        for name in sorted(distances, key=lambda name: distances[name])[:NEAREST]
    )


def _distance(name: str, chip: Chip) -> float:
    """How unlike a measured card is: in arithmetic to bandwidth, and in size."""
    other, _ = find_gpu(name)
    if other.tensor_16bit_tflops is None:
        return inf
    ridge = other.tensor_16bit_tflops / other.bandwidth_gb_per_s
    return (
        abs(log(ridge * chip.bandwidth_gb_per_s / chip.peak_tflops)) + abs(log(other.sm_count / chip.sms)) / 2
    )
