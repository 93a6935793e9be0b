"""Make `data/calibration/roofline.toml` from a folder of measured tables: `python -m l4guide.estimate.fit FOLDER`.

The tables are those of aiconfigurator: one row a shape, latency of one attention call in ms. What is fitted is the
ratio of measured time over launch plus roofline time, as percentiles by size, each GPU weighing the same. The
interval is then widened until it holds four fifths of the rows of GPUs left out of the fit; that error is written
beside each curve.
"""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from statistics import median

from l4guide.catalogue import Gpu, data_folder, find_gpu
from l4guide.estimate.attention import WIDEST_HEAD
from l4guide.work import work_of
from l4guide.workload import ask

#: Kernel names in the tables, and the implementation that each one is.
IMPLEMENTATIONS = {
    "vllm_flash_attn": "flash-attn",
    "vllm_flash_attn_fa2": "flash-attn",
    "flash_attention": "flash-attn",
    "vllm_flash_attn_fa3": "flash-attn-3",
    "fa3": "flash-attn-3",
    "flashinfer": "flashinfer",
    "vllm_flashinfer_fidecode": "flashinfer",
    "trtllm_mha": "flashinfer",
    "vllm_flashinfer_trtllmprefill": "flashinfer",
    "vllm_flashinfer_trtllmdecode": "flashinfer",
    "triton": "triton",
}
#: Compute capabilities that share a kernel family's code: a curve measured on one is used for all of its class.
CLASSES = (("8.0", "8.6", "8.9", "12.0"), ("9.0",), ("10.0", "10.3"))
KNOTS_US = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
PERCENTILES = (0.1, 0.5, 0.9)
#: Fewer rows than this near a knot say too little.
FEWEST_ROWS = 8
#: Share of left-out rows that the interval must hold.
COVERAGE = 0.8
#: Widening of a curve that only one GPU stands behind, so that none could be left out.
UNTESTED_WIDENING = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured call beside its roofline."""

    implementation: str
    phase: str
    gpu: Gpu
    roofline_us: float
    measured_us: float
    #: Served from memory, not from an L2 that a replay has warmed; only such decode rows say what memory gives.
    cold: bool


def read_rows(folder: Path) -> list[Row]:
    """All usable rows of the folder."""
    rows: list[Row] = []
    for path in sorted(folder.glob("aic_*.csv")):
        phase = "decode" if "decode" in path.name else "prefill"
        if "prefill" not in path.name and phase != "decode":
            continue
        with path.open(newline="", encoding="utf-8") as file:
            rows += [row for line in csv.DictReader(file) if (row := _row(line, phase))]
    return rows


def _row(line: dict[str, str], phase: str) -> Row | None:
    implementation = IMPLEMENTATIONS.get(line["kernel"])
    dtype = line.get("dtype") or line["kv_dtype"]
    if implementation is None or dtype != "bfloat16" or int(line["head_dim"]) > WIDEST_HEAD:
        return None
    gpu, _ = find_gpu(line["gpu"])
    workload, _ = ask(
        {
            "task": phase,
            "batch": line["batch"],
            "seqlen": line["kv_len"] if phase == "decode" else line["seqlen"],
            "heads": line["heads_q"],
            "kv_heads": line["heads_kv"],
            "head_dim": line["head_dim"],
        }
    )
    work = work_of(workload)
    rate = gpu.gemm_bf16_tflops_high or gpu.tensor_16bit_tflops
    if rate is None:
        return None
    roofline_us = max(work.flops / rate / 1e6, work.bytes / gpu.bandwidth_gb_per_s / 1e3)
    return Row(
        implementation=implementation,
        phase=phase,
        gpu=gpu,
        roofline_us=roofline_us,
        measured_us=float(line["latency_ms"]) * 1e3,
        cold=phase == "prefill" or (line["kv_gt_2xL2"] == "1" and float(line["frac_peak_bw"]) <= 1),
    )


def percentile(values: Sequence[tuple[float, float]], fraction: float) -> float:
    """The weighted percentile of `(value, weight)` pairs."""
    ordered = sorted(values)
    wanted = fraction * sum(weight for _, weight in ordered)
    for value, weight in ordered:
        wanted -= weight
        if wanted <= 0:
            return value
    return ordered[-1][0]


def launch_time(rows: Sequence[Row]) -> float:
    """The time in us of a call with next to nothing to do: the median of the shortest fiftieth of the rows."""
    return median(sorted(row.measured_us for row in rows)[: max(1, len(rows) // 50)])


def fit(rows: Sequence[Row], launch_us: float) -> list[list[float]]:
    """Low, middle and high ratio at each knot; a knot with too few rows takes its nearest neighbour's."""
    ratios: list[list[float]] = []
    for knot in KNOTS_US:
        near = [row for row in rows if abs(log10(row.roofline_us / knot)) <= 0.5]
        counts = {name: sum(row.gpu.name == name for row in near) for name in {row.gpu.name for row in near}}
        weighted = [
            (row.measured_us / (launch_us + row.roofline_us), 1 / counts[row.gpu.name]) for row in near
        ]
        ratios.append([percentile(weighted, p) for p in PERCENTILES] if len(near) >= FEWEST_ROWS else [])
    filled = [index for index, ratio in enumerate(ratios) if ratio]
    return [ratio or ratios[min(filled, key=lambda i: abs(i - n))] for n, ratio in enumerate(ratios)]


