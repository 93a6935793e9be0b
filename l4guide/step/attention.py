"""Attention time of one layer over arrays of batches and lengths: the estimator's, or a wide roofline beyond it."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l4guide.catalogue import Gpu
from l4guide.errors import CannotDo
from l4guide.estimate import attention_time, best_implementation
from l4guide.interval import Interval, Numbers
from l4guide.model import LATENT, WINDOW, Mixer
from l4guide.step.rates import gemm_rate, memory_rate
from l4guide.work import work_of
from l4guide.workload import Workload

#: More different problems than this are interpolated between a coarse grid of them, in log time.
MOST_POINTS = 48
GRID = 6
#: Where nothing like the problem was measured: seconds over those of the roofline.
ROOFLINE_LOW, ROOFLINE_VALUE, ROOFLINE_HIGH = 1.1, 1.8, 4.0
LAUNCH_S = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionTime:
    """Seconds of one layer, what they stand on, and the implementation that was timed."""

    seconds: Interval
    basis: str
    implementation: str | None


class One(NamedTuple):
    """Seconds of one problem: low, middle and high; what they stand on, and the implementation."""

    low: float
    value: float
    high: float
    basis: str
    implementation: str | None


def attention_seconds(
    gpu: Gpu,
    mixer: Mixer,
    workload: Workload,
    batch: Numbers,
    tokens: Numbers,
    implementation: str | None = None,
) -> AttentionTime:
    """Attention of one layer.

    Args:
        gpu: the card.
        mixer: the layer's attention, already divided among cards where it is.
        workload: task, types and mask; its shape is taken from `mixer`.
        batch: sequences, an array.
        tokens: keys of a sequence, an array of the same shape; queries are as many, but one for decode.
        implementation: the one to time; None takes the fastest that was measured on such cards.
    """
    shaped = _shaped(workload, mixer)
    keys = _read_keys(mixer, shaped, tokens)
    if batch.size <= MOST_POINTS:
        asked = list(zip(batch.ravel().tolist(), keys.ravel().tolist(), strict=True))
        found = {pair: _one(gpu, shaped, *pair, implementation) for pair in dict.fromkeys(asked)}
        each = [found[pair] for pair in asked]
        columns = np.array([item[:3] for item in each]).reshape(*batch.shape, 3)
        seconds = Interval.of(columns[..., 0], columns[..., 1], columns[..., 2])
        return AttentionTime(seconds=seconds, basis=each[0].basis, implementation=each[0].implementation)
    return _interpolated(gpu, shaped, batch, keys, implementation)


def _read_keys(mixer: Mixer, workload: Workload, tokens: Numbers) -> Numbers:
    """Keys that the layer reads: decode with a window reads the window alone."""
    if mixer.window is None or mixer.kind != WINDOW or workload.task != "decode":
        return tokens
    return np.minimum(tokens, mixer.window + 1.0)


def _shaped(workload: Workload, mixer: Mixer) -> Workload:
    """The attention problem of a layer; decode of a latent cache absorbs the projections into one wide KV head."""
    shape = {
        "heads": mixer.heads,
        "kv_heads": mixer.kv_heads,
        "head_dim": mixer.head_dim,
        "head_dim_v": mixer.head_dim_v,
        "window": mixer.window if mixer.kind == WINDOW and workload.task != "decode" else None,
    }
    if mixer.kind == LATENT and workload.task == "decode":
        wide = mixer.latent_rank + mixer.rope_dim
        shape |= {"kv_heads": 1, "head_dim": wide, "head_dim_v": mixer.latent_rank}
    return replace(workload, **shape)  # type: ignore[arg-type]


def _one(gpu: Gpu, shaped: Workload, batch: float, keys: float, implementation: str | None) -> One:
    count = max(1, round(keys))
    workload = replace(
        shaped, batch=max(1, round(batch)), seqlen_q=1 if shaped.task == "decode" else count, seqlen_kv=count
    )
    chosen = implementation or best_implementation(workload, gpu)
    if chosen is None:
        return _roofline(gpu, workload)
    try:
        found = attention_time(workload, gpu, chosen)
    except CannotDo:
        return _roofline(gpu, workload)
    low, value, high = (ms / 1e3 for ms in (found.low_ms, found.latency_ms, found.high_ms))
    return One(low, value, high, found.basis, chosen)


def _roofline(gpu: Gpu, workload: Workload) -> One:
    """The physical floor times what unmeasured kernels take over it."""
    work = work_of(workload)
    dtype = workload.dtype if workload.dtype != "fp8" else "bf16"
    _, flops, _ = gemm_rate(gpu, dtype, dtype).per_second.ends()
    _, arriving, _ = memory_rate(gpu).ends()
    read = work.bytes
    if workload.head_dim_v < workload.head_dim and workload.kv_heads == 1:
        # The values are the first columns of the keys, read once.
        read -= workload.batch * workload.seqlen_kv * workload.head_dim_v * 2
    floor = max(work.flops / flops, read / arriving)
    low, value, high = (LAUNCH_S + floor * by for by in (ROOFLINE_LOW, ROOFLINE_VALUE, ROOFLINE_HIGH))
    return One(low, value, high, "roofline", None)


def _interpolated(
    gpu: Gpu, shaped: Workload, batch: Numbers, keys: Numbers, implementation: str | None
) -> AttentionTime:
    """Times between those of a grid, straight in the logarithms, which is how work grows."""
    across: Numbers = np.unique(np.round(np.geomspace(batch.min(), batch.max(), GRID))).astype(np.float64)
    along: Numbers = np.unique(np.round(np.geomspace(keys.min(), keys.max(), 2 * GRID))).astype(np.float64)
    known = [[_one(gpu, shaped, b, k, implementation) for k in along] for b in across]
    times = np.log(np.array([[item[:3] for item in row] for row in known]))
    ends = [np.exp(_bilinear(times[..., end], across, along, batch, keys)) for end in range(3)]
    first = known[0][0]
    return AttentionTime(seconds=Interval.of(*ends), basis=first.basis, implementation=first.implementation)


def _bilinear(table: Numbers, across: Numbers, along: Numbers, batch: Numbers, keys: Numbers) -> Numbers:
    x, i, j = _place(across, batch)
    y, k, m = _place(along, keys)
    low = table[i, k] * (1 - y) + table[i, m] * y
    high = table[j, k] * (1 - y) + table[j, m] * y
    found: Numbers = low * (1 - x) + high * x
    return found


def _place(knots: Numbers, at: Numbers) -> tuple[Numbers, NDArray[np.int64], NDArray[np.int64]]:
    """Where values stand between knots: the share of the way, and the knots' numbers."""
    right = np.clip(np.searchsorted(knots, at), min(1, len(knots) - 1), len(knots) - 1)
    left = np.maximum(right - 1, 0)
    wide = np.log(knots[right]) - np.log(knots[left])
    share = np.where(wide > 0, (np.log(at) - np.log(knots[left])) / np.where(wide > 0, wide, 1.0), 0.0)
    return np.clip(share, 0.0, 1.0), left, right
