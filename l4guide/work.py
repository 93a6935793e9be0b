"""How much arithmetic and memory traffic one attention call is: exact counts, no opinion."""

from l4guide.frozen import frozen
from l4guide.workload import ELEMENT_BYTES, Workload

#: The backward pass multiplies five matrices where the forward multiplies two.
BACKWARD_OVER_FORWARD_FLOPS = 2.5


@frozen
class Work:
    """Floating-point operations and bytes that must move between memory and the chip at least once."""

    forward_flops: float
    backward_flops: float
    forward_bytes: float
    backward_bytes: float

    @property
    def flops(self) -> float:
        """Both passes."""
        return self.forward_flops + self.backward_flops

    @property
    def bytes(self) -> float:
        """Both passes."""
        return self.forward_bytes + self.backward_bytes


def score_pairs(workload: Workload) -> int:
    """Query-key pairs per head and batch entry that the mask leaves, causal aligned bottom-right.

    Query i sees the keys up to `i + seqlen_kv - seqlen_q`, and of those the last `window + 1` where a window is set.
    """
    rows, keys = workload.seqlen_q, workload.seqlen_kv
    if not workload.causal:
        return rows * keys if workload.window is None else rows * min(keys, workload.window + 1)
    first, last = keys - rows + 1, keys  # keys that the first and the last query see
    if first < 1:
        rows, first = keys, 1  # queries above the diagonal see nothing
    if workload.window is None or last <= workload.window + 1:
        return rows * (first + last) // 2
    width = workload.window + 1
    if first >= width:
        return rows * width
    growing = width - first
    return growing * (first + width - 1) // 2 + (rows - growing) * width


def work_of(workload: Workload) -> Work:
    """Count the work of one attention call of one layer.

    The forward multiplies two `(seqlen_q, seqlen_kv)` products per head, 2 FLOPs a multiply-add; bytes are each of
    Q, K, V and O once (the backward: those, dO, dQ, dK and dV).
    """
    pairs = workload.batch * workload.heads * score_pairs(workload)
    forward = 2.0 * pairs * (workload.head_dim + workload.head_dim_v)
    wide = workload.head_dim + workload.head_dim_v
    element, kv_element = ELEMENT_BYTES[workload.dtype], ELEMENT_BYTES[workload.kv_dtype]
    query_side = workload.batch * workload.seqlen_q * workload.heads * wide * element
    kv_side = workload.batch * workload.seqlen_kv * workload.kv_heads * wide * kv_element
    training = workload.task == "training"
    return Work(
        forward_flops=forward,
        backward_flops=BACKWARD_OVER_FORWARD_FLOPS * forward if training else 0.0,
        forward_bytes=float(query_side + kv_side),
        backward_bytes=2.0 * (query_side + kv_side) if training else 0.0,
    )
