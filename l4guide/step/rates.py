"""What a card sustains for a whole model: products, memory, links; each with its interval and its kind."""

from collections.abc import Mapping
from functools import cache

import numpy as np

from l4guide.catalogue import Gpu, data_folder
from l4guide.errors import BadData, CannotDo
from l4guide.estimate import Ceilings
from l4guide.frozen import frozen
from l4guide.interval import Interval
from l4guide.model.weight_types import weight_type
from l4guide.toml import read_toml

#: GB/s of sixteen PCIe lanes in one direction, by generation: 8, 16 and 32 GT/s with 128b/130b coding.
PCIE_GB_PER_S = {3: 15.75, 4: 31.5, 5: 63.0}
#: Scaling and quantising keep FP8 products from the full ratio of the peaks.
FP8_LOSS = 0.85
#: From which compute capability tensor cores multiply FP4, and over FP8: Blackwell's, at twice the rate
#: (NVIDIA Blackwell architecture, dense FP4 against FP8).
FP4_CAPABILITY, FP4_OVER_FP8 = 10.0, 2.0
SECTIONS = (
    *("gemm_over_peak", "serving_gemm", "memory_bandwidth", "copy_over_bandwidth", "layer_gap_us"),
    *("power", "link"),
)
NOT_MEASURED = Ceilings()


@cache
def constants() -> Mapping[str, Mapping[str, float]]:
    """The tables of `data/calibration/model.toml`.

    Raises:
        BadData: the file is missing or broken.
    """
    return _tables("model.toml", SECTIONS)


@cache
def training_factors() -> Mapping[str, float]:
    """`factors` of `data/calibration/training.toml`: what multiplies each part of a training step, and the interval.

    Raises:
        BadData: the file is missing or broken.
    """
    return _tables("training.toml", ("factors",))["factors"]


def _tables(name: str, sections: tuple[str, ...]) -> Mapping[str, Mapping[str, float]]:
    path = data_folder() / "calibration" / name
    try:
        table = read_toml(path)
        return {section: table[section] for section in sections}
    except (OSError, ValueError, KeyError) as error:
        raise BadData("error.bad_calibration", file=path.name, problem=str(error)) from error


@cache
def share(name: str) -> Interval:
    """One of the triples of the calibration."""
    triple = constants()[name]
    return Interval.of(triple["low"], triple["value"], triple["high"])


@frozen
class Rate:
    """A rate in FLOP/s or bytes/s, and whether its middle was measured, published, or follows from the peak."""

    per_second: Interval
    kind: str


def gemm_rate(gpu: Gpu, dtype: str, weights: str, ceilings: Ceilings = NOT_MEASURED) -> Rate:
    """FLOP/s of large products with activations of type `dtype` and weights of type `weights`.

    What `ceilings` hold of this very card takes the place of what was published or follows from the peak. fp8 weights
    are multiplied as fp8, and fp4 ones as fp4, where the card has such cores; all others are widened first.

    Raises:
        CannotDo: the card has no rate for the type.
    """
    published = _published(gpu, dtype)
    peak = _peak(gpu, dtype)
    if published is None and peak is None:
        raise CannotDo("error.no_rate", gpu=gpu.name, dtype=dtype)
    measured = _measured(gpu, dtype, ceilings)
    if measured is not None:
        rate = Rate(per_second=measured.times(1e12), kind="measured")
    elif published is not None:
        low, high = published
        rate = Rate(per_second=Interval.of(low, (low + high) / 2, high).times(1e12), kind="published")
    else:
        rate = Rate(per_second=share("gemm_over_peak").times((peak or 0.0) * 1e12), kind="estimated")
    faster = over_16_bits(gpu, weights)
    return rate if faster == 1.0 else Rate(per_second=rate.per_second.times(faster), kind="estimated")


