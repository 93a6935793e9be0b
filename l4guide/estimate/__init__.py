"""Estimates: attention time and its cost, each with an interval and the basis that it stands on."""

from l4guide.estimate.attention import IMPLEMENTATIONS, Ceiling, Estimate, attention_time, best_implementation
from l4guide.estimate.cost import Cost, Terms, cost_of, offers_for, terms_of

__all__ = [
    "IMPLEMENTATIONS",
    "Ceiling",
    "Cost",
    "Estimate",
    "Terms",
    "attention_time",
    "best_implementation",
    "cost_of",
    "offers_for",
    "terms_of",
]
