"""Attention to chosen or compressed keys: what a query reads of them, and the index that chooses.

No kernel of this kind was measured: times are those of attention to so many keys, with a wider interval.
"""

import numpy as np

from l4guide.catalogue import Gpu
from l4guide.interval import Interval, Numbers
from l4guide.model import Mixer
from l4guide.step.rates import gemm_rate, memory_rate
from l4guide.workload import ELEMENT_BYTES, Workload

#: Seconds over those of attention to as many keys in a row: keys are gathered, and selection is a pass of its own.
LOW, VALUE, HIGH = 0.9, 1.3, 2.5


def read_keys(mixer: Mixer, tokens: Numbers) -> Numbers:
    """Keys that a query after so many tokens reads."""
    kept = np.floor(tokens / mixer.stride)
    # Layers that compress without an index read every key that they kept.
    chooses = mixer.selected > 0 and (mixer.stride == 1 or mixer.index_columns > 0)
    long = np.minimum(kept, mixer.selected) if chooses else kept
    recent = np.minimum(tokens, mixer.recent) if mixer.stride > 1 else 0.0
    found: Numbers = np.maximum(np.minimum(long + recent, tokens), 1.0)
    return found


def share_read(mixer: Mixer, tokens: Numbers) -> Numbers:
    """Of the pairs that causal attention has over a prompt of so many tokens, those that are read.

    Each query reads what is before it until that is more than `read_keys`, which is taken as its mean over the prompt.
    """
    most = np.minimum(read_keys(mixer, tokens), tokens)
    found: Numbers = np.minimum(1.0, most * (2.0 * tokens - most) / tokens**2)
    return found


def index_seconds(gpu: Gpu, mixer: Mixer, workload: Workload, batch: Numbers, tokens: Numbers) -> Interval:
    """Seconds of the index's scores of all keys that are kept: arithmetic or bytes, whichever is longer."""
    chooses = mixer.selected > 0 and (mixer.stride == 1 or mixer.index_columns > 0)
    if not chooses or not mixer.index_heads:
        return Interval.exactly(np.zeros_like(batch))
    keys = np.floor(tokens / mixer.stride)
    queries = np.ones_like(tokens) if workload.task == "decode" else tokens / 2.0
    wide = mixer.index_dim or mixer.index_columns
    dtype = "bf16" if workload.dtype == "fp8" else workload.dtype
    flops = 2.0 * batch * mixer.index_heads * wide * queries * keys
    moved = batch * keys * wide * ELEMENT_BYTES[workload.kv_dtype]
    times = 3.5 if workload.task == "training" else 1.0
    by_flops = gemm_rate(gpu, dtype, dtype).per_second.inverse(times * flops)
    return by_flops.upper(memory_rate(gpu).inverse(times * moved))


def widened(seconds: Interval) -> Interval:
    """Seconds of attention to as many keys in a row, as those of keys that are gathered."""
    return Interval.of(LOW * seconds.low, VALUE * seconds.value, HIGH * seconds.high)
