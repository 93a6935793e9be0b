"""What a card sustains: as published, or as it was measured on this very card."""

import pytest

from l4guide.catalogue import gpu
from l4guide.estimate import Ceilings
from l4guide.interval import Interval
from l4guide.step.rates import gemm_rate, memory_rate

MEASURED = Ceilings(gemm_tflops=Interval.of(49.0, 50.0, 51.0), copy_gb_per_s=Interval.of(238.0, 240.0, 242.0))


@pytest.mark.parametrize("card", ["L4", "L40S", "RTX 6000 Ada"])
def test_a_measured_product_takes_the_published_ones_place(card: str) -> None:
    """Its middle is the run's; it is never surer than the run, nor than what was published of such cards."""
    rate = gemm_rate(gpu(card), "bf16", "bf16", MEASURED)
    low, middle, high = (end / 1e12 for end in rate.per_second.ends())
    assert "measured" == rate.kind
    assert 50.0 == pytest.approx(middle)
    assert low <= 49.0
    assert high >= 51.0


def test_the_other_type_follows_what_was_published_of_both() -> None:
    """An L4 multiplies fp16 a little slower than bf16, measured or not."""
    card = gpu("L4")
    known = [gemm_rate(card, dtype, dtype).per_second.value for dtype in ("fp16", "bf16")]
    found = [gemm_rate(card, dtype, dtype, MEASURED).per_second.value for dtype in ("fp16", "bf16")]
    assert known[0] / known[1] == pytest.approx(found[0] / found[1])


def test_a_bf16_product_says_nothing_of_fp32() -> None:
    """It runs elsewhere."""
    assert gemm_rate(gpu("L4"), "fp32", "fp32") == gemm_rate(gpu("L4"), "fp32", "fp32", MEASURED)


def test_a_copy_scales_the_bandwidth_and_leaves_its_interval() -> None:
    """Four fifths of the bandwidth where a known card copies nine tenths: a ninth less, no surer than before."""
    plain, found = (memory_rate(gpu("L4"), held) for held in (Ceilings(), MEASURED))
    assert 240 / 270 == pytest.approx((found.value / plain.value).item())
    assert found.high / found.low >= plain.high / plain.low
