"""Fit what a training step takes over its count on measured throughput: `python -m l4guide.step.fit TABLE.csv`.

The table is llm-foundry's of MPT models: columns model, seqlen, n_gpus, gpu, precision, micro_batch,
tokens_per_s_per_gpu and act_ckpt. It stays where it is; `data/calibration/training.toml` gets three factors, the
interval, and the error on each card when it was left out.
"""

import argparse
import csv
import hashlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from l4guide import catalogue
from l4guide.files import write_text
from l4guide.interval import Numbers
from l4guide.model import FULL, Architecture, FeedForward, Layers, Mixer
from l4guide.step.plan import Plan
from l4guide.step.rates import training_factors
from l4guide.step.recipe import Recipe
from l4guide.step.run import step
from l4guide.workload import Workload

#: Hidden size, layers and heads of the MPT models by name, and how the table calls the cards.
MPT = {
    "125m": (768, 12, 12),
    "350m": (1024, 24, 16),
    "760m": (1536, 24, 12),
    "1b": (2048, 24, 16),
    "3b": (2560, 32, 20),
    "7b": (4096, 32, 32),
    "13b": (5120, 40, 40),
    "30b": (7168, 48, 56),
    "70b": (8192, 80, 64),
}
VOCABULARY = 50_432
CARDS = {"h100_80gb": "H100 SXM", "a100_80gb": "A100-80GB-SXM", "a100_40gb": "A100-40GB-SXM"}
FITTED = ("products", "attention", "elementwise")
GRID = (np.arange(0.70, 1.301, 0.025), np.arange(0.8, 2.21, 0.1), np.arange(0.6, 2.41, 0.2))
SOURCE = "llm-foundry-benchmarks"


def mpt(name: str) -> Architecture:
    """An MPT model by its size's name."""
    hidden, count, heads = MPT[name]
    wide = hidden // heads
    mixer = Mixer(kind=FULL, heads=heads, kv_heads=heads, head_dim=wide, head_dim_v=wide)
    product = FeedForward(intermediate=4 * hidden, gated=False)
    return Architecture(
        name=f"MPT {name}",
        hidden=hidden,
        vocabulary=VOCABULARY,
        tied_embeddings=True,
        layers=(Layers(count=count, mixer=mixer, feed_forward=product),),
        max_context=None,
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """The 16-bit rows of the table."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["precision"] in ("bf16", "amp_bf16")]


def counted(row: dict[str, str]) -> tuple[Numbers, float]:
    """Seconds of the fitted parts and of the rest as counted, and the measured seconds of the same step."""
    length, batch = float(row["seqlen"]), float(row["micro_batch"])
    recipe = Recipe(recompute="full" if row["act_ckpt"] == "True" else "none")
    plan = Plan(task="training", gpus=int(row["n_gpus"]), recipe=recipe)
    workload = Workload(task="training", head_dim=64, head_dim_v=64)
    card = catalogue.gpu(CARDS[row["gpu"]])
    found = step(card, mpt(row["model"]), plan, workload, batch, length, "flash-attn")
    now = training_factors()
    parts = [found.parts[name].value.item() / now[name] for name in FITTED]
    rest = found.parts.keys() - set(FITTED)
    measured = batch * length / float(row["tokens_per_s_per_gpu"])
    return np.array([*parts, sum(found.parts[name].value.item() for name in sorted(rest))]), measured


def best(parts: Numbers, measured: Numbers) -> tuple[float, ...]:
    """The factors of the grid with the smallest mean distance in log time."""
    columns = itertools.product(*GRID)
    return min(columns, key=lambda factors: float(np.abs(errors(parts, measured, factors)).mean()))


def errors(parts: Numbers, measured: Numbers, factors: Sequence[float]) -> Numbers:
    """Logarithm of predicted over measured seconds."""
    found: Numbers = np.log(parts @ np.array([*factors, 1.0]) / measured)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit on all rows; score each architecture with factors that were fitted on the other."""
    parser = argparse.ArgumentParser(prog="python -m l4guide.step.fit", description=main.__doc__)
    parser.add_argument("table", type=Path)
    path = parser.parse_args(arguments).table
    rows = read_rows(path)
    pairs = [counted(row) for row in rows]
    parts, measured = np.array([p for p, _ in pairs]), np.array([m for _, m in pairs])
    hopper = np.array([row["gpu"].startswith("h100") for row in rows])
    scores, left_out = [], []
    for chosen in (hopper, ~hopper):
        factors = best(parts[chosen], measured[chosen])
        other = errors(parts[~chosen], measured[~chosen], factors)
        left_out.append(other)
        for name in sorted({row["gpu"] for row, inside in zip(rows, chosen, strict=True) if not inside}):
            here = np.array([row["gpu"] == name for row in rows])[~chosen]
            scores.append((CARDS[name], int(here.sum()), float(np.abs(np.expm1(-other[here])).mean())))
    spread = np.exp(-np.quantile(np.concatenate(left_out), [0.9, 0.1]))
    text = _toml(best(parts, measured), spread, scores, hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    write_text(catalogue.data_folder() / "calibration" / "training.toml", text)


def _toml(
    factors: Sequence[float], spread: Numbers, scores: Sequence[tuple[str, int, float]], digest: str
) -> str:
    lines = [
        "# What a training step takes over its count, fitted by `python -m l4guide.step.fit TABLE.csv` on measured",
        "# throughput of MPT models on A100 and H100; the table itself is not here. `low` and `high` hold four fifths",
        "# of the rows when factors fitted on one architecture predict the other; `left_out` is the mean error then.",
        "",
        f'source = "{SOURCE}"',
        f"fitted = {datetime.now(tz=UTC).date().isoformat()}",
        f'sha256 = "{digest}"',
        "",
        "[factors]",
        *(f"{name} = {factor:.3f}" for name, factor in zip(FITTED, factors, strict=True)),
        f"low = {spread[0]:.3f}",
        f"high = {spread[1]:.3f}",
    ]
    for card, rows, error in scores:
        lines += ["", "[[left_out]]", f'gpu = "{card}"', f"rows = {rows}", f"mean_error = {error:.3f}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
