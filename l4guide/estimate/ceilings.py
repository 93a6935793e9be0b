"""What a card itself sustained in a run: large products and copies, whatever kernel runs beside them."""

from l4guide.frozen import frozen
from l4guide.interval import Interval


@frozen
class Ceilings:
    """Sustained rates of one card with their spread; None where it was not measured.

    `gemm_tflops` is of large bf16 products on tensor cores; `copy_gb_per_s` counts each byte twice, as read and as
    written.
    """

    gemm_tflops: Interval | None = None
    copy_gb_per_s: Interval | None = None
