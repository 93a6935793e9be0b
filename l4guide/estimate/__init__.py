"""Estimates: attention time, each with an interval and the basis that it stands on."""

from l4guide.estimate.attention import IMPLEMENTATIONS, Ceiling, Estimate, attention_time, best_implementation

__all__ = [
    "IMPLEMENTATIONS",
    "Ceiling",
    "Estimate",
    "attention_time",
    "best_implementation",
]
