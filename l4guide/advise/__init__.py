"""The one place that joins rules, resources, estimates and prices into an answer."""

from l4guide.advise.answer import advise, support_of
from l4guide.advise.figures import cost_for, estimate_of, estimate_rows
from l4guide.advise.machine import doctor
from l4guide.advise.records import Advice, Alternative, Part, Question

__all__ = [
    "Advice",
    "Alternative",
    "Part",
    "Question",
    "advise",
    "cost_for",
    "doctor",
    "estimate_of",
    "estimate_rows",
    "support_of",
]