def over_16_bits(gpu: Gpu, weights: str) -> float:
    """How many times as fast as in 16 bits a card multiplies weights of a type: 1 where it has no cores for them."""
    products = weight_type(weights).products
    if products is None or not gpu.fp8_tflops or not gpu.tensor_16bit_tflops:
        return 1.0
    if products == "fp4":
        if gpu.vendor != "NVIDIA" or float(gpu.capability or 0) < FP4_CAPABILITY:
            return 1.0
        return FP4_OVER_FP8 * FP8_LOSS * gpu.fp8_tflops / gpu.tensor_16bit_tflops
    return FP8_LOSS * gpu.fp8_tflops / gpu.tensor_16bit_tflops


def _published(gpu: Gpu, dtype: str) -> tuple[float, float] | None:
    low, high = (
        (gpu.gemm_fp16_tflops_low, gpu.gemm_fp16_tflops_high)
        if dtype == "fp16"
        else (gpu.gemm_bf16_tflops_low, gpu.gemm_bf16_tflops_high)
    )
    known = low or high
    return None if dtype not in ("fp16", "bf16") or known is None else (low or known, high or known)


def _measured(gpu: Gpu, dtype: str, ceilings: Ceilings) -> Interval | None:
    """TFLOP/s that this very card sustained, no narrower than what was published of such cards.

    It is of bf16; what was published of both types tells fp16.
    """
    if ceilings.gemm_tflops is None or dtype not in ("fp16", "bf16"):
        return None
    own, bf16 = _published(gpu, dtype), _published(gpu, "bf16")
    other = sum(own) / sum(bf16) if own and bf16 else 1.0
    known_low, known_high = own or bf16 or (1.0, 1.0)
    middle = (known_low + known_high) / 2
    found = ceilings.gemm_tflops.times(other)
    low = np.minimum(found.low, found.value * known_low / middle)
    return Interval.of(low, found.value, np.maximum(found.high, found.value * known_high / middle))


def _peak(gpu: Gpu, dtype: str) -> float | None:
    """Dense peak in TFLOP/s; a card without tensor cores for the type multiplies as fp32."""
    if dtype == "fp32":
        return gpu.fp32_tflops
    if gpu.tensor_16bit_tflops is None or (dtype == "bf16" and not gpu.bf16_tensor_cores):
        return gpu.fp32_tflops
    return gpu.tensor_16bit_tflops


def memory_rate(gpu: Gpu, ceilings: Ceilings = NOT_MEASURED) -> Interval:
    """Bytes per second that arrive; a copy on this very card says how much of its bandwidth memory gives."""
    usual, copied = share("memory_bandwidth"), ceilings.copy_gb_per_s
    if copied is None:
        return usual.times(gpu.bandwidth_gb_per_s * 1e9)
    pairs = ((usual.low, copied.low), (usual.value, copied.value), (usual.high, copied.high))
    return Interval.of(*(a * b for a, b in pairs)).times(1e9 / constants()["copy_over_bandwidth"]["value"])


def link_rate(gpu: Gpu) -> tuple[Interval, str] | None:
    """Bytes per second between two cards in one direction, and over which link; None where none is known."""
    link = constants()["link"]
    if gpu.nvlink_gb_per_s:
        one_way, name = gpu.nvlink_gb_per_s / 2, "nvlink"
    elif gpu.pcie_gen in PCIE_GB_PER_S:
        one_way, name = PCIE_GB_PER_S[gpu.pcie_gen], "pcie"
    else:
        return None
    reached = Interval.of(*(link[f"{name}_{end}"] for end in ("low", "value", "high")))
    return reached.times(one_way * 1e9), name


def host_rate(gpu: Gpu) -> Interval:
    """Bytes per second between a card and host memory in one direction.

    Raises:
        CannotDo: the card's PCIe generation is not known.
    """
    if gpu.pcie_gen not in PCIE_GB_PER_S:
        raise CannotDo("error.no_host_link", gpu=gpu.name)
    link = constants()["link"]
    reached = Interval.of(*(link[f"pcie_{end}"] for end in ("low", "value", "high")))
    return reached.times(PCIE_GB_PER_S[gpu.pcie_gen] * 1e9)


def step_latency() -> Interval:
    """Seconds of one step of a collective."""
    link = constants()["link"]
    return Interval.of(*(link[f"step_us_{end}"] for end in ("low", "value", "high"))).times(1e-6)
