"""The one place that joins rules, resources, estimates and prices into an answer."""

from l4guide.advise.answer import advise, support_of
from l4guide.advise.figures import cost_for, estimate_of, estimate_rows
from l4guide.advise.guard import supports
from l4guide.advise.install import Installation, install_flash_attn
from l4guide.advise.machine import Checkup, doctor
from l4guide.advise.records import Advice, Alternative, Part, Question
from l4guide.advise.whole import ModelAnswer, break_even, model_answer, model_lines

__all__ = [
    "Advice",
    "Alternative",
    "Checkup",
    "Installation",
    "ModelAnswer",
    "Part",
    "Question",
    "advise",
    "break_even",
    "cost_for",
    "doctor",
    "estimate_of",
    "estimate_rows",
    "install_flash_attn",
    "model_answer",
    "model_lines",
    "support_of",
    "supports",
]