def predict(ratios: list[list[float]], launch_us: float, roofline_us: float, which: int) -> float:
    """Time in us at a percentile (0 low, 1 middle, 2 high), interpolated between the knots in log time."""
    position = min(max(log10(roofline_us), 0.0), len(KNOTS_US) - 1.0)
    left = min(int(position), len(KNOTS_US) - 2)
    part = position - left
    return (launch_us + roofline_us) * ((1 - part) * ratios[left][which] + part * ratios[left + 1][which])


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a curve does on GPUs left out of its fit, with its interval widened by `widening` each way."""

    median_error: float
    coverage: float
    widening: float


def left_out(rows: Sequence[Row], launch_us: float) -> Score | None:
    """The score with the least widening that reaches the coverage wanted; None with a single GPU."""
    names = sorted({row.gpu.name for row in rows})
    if len(names) < 2:
        return None
    triples: list[tuple[Row, float, float, float]] = []
    for name in names:
        ratios = fit([row for row in rows if row.gpu.name != name], launch_us)
        for row in rows:
            if row.gpu.name == name:
                low, value, high = (predict(ratios, launch_us, row.roofline_us, which) for which in range(3))
                triples.append((row, low, value, high))
    for step in range(40):
        widening = 1 + step / 20
        inside = [low / widening <= row.measured_us <= high * widening for row, low, _, high in triples]
        coverage = sum(inside) / len(inside)
        if coverage >= COVERAGE:
            break
    error = median(abs(value / row.measured_us - 1) for row, _, value, _ in triples)
    return Score(median_error=error, coverage=coverage, widening=widening)


def curves(rows: Iterable[Row]) -> list[str]:
    """One TOML table for each implementation, phase and class of capabilities."""
    tables: list[str] = []
    rows = list(rows)
    for implementation in sorted({row.implementation for row in rows}):
        for phase in ("prefill", "decode"):
            for capabilities in CLASSES:
                group = [
                    row
                    for row in rows
                    if (row.implementation, row.phase) == (implementation, phase)
                    and row.gpu.capability in capabilities
                ]
                if sum(row.cold for row in group) >= 5 * FEWEST_ROWS:
                    tables.append(_table(implementation, phase, capabilities, group))
    return tables


def _table(implementation: str, phase: str, capabilities: tuple[str, ...], rows: list[Row]) -> str:
    launch_us = launch_time(rows)
    cold = [row for row in rows if row.cold]
    score = left_out(cold, launch_us)
    ratios = fit(cold, launch_us)
    lines = [
        "[[curve]]",
        f'implementation = "{implementation}"',
        f'phase = "{phase}"',
        f"capabilities = {_strings(capabilities)}",
        f"gpus = {_strings(sorted({row.gpu.name for row in cold}))}",
        f"rows = {len(cold)}",
        f"launch_us = {launch_us:.1f}",
        f"knots_us = {list(KNOTS_US)}",
        "ratios = [" + ", ".join(f"[{low:.3f}, {mid:.3f}, {high:.3f}]" for low, mid, high in ratios) + "]",
        f"widening = {score.widening if score else UNTESTED_WIDENING:.2f}",
    ]
    if score is not None:
        lines += [
            f"left_out_median_error = {score.median_error:.3f}",
            f"left_out_coverage = {score.coverage:.3f}",
        ]
    return "\n".join(lines)


def _strings(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def main(folder: str) -> None:
    """Replace the `[[curve]]` tables of `data/calibration/roofline.toml`; what stands before them is kept."""
    path = data_folder() / "calibration" / "roofline.toml"
    head = path.read_text(encoding="utf-8").split("\n[[curve]]", 1)[0].rstrip("\n")
    path.write_text("\n\n".join([head, *curves(read_rows(Path(folder)))]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
