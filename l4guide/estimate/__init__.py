"""Estimates: attention time, each with an interval and the basis that it stands on."""

from l4guide.estimate.attention import Ceiling, Estimate, Nearest, Times, attention_time, attention_times
from l4guide.estimate.ceilings import Ceilings
from l4guide.estimate.live import FEWEST_RUNS, NO_RUNS, LiveEstimator, is_usable, recalibrate, together
from l4guide.estimate.power import Power
from l4guide.estimate.routes import IMPLEMENTATIONS, best_implementation

__all__ = [
    "FEWEST_RUNS",
    "IMPLEMENTATIONS",
    "NO_RUNS",
    "Ceiling",
    "Ceilings",
    "Estimate",
    "LiveEstimator",
    "Nearest",
    "Power",
    "Times",
    "attention_time",
    "attention_times",
    "best_implementation",
    "is_usable",
    "recalibrate",
    "together",
]
