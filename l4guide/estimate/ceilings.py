"""What a card itself sustained in a run: large products and copies, whatever kernel runs beside them."""

from dataclasses import dataclass

from l4guide.interval import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """Sustained rates of one card with their spread; None where it was not measured.

    `gemm_tflops` is of large bf16 products on tensor cores; `copy_gb_per_s` counts each byte twice, as read and as
    written.
    """

    gemm_tflops: Interval | None = None
    copy_gb_per_s: Interval | None = None
