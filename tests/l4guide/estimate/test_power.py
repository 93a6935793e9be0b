"""Clock and power of cards whose power limit holds their clock."""

from itertools import pairwise

import pytest

from l4guide.catalogue import gpu
from l4guide.estimate import attention_time
from l4guide.estimate.chip import chip_of
from l4guide.estimate.power import sustained
from l4guide.workload import ask


def test_the_clock_falls_with_arithmetic_intensity() -> None:
    """L4 boosts to 2040 MHz where bytes fill the time, and sustains about half where arithmetic does."""
    curve = sustained(chip_of(gpu("L4")), [0.0, 1.0, 50.0, 150.0, 400.0, 4000.0])
    assert all(
        more.clock_mhz <= less.clock_mhz and less.tflops <= more.tflops for less, more in pairwise(curve)
    )
    assert (2040, 0) == (curve[0].clock_mhz, curve[0].tflops)
    assert pytest.approx(2040 * 57.15 / 121) == curve[-1].clock_mhz
    assert pytest.approx(57.15) == curve[-1].tflops


@pytest.mark.parametrize(
    ("card", "dtype", "sustained", "burst", "peak"),
    [
        ("L4", "bf16", (52, 59), 70.9, 121),
        ("L4", "fp16", (52, 59), 68.8, 121),
        ("T4", "fp16", (24, 24), 42.7, 65),
    ],
)
def test_power_capped_cards_have_three_rates(
    card: str, dtype: str, sustained: tuple[float, float], burst: float, peak: float
) -> None:
    """What a GEMM sustains, what it reaches in the first seconds, and a peak that it never sees."""
    chip = chip_of(gpu(card), dtype)
    assert sustained[0] <= chip.gemm_tflops <= sustained[1]
    assert (burst, peak) == (chip.burst_tflops, chip.peak_tflops)


def test_a_clock_held_down_means_that_the_limit_is_reached() -> None:
    """A long prompt on an L4 draws its 72 W, a generation step less, and energy is power times time."""
    prompt, step = (
        attention_time(ask({"task": task, "seqlen": 16_384, "batch": 4})[0], gpu("L4"))
        for task in ("prefill", "decode")
    )
    assert prompt.power is not None
    assert step.power is not None
    assert step.power.watts < prompt.power.watts
    assert 72 == pytest.approx(prompt.power.watts, rel=0.05)
    assert prompt.power.watts * prompt.latency_ms / 1e3 == pytest.approx(prompt.power.joules)


def test_the_first_seconds_of_a_t4_are_between_its_peak_and_what_lasts() -> None:
    """A long prompt takes 24/42.7 of its lasting time at first, launches and exponentials apart."""
    workload, _ = ask({"task": "prefill", "seqlen": 16_384, "dtype": "fp16"})
    found = attention_time(workload, gpu("T4"), "torch/efficient")
    assert 24 / 65 < found.burst_ms / found.latency_ms < 0.75


def test_a_card_that_holds_its_clock_keeps_it() -> None:
    """An RTX 4090 runs a GEMM at its full rate, so that intensity changes nothing."""
    chip = chip_of(gpu("RTX 4090"))
    idle, busy = sustained(chip, [0.0, 4000.0])
    assert 1e3 * chip.clock_ghz == idle.clock_mhz == busy.clock_mhz


def test_what_is_assumed_of_a_card_is_named() -> None:
    """The clock of an H20 is not published: it is that of its architecture, and the card says so."""
    assert ("boost_mhz",) == chip_of(gpu("H20")).assumed
    assert () == chip_of(gpu("L4")).assumed
    assert 96.0 == chip_of(gpu("L40S")).l2_mb
