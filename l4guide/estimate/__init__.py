"""Estimates: attention time and its cost, each with an interval and the basis that it stands on."""

from l4guide.estimate.attention import Ceiling, Estimate, Nearest, Times, attention_time, attention_times
from l4guide.estimate.cost import Cost, Terms, cost_of, offers_for, terms_of
from l4guide.estimate.power import Power
from l4guide.estimate.routes import IMPLEMENTATIONS, best_implementation

__all__ = [
    "IMPLEMENTATIONS",
    "Ceiling",
    "Cost",
    "Estimate",
    "Nearest",
    "Power",
    "Terms",
    "Times",
    "attention_time",
    "attention_times",
    "best_implementation",
    "cost_of",
    "offers_for",
    "terms_of",
]
