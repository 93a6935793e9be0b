"""How long one attention call takes on a card: its roofline on measured ceilings, times what kernels really reach."""

from dataclasses import dataclass

from l4guide.catalogue import Gpu
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate.calibration import Curve, Spread, calibration
from l4guide.work import Work, work_of
from l4guide.workload import Workload

#: Implementations that run another one's kernels.
SAME_KERNELS = {"torch/flash": "flash-attn"}
IMPLEMENTATIONS = ("flash-attn", "flash-attn-3", "flashinfer", "torch/flash", "l4guide")
INFERENCE_ONLY = ("flashinfer",)
#: Wider heads than any measured row has run on tiles of another family.
WIDEST_HEAD = 256
UNSTRETCHED = Spread(low=1.0, value=1.0, high=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """One limit of the card that the estimate divides by, and what kind of number it is."""

    name: str
    low: float
    high: float
    unit: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Time of one call of one layer, all passes of the task, with an 80 % interval.

    Rates are what the times amount to, `_low` the slow end; `bound` says what limits it: compute, memory or launch.
    """

    implementation: str
    latency_ms: float
    low_ms: float
    high_ms: float
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
    sources: tuple[str, ...]
    kind: str = "estimated"

    def to_json(self) -> dict[str, object]:
        """The keys of `l4guide estimate`."""
        return {
            "implementation": self.implementation,
            "latency_ms": self.latency_ms,
            "low_ms": self.low_ms,
            "high_ms": self.high_ms,
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
            "ceilings": [
                {"name": c.name, "low": c.low, "high": c.high, "unit": c.unit, "kind": c.kind}
                for c in self.ceilings
            ],
            "sources": list(self.sources),
        }


def _compute_rate(gpu: Gpu, dtype: str) -> tuple[Spread, str]:
    """Dense tensor TFLOP/s that the card sustains in `dtype`, and the kind of that number.

    Raises:
        CannotDo: the card has no tensor cores for the type, so that no measured ratio applies.
    """
    if dtype not in ("fp16", "bf16"):
        raise CannotDo("error.no_estimate_dtype", dtype=dtype)
    if dtype == "bf16" and not gpu.bf16_tensor_cores:
        raise CannotDo("error.no_estimate_bf16", gpu=gpu.name)
    low, high = (
        (gpu.gemm_bf16_tflops_low, gpu.gemm_bf16_tflops_high)
        if dtype == "bf16"
        else (gpu.gemm_fp16_tflops_low, gpu.gemm_fp16_tflops_high)
    )
    if low and high:
        return Spread(low=low, value=(low + high) / 2, high=high), "published"
    share, peak = calibration().gemm_over_peak, gpu.tensor_16bit_tflops
    if peak is None:
        raise CannotDo("error.no_estimate_tensor_cores", gpu=gpu.name)
    return Spread(low=share.low * peak, value=share.value * peak, high=share.high * peak), "estimated"


def _phase(workload: Workload) -> str:
    return "decode" if workload.task == "decode" else "prefill"


def _curve_for(workload: Workload, gpu: Gpu, implementation: str) -> tuple[Curve, Spread | None]:
    """The measured curve for an implementation on a card.

    Raises:
        CannotDo: nobody has measured this implementation on a card of this class, or it has no backward pass.
    """
    if workload.task == "training" and implementation in INFERENCE_ONLY:
        raise CannotDo("error.no_backward", implementation=implementation)
    family = SAME_KERNELS.get(implementation, implementation)
    if workload.head_dim > WIDEST_HEAD:
        raise CannotDo("error.no_estimate_head_dim", head_dim=workload.head_dim, widest=WIDEST_HEAD)
    found = calibration().curve(family, _phase(workload), gpu.capability)
    if found is None:
        where = gpu.capability or gpu.architecture
        raise CannotDo("error.no_estimate", implementation=implementation, gpu=gpu.name, capability=where)
    return found


def best_implementation(workload: Workload, gpu: Gpu) -> str | None:
    """The fastest implementation that is measured on cards of this class; None where none is."""
    for implementation in ("flash-attn-3", "flash-attn", "flashinfer"):
        if workload.task == "training" and implementation in INFERENCE_ONLY:
            continue
        if calibration().curve(implementation, _phase(workload), gpu.capability) is not None:
            return implementation
    return None


def attention_time(workload: Workload, gpu: Gpu, implementation: str = "flash-attn") -> Estimate:
    """Estimate one attention call of one layer on `gpu`.

    Raises:
        BadInput: the implementation is not one that this estimator knows.
        CannotDo: there is no measured row to lean on for this card, type or implementation.
    """
    if implementation not in IMPLEMENTATIONS:
        raise BadInput(
            "error.unknown_implementation", value=implementation, choices=", ".join(IMPLEMENTATIONS)
        )
    curve, stretch = _curve_for(workload, gpu, implementation)
    rate, kind = _compute_rate(gpu, workload.dtype)
    work = work_of(workload)
    times = _times_us(work, curve, rate, gpu.bandwidth_gb_per_s, stretch or UNSTRETCHED)
    compute_us = work.forward_flops / rate.value / 1e6
    memory_us = work.forward_bytes / gpu.bandwidth_gb_per_s / 1e3
    longest = max((compute_us, "compute"), (memory_us, "memory"), (curve.launch_us, "launch"))
    return Estimate(
        implementation=implementation,
        latency_ms=times.value / 1e3,
        low_ms=times.low / 1e3,
        high_ms=times.high / 1e3,
        tflops=work.flops / times.value / 1e6,
        tflops_low=work.flops / times.high / 1e6,
        tflops_high=work.flops / times.low / 1e6,
        gb_per_s=work.bytes / times.value / 1e3,
        gb_per_s_low=work.bytes / times.high / 1e3,
        gb_per_s_high=work.bytes / times.low / 1e3,
        bound=longest[1],
        basis="roofline",
        ceilings=(
            Ceiling(name="gemm", low=rate.low, high=rate.high, unit="TFLOP/s", kind=kind),
            Ceiling(
                name="bandwidth",
                low=gpu.bandwidth_gb_per_s,
                high=gpu.bandwidth_gb_per_s,
                unit="GB/s",
                kind="published",
            ),
        ),
        gpus=curve.gpus,
        borrowed=stretch is not None,
        sources=calibration().sources,
    )


def _times_us(work: Work, curve: Curve, rate: Spread, bandwidth_gb_per_s: float, stretch: Spread) -> Spread:
    """Fast, middle and slow time in us: fast takes the fast end of every uncertain factor, slow the slow end."""
    slowdown = calibration().backward_slowdown

    def total(tflops: float, which: str) -> float:
        forward = max(work.forward_flops / tflops / 1e6, work.forward_bytes / bandwidth_gb_per_s / 1e3)
        us = (curve.launch_us + forward) * getattr(curve.ratio(forward), which)
        if work.backward_flops:
            # dK/dV and dQ are launches of their own.
            backward = max(work.backward_flops / tflops / 1e6, work.backward_bytes / bandwidth_gb_per_s / 1e3)
            pace = getattr(curve.ratio(backward), which) * getattr(slowdown, which)
            us += (2 * curve.launch_us + backward) * pace
        return float(us * getattr(stretch, which))

    return Spread(low=total(rate.high, "low"), value=total(rate.value, "value"), high=total(rate.low, "high"))
