"""Clock, power and energy of an attention call on a card whose power limit holds its clock."""

from collections.abc import Sequence

import numpy as np

from l4guide.estimate.chip import Chip
from l4guide.estimate.physics import Parts
from l4guide.estimate.problems import Array, Problems
from l4guide.frozen import frozen

#: Part of the board's power that it draws whatever it runs, and at full memory bandwidth. Assumptions, not
#: measurements: public traces of boards at work lie within `SPREAD` of what follows from them.
IDLE_SHARE = 0.25
MEMORY_SHARE = 0.65
#: Low and high end of the power, as parts of its value; the limit of the board caps both.
SPREAD = (0.7, 1.3)


@frozen
class Power:
    """What a call draws: watts with their ends, the clock it sustains, and joules at the middle of both estimates."""

    watts: float
    watts_low: float
    watts_high: float
    sustained_clock_mhz: float
    joules: float


def sustained_clock_ghz(chip: Chip, parts: Parts) -> Array:
    """The clock that the power limit leaves: a GEMM's where arithmetic fills the time, the boost where bytes do."""
    held = 1 - min(chip.gemm_tflops / chip.peak_tflops, 1.0)
    busy = np.minimum(parts.compute / parts.total, 1.0)
    return np.asarray(chip.clock_ghz * (1 - held * busy))


@frozen
class Sustained:
    """What a card keeps up at an arithmetic intensity: its clock, and the rate of a kernel on its roofline."""

    flop_per_byte: float
    clock_mhz: float
    tflops: float


def sustained(chip: Chip, flop_per_byte: Sequence[float]) -> tuple[Sustained, ...]:
    """The sustained clock and rate of a long kernel at each arithmetic intensity."""
    held = 1 - min(chip.gemm_tflops / chip.peak_tflops, 1.0)
    found = []
    for intensity in flop_per_byte:
        roof = min(intensity * chip.bandwidth_gb_per_s / 1e3, chip.gemm_tflops)
        clock_ghz = chip.clock_ghz * (1 - held * roof / chip.gemm_tflops)
        found.append(Sustained(flop_per_byte=intensity, clock_mhz=1e3 * clock_ghz, tflops=roof))
    return tuple(found)


def power_of(chip: Chip, problems: Problems, parts: Parts, total_us: Array) -> tuple[Power, ...] | None:
    """Power and energy of each call over `total_us`; None for a card whose power limit nobody states."""
    if chip.tdp_w is None:
        return None
    arithmetic = np.minimum(problems.flops / parts.total / 1e6 / chip.gemm_tflops, 1.0)
    if chip.gemm_tflops < chip.peak_tflops:  # what holds the clock down is that the limit is reached
        arithmetic = np.minimum(parts.compute / parts.total, 1.0)
    moved = (problems.query_bytes + problems.cache_bytes) / parts.total / 1e3 / chip.bandwidth_gb_per_s
    memory = MEMORY_SHARE * np.minimum(moved, 1.0)
    share = np.minimum(IDLE_SHARE + (1 - IDLE_SHARE) * np.maximum(arithmetic, memory), 1.0)
    clocks = sustained_clock_ghz(chip, parts)
    return tuple(
        Power(
            watts=chip.tdp_w * part,
            watts_low=chip.tdp_w * part * SPREAD[0],
            watts_high=chip.tdp_w * min(part * SPREAD[1], 1.0),
            sustained_clock_mhz=1e3 * clock,
            joules=chip.tdp_w * part * us / 1e6,
        )
        for part, clock, us in zip(share.tolist(), clocks.tolist(), total_us.tolist(), strict=True)
    )
