"""How much work one attention call is, by the conventions of FlashAttention's own benchmarks."""

from l4guide.workload import ELEMENT_BYTES, Workload

#: The backward pass runs five matrix products where the forward runs two.
BACKWARD_TO_FORWARD = 2.5


def visible_pairs(workload: Workload) -> float:
    """Query-key pairs that one head computes: half of a causal square, bottom-right aligned otherwise."""
    queries, keys = workload.seqlen_q, workload.seqlen_kv
    if not workload.causal or queries == 1:
        return float(queries * keys)
    if queries > keys:
        return keys * keys / 2
    return queries * keys - queries * queries / 2


def flops(workload: Workload, attention_pass: str) -> float:
    """Floating-point operations of one call; a multiply and an add count as two.

    Args:
        workload: what is computed.
        attention_pass: "forward" or "backward" (that pass alone).
    """
    width = workload.head_dim + workload.head_dim_v
    forward = 2.0 * workload.batch * workload.heads * visible_pairs(workload) * width
    return forward * BACKWARD_TO_FORWARD if attention_pass == "backward" else forward


def kv_bytes(workload: Workload) -> int:
    """Bytes of keys and values that one decode step must read from memory."""
    width = workload.head_dim + workload.head_dim_v
    elements = workload.batch * workload.seqlen_kv * workload.kv_heads * width
    return elements * ELEMENT_BYTES[workload.kv_dtype]


def rates(workload: Workload, attention_pass: str, latency_ms: float) -> tuple[float | None, float | None]:
    """TFLOP/s, or GB/s for decode, which moves bytes rather than computes; the other one is None."""
    seconds = latency_ms / 1e3
    if workload.task == "decode":
        return None, kv_bytes(workload) / seconds / 1e9
    return flops(workload, attention_pass) / seconds / 1e12, None
