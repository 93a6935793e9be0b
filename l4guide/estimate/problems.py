"""Many attention calls at once: their shapes as arrays, and the work that each one is."""

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from l4guide.frozen import frozen
from l4guide.workload import ELEMENT_BYTES, Workload

Array = npt.NDArray[np.float64]
#: Stands for "no window": wider than any context.
UNLIMITED = 2.0**40


@frozen
class Problems:
    """Forward passes of one attention layer, one an element of each array; shapes as in `Workload`.

    `element_bytes` is of queries and output, `kv_bytes` of keys and values; `causal` is 1 or 0, aligned
    bottom-right; `window` counts the keys to the left that a query sees, `UNLIMITED` for all.
    """

    batch: Array
    seqlen_q: Array
    seqlen_kv: Array
    heads: Array
    kv_heads: Array
    head_dim: Array
    head_dim_v: Array
    element_bytes: Array
    kv_bytes: Array
    causal: Array
    window: Array

    def __len__(self) -> int:
        """How many calls these are."""
        return len(self.batch)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Problems":
        """Those that a mask or a list of positions names."""
        return Problems(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def group(self) -> Array:
        """Query heads that share a key head."""
        return self.heads / self.kv_heads

    @property
    def wide(self) -> Array:
        """Head dimensions of the two products together."""
        return self.head_dim + self.head_dim_v

    @property
    def keys_read(self) -> Array:
        """Keys that at least one query sees."""
        return np.minimum(self.seqlen_kv, np.where(self.causal > 0, self.window, UNLIMITED) + self.seqlen_q)

    @property
    def query_bytes(self) -> Array:
        """Bytes of queries and output."""
        return self.batch * self.seqlen_q * self.heads * self.wide * self.element_bytes

    @property
    def cache_bytes(self) -> Array:
        """Bytes of the keys and values that must be read."""
        return self.batch * self.keys_read * self.kv_heads * self.wide * self.kv_bytes

    @property
    def flops(self) -> Array:
        """Floating-point operations of the pairs that the mask leaves; as `work.work_of` counts them."""
        rows, keys, width = self.seqlen_q, self.seqlen_kv, self.window + 1
        seen = np.minimum(rows, keys)  # queries above the diagonal see nothing
        first = np.maximum(keys - rows + 1, 1)
        growing = np.clip(np.minimum(width, keys) - first, 0, seen)
        ramp = growing * (2 * first + growing - 1) / 2
        causal = ramp + (seen - growing) * np.minimum(width, keys)
        pairs = np.where(self.causal > 0, causal, rows * np.minimum(keys, width))
        return 2 * self.batch * self.heads * pairs * self.wide


@lru_cache(maxsize=64)
def problem_of(workload: Workload) -> Problems:
    """The forward pass of one workload, which is asked of every card in turn."""
    return problems_of([workload])


def problems_of(workloads: Sequence[Workload]) -> Problems:
    """The forward passes of `workloads`."""

    def column(values: list[float]) -> Array:
        return np.array(values, dtype=np.float64)

    counts = {
        name: column([getattr(workload, name) for workload in workloads])
        for name in (
            "batch",
            "seqlen_q",
            "seqlen_kv",
            "heads",
            "kv_heads",
            "head_dim",
            "head_dim_v",
            "causal",
        )
    }
    return Problems(
        **counts,
        element_bytes=column([ELEMENT_BYTES[workload.dtype] for workload in workloads]),
        kv_bytes=column([ELEMENT_BYTES[workload.kv_dtype] for workload in workloads]),
        window=column([UNLIMITED if (w := workload.window) is None else w for workload in workloads]),
    )
