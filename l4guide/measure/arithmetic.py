"""What a measured time amounts to, by the conventions of FlashAttention's own benchmarks."""

from dataclasses import replace

from l4guide.measure.measurement import Measurement
from l4guide.work import work_of
from l4guide.workload import ELEMENT_BYTES, Workload


def kv_bytes(workload: Workload) -> int:
    """Bytes of keys and values that one decode step must read from memory."""
    width = workload.head_dim + workload.head_dim_v
    elements = workload.batch * workload.seqlen_kv * workload.kv_heads * width
    return elements * ELEMENT_BYTES[workload.kv_dtype]


def rates(workload: Workload, attention_pass: str, latency_ms: float) -> tuple[float | None, float | None]:
    """TFLOP/s, or GB/s for decode, which moves bytes rather than computes; the other one is None.

    Args:
        workload: what was computed.
        attention_pass: "forward" or "backward", the pass that took `latency_ms` by itself.
        latency_ms: milliseconds of one call.
    """
    seconds = latency_ms / 1e3
    if workload.task == "decode":
        return None, kv_bytes(workload) / seconds / 1e9
    work = work_of(workload)
    flops = work.backward_flops if attention_pass == "backward" else work.forward_flops
    return flops / seconds / 1e12, None


def shares(row: Measurement, gemm: float | None, copy: float | None) -> Measurement:
    """The row with its rate as a share of the ceilings of its run: products for TFLOP/s, copying for GB/s.

    Args:
        row: what was measured.
        gemm: TFLOP/s of a product of large 16-bit matrices; None where it was not measured.
        copy: GB/s of copying, bytes read and written counted.
    """
    sixteen_bits = row.dtype in ("fp16", "bf16")
    return replace(
        row,
        gemm_share=row.tflops / gemm if row.tflops and gemm and sixteen_bits else None,
        copy_share=row.gb_per_s / copy if row.gb_per_s and copy else None,
    )
