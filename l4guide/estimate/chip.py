"""What the model needs to know of a card, as plain numbers, and what had to be assumed of it."""

from functools import cache

from l4guide.catalogue import Gpu, data_folder, gpus
from l4guide.errors import BadData, CannotDo
from l4guide.frozen import frozen
from l4guide.toml import read_toml

#: Tensor instructions by compute capability: kernels of one class share their code and their coefficients.
CLASSES = {
    "7.0": "volta",
    "7.5": "turing",
    "8.0": "mma",
    "8.6": "mma",
    "8.9": "mma",
    "9.0": "wgmma",
    "10.0": "tcgen05",
    "10.3": "tcgen05",
    "12.0": "mma",
    "12.1": "mma",
}


@frozen
class Span:
    """A low end, a middle and a high end."""

    low: float
    value: float
    high: float


@frozen
class Chip:
    """Rates of one card in one data type.

    `peak_tflops` is the dense tensor rate at boost, `gemm_tflops` what a long GEMM sustains under the power limit
    (`gemm_kind` says whether anyone published it), and `burst_tflops` what one reaches in the first seconds: the peak
    where nobody measured less. `assumed` names the fields that are not this card's own.
    """

    name: str
    tensor_class: str
    sms: int
    clock_ghz: float
    peak_tflops: float
    gemm_tflops: float
    gemm_low_tflops: float
    gemm_high_tflops: float
    burst_tflops: float
    gemm_kind: str
    bandwidth_gb_per_s: float
    l2_mb: float
    shared_kib_per_sm: float
    tdp_w: float | None
    assumed: tuple[str, ...]


@frozen
class CardFacts:
    """`data/calibration/cards.toml`: the GEMM share of cards that nobody measured, and what is known better of some."""

    gemm_over_peak: Span
    known: dict[str, dict[str, float]]


@cache
def card_facts() -> CardFacts:
    """Read `data/calibration/cards.toml`.

    Raises:
        BadData: a part is missing.
    """
    path = data_folder() / "calibration" / "cards.toml"
    try:
        table = read_toml(path)
        known = {
            entry.pop("gpu"): {name: float(value) for name, value in entry.items()} for entry in table["card"]
        }
        return CardFacts(gemm_over_peak=Span(**table["gemm_over_peak"]), known=known)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadData("error.bad_calibration", file=path.name, problem=str(error)) from error


def _gemm(gpu: Gpu, dtype: str, peak: float, known: dict[str, float]) -> tuple[Span, str]:
    """What a long GEMM sustains, and the kind of that number."""
    if "sustained_tflops" in known:
        rate = known["sustained_tflops"]
        return Span(low=rate, value=rate, high=rate), "published"
    low, high = (
        (gpu.gemm_bf16_tflops_low, gpu.gemm_bf16_tflops_high)
        if dtype == "bf16"
        else (gpu.gemm_fp16_tflops_low, gpu.gemm_fp16_tflops_high)
    )
    if low and high:
        # Small sizes pull the low end down on cards that hold their clock; a capped card sustains the middle.
        capped = gpu.tdp_w is not None and gpu.tdp_w < 100
        return Span(low=low, value=(low + high) / 2 if capped else high, high=high), "published"
    share = card_facts().gemm_over_peak
    return Span(low=share.low * peak, value=share.value * peak, high=share.high * peak), "estimated"


def _known(gpu: Gpu) -> dict[str, float]:
    """What is known better of a card than its listed figures; of one whose figures the user gave, what still holds."""
    known = card_facts().known.get(gpu.base or gpu.name, {})
    if {"tensor_16bit_tflops", "sm_count", "boost_mhz", "tdp_w"} & set(gpu.own):
        return {}
    return {name: value for name, value in known.items() if name not in gpu.own}


def _like(gpu: Gpu, field: str) -> float | None:
    """The middle of a field over the cards of the same architecture that state it."""
    values = sorted(
        value
        for other in gpus()
        if other.architecture == gpu.architecture and (value := getattr(other, field))
    )
    middle = len(values) // 2
    return (values[middle] + values[~middle]) / 2 if values else None


@cache
def chip_of(gpu: Gpu, dtype: str = "bf16") -> Chip:
    """The card's rates for 16-bit attention.

    Raises:
        CannotDo: the data type is not one of 16 bits, the card has no tensor cores for it, or a rate that nothing
            can stand for is not known.
    """
    if dtype not in ("fp16", "bf16"):
        raise CannotDo("error.no_estimate_dtype", dtype=dtype)
    if gpu.tensor_16bit_tflops is None:
        raise CannotDo("error.no_estimate_tensor_cores", gpu=gpu.name)
    if dtype == "bf16" and not gpu.bf16_tensor_cores:
        raise CannotDo("error.no_estimate_bf16", gpu=gpu.name)
    known = _known(gpu)
    values: dict[str, float] = {}
    assumed = []
    for field in ("boost_mhz", "l2_mb", "shared_kib_per_sm"):
        own = known.get(field, getattr(gpu, field))
        if own is None:
            assumed.append(field)
            own = _like(gpu, field)
        if own is None or gpu.capability not in CLASSES:
            where = gpu.capability or gpu.architecture
            raise CannotDo("error.no_estimate", implementation="attention", gpu=gpu.name, capability=where)
        values[field] = float(own)
    gemm, kind = _gemm(gpu, dtype, gpu.tensor_16bit_tflops, known)
    # A GEMM beyond the stated peak was run above the stated clock.
    faster = max(gemm.value / gpu.tensor_16bit_tflops, 1.0)
    return Chip(
        name=gpu.name,
        tensor_class=CLASSES[str(gpu.capability)],
        sms=gpu.sm_count,
        clock_ghz=values["boost_mhz"] * faster / 1e3,
        peak_tflops=gpu.tensor_16bit_tflops * faster,
        gemm_tflops=gemm.value,
        gemm_low_tflops=gemm.low,
        gemm_high_tflops=gemm.high,
        burst_tflops=known.get(f"burst_{dtype}_tflops", gpu.tensor_16bit_tflops * faster),
        gemm_kind=kind,
        bandwidth_gb_per_s=known.get("bandwidth_gb_per_s", gpu.bandwidth_gb_per_s),
        l2_mb=values["l2_mb"],
        shared_kib_per_sm=values["shared_kib_per_sm"],
        tdp_w=gpu.tdp_w,
        assumed=tuple(assumed),
    )
