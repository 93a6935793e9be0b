"""Attention time of one layer over arrays of batches and lengths: the estimator's, or a wide roofline beyond it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from l4guide.catalogue import Gpu
from l4guide.errors import CannotDo
from l4guide.estimate import NO_RUNS, LiveEstimator
from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers
from l4guide.model import LATENT, Mixer
from l4guide.step.rates import gemm_rate, memory_rate
from l4guide.step.sparse import index_seconds, read_keys, share_read, widened
from l4guide.work import work_of
from l4guide.workload import Workload

#: More problems than this are interpolated between a grid of them, in log time.
MOST_POINTS = 64
GRID = (12, 20)
#: Where nothing like the problem was measured: seconds over those of the roofline.
ROOFLINE_LOW, ROOFLINE_VALUE, ROOFLINE_HIGH = 1.1, 1.8, 4.0
LAUNCH_S = 1e-5


@frozen
class AttentionTime:
    """Seconds of one layer, what they stand on, and the implementation that was timed."""

    seconds: Interval
    basis: str
    implementation: str | None
    #: Runs on this very card that put it right.
    runs: int = 0


def attention_seconds(
    gpu: Gpu,
    mixer: Mixer,
    workload: Workload,
    batch: Numbers,
    tokens: Numbers,
    implementation: str | None = None,
    estimator: LiveEstimator = NO_RUNS,
) -> AttentionTime:
    """Attention of one layer.

    Args:
        gpu: the card.
        mixer: the layer's attention, already divided among cards where it is.
        workload: task, types and mask; its shape is taken from `mixer`.
        batch: sequences, an array.
        tokens: keys of a sequence, an array of the same shape; queries are as many, but one for decode.
        implementation: the one to time; None takes the fastest that was measured on such cards.
        estimator: what times a call, put right by runs where there are some.
    """
    if mixer.is_sparse:
        return _sparse_seconds(gpu, mixer, workload, batch, tokens, implementation, estimator)
    shaped = _shaped(workload, mixer)
    keys = _read_keys(mixer, shaped, tokens)
    timed = partial(_timed, gpu, shaped, implementation=implementation, estimator=estimator)
    return timed(batch, keys) if batch.size <= MOST_POINTS else _interpolated(timed, batch, keys)


def _sparse_seconds(
    gpu: Gpu,
    mixer: Mixer,
    workload: Workload,
    batch: Numbers,
    tokens: Numbers,
    implementation: str | None,
    estimator: LiveEstimator,
) -> AttentionTime:
    """Attention to chosen or compressed keys: to as many in a row, and the index that chooses them."""
    plain = replace(mixer, stride=1, selected=0)
    decodes = workload.task == "decode"
    keys = read_keys(mixer, tokens) if decodes else tokens
    timed = attention_seconds(gpu, plain, workload, batch, keys, implementation, estimator)
    read = np.ones_like(batch) if decodes else share_read(mixer, tokens)
    seconds = widened(timed.seconds.times(read)) + index_seconds(gpu, mixer, workload, batch, tokens)
    return replace(timed, seconds=seconds)


def attention_of_many(
    gpu: Gpu,
    mixers: Sequence[Mixer],
    workload: Workload,
    batch: Numbers,
    tokens: Numbers,
    estimator: LiveEstimator = NO_RUNS,
) -> dict[Mixer, AttentionTime]:
    """The same for several mixers in one call of the estimator; empty where it does not know one of them."""
    if any(mixer.is_sparse for mixer in mixers):
        return {}
    shaped = [_shaped(workload, mixer) for mixer in mixers]
    asked = [
        _workloads(one, tuple(batch.ravel().tolist()), tuple(_read_keys(mixer, one, tokens).ravel().tolist()))
        for one, mixer in zip(shaped, mixers, strict=True)
    ]
    chosen = {estimator.best_implementation(workloads[0], gpu) for workloads in asked}
    name = chosen.pop() if len(chosen) == 1 else None
    if name is None:
        return {}
    every = [one for workloads in asked for one in workloads]
    times = _estimated(gpu, every, (len(mixers), *batch.shape), name, estimator)
    if times is None:
        return {}
    return {
        mixer: replace(times, seconds=times.seconds.map(itemgetter(place)))
        for place, mixer in enumerate(mixers)
    }


def _read_keys(mixer: Mixer, workload: Workload, tokens: Numbers) -> Numbers:
    """Keys that the layer reads: decode with a window reads the window alone."""
    if mixer.reach is None or workload.task != "decode":
        return tokens
    return np.minimum(tokens, mixer.reach + 1.0)


def _shaped(workload: Workload, mixer: Mixer) -> Workload:
    """The attention problem of a layer; decode of a latent cache absorbs the projections into one wide KV head."""
    shape = {
        "heads": mixer.heads,
        "kv_heads": mixer.kv_heads,
        "head_dim": mixer.head_dim,
        "head_dim_v": mixer.head_dim_v,
        "window": mixer.reach if workload.task != "decode" else None,
    }
    if mixer.kind == LATENT and workload.task == "decode":
        wide = mixer.latent_rank + mixer.rope_dim
        shape |= {"kv_heads": 1, "head_dim": wide, "head_dim_v": mixer.latent_rank}
    return replace(workload, **shape)  # type: ignore[arg-type]


def _timed(
    gpu: Gpu,
    shaped: Workload,
    batch: Numbers,
    keys: Numbers,
    implementation: str | None,
    estimator: LiveEstimator,
) -> AttentionTime:
    """Every problem by itself, in one call of the estimator."""
    workloads = _workloads(shaped, tuple(batch.ravel().tolist()), tuple(keys.ravel().tolist()))
    chosen = implementation or estimator.best_implementation(workloads[0], gpu)
    known = None if chosen is None else _estimated(gpu, workloads, batch.shape, chosen, estimator)
    if known is not None:
        return known
    floors = np.array([_floor(gpu, workload) for workload in workloads]).reshape(batch.shape)
    over = Interval.of(ROOFLINE_LOW, ROOFLINE_VALUE, ROOFLINE_HIGH)
    seconds = over.map(lambda by: LAUNCH_S + by * floors)
    return AttentionTime(seconds=seconds, basis="roofline", implementation=None)


def _estimated(
    gpu: Gpu,
    workloads: Sequence[Workload],
    shape: tuple[int, ...],
    implementation: str,
    estimator: LiveEstimator,
) -> AttentionTime | None:
    """Problems of one task, laid out in `shape`, in one call; None where the estimator does not know one of them."""
    try:
        times = estimator.attention_times(workloads, gpu, implementation)
    except CannotDo:
        return None
    ends = (end.reshape(shape) * 1e-6 for end in (times.low, times.value, times.high))
    return AttentionTime(
        seconds=Interval.of(*ends),
        basis=estimator.basis(workloads[0], gpu, implementation),
        implementation=implementation,
        runs=estimator.live(gpu, implementation, workloads[0].task).runs,
    )


@lru_cache(maxsize=64)
def _workloads(shaped: Workload, batches: tuple[float, ...], keys: tuple[float, ...]) -> tuple[Workload, ...]:
    """The problems of a grid; kept, since a map asks the same ones of every card."""
    return tuple(_workload(shaped, *pair) for pair in zip(batches, keys, strict=True))


def _workload(shaped: Workload, batch: float, keys: float) -> Workload:
    count = max(1, round(keys))
    queries = 1 if shaped.task == "decode" else count
    return replace(shaped, batch=max(1, round(batch)), seqlen_q=queries, seqlen_kv=count)


def _floor(gpu: Gpu, workload: Workload) -> float:
    """Seconds that the physics of a card leaves, whatever the kernel."""
    work = work_of(workload)
    dtype = workload.dtype if workload.dtype != "fp8" else "bf16"
    _, flops, _ = gemm_rate(gpu, dtype, dtype).per_second.ends()
    _, arriving, _ = memory_rate(gpu).ends()
    read = work.bytes
    if workload.head_dim_v < workload.head_dim and workload.kv_heads == 1:
        # The values are the first columns of the keys, read once.
        read -= workload.batch * workload.seqlen_kv * workload.head_dim_v * 2
    return max(work.flops / flops, read / arriving)


def _interpolated(
    timed: Callable[[Numbers, Numbers], AttentionTime], batch: Numbers, keys: Numbers
) -> AttentionTime:
    """Times between those that `timed` gives of a grid, straight in the logarithms, which is how work grows."""
    across = _knots(batch, GRID[0])
    along = _knots(keys, GRID[1])
    known = timed(*np.meshgrid(across, along, indexing="ij"))
    seconds = known.seconds.map(lambda end: np.exp(_bilinear(np.log(end), across, along, batch, keys)))
    return replace(known, seconds=seconds)


def _knots(values: Numbers, most: int) -> Numbers:
    """The values themselves where they are few, else whole numbers evenly apart in the logarithm."""
    own = np.unique(values)
    if len(own) <= most:
        return own
    return np.unique(np.round(np.geomspace(own[0], own[-1], most)))


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
