"""The one place that joins rules, resources, estimates and prices into an answer."""

from typing import TYPE_CHECKING

from l4guide.advise.answer import advise, support_of
from l4guide.advise.asked import asked
from l4guide.advise.config import model_of, preset_model, takes_seconds
from l4guide.advise.figures import cost_for, estimate_of, estimate_rows, whole_estimate
from l4guide.advise.guard import supports
from l4guide.advise.install import Installation, install_flash_attn
from l4guide.advise.measured import PutRight, found_records, put_right, put_right_by
from l4guide.advise.model import ModelAnswer, cards_of, model_lines
from l4guide.advise.records import Advice, Alternative, Part, Question
from l4guide.advise.whole import break_even, model_answer, question_line

if TYPE_CHECKING:
    from l4guide.advise.machine import Checkup, doctor

__all__ = [
    "Advice",
    "Alternative",
    "Checkup",
    "Installation",
    "ModelAnswer",
    "Part",
    "PutRight",
    "Question",
    "advise",
    "asked",
    "break_even",
    "cards_of",
    "cost_for",
    "doctor",
    "estimate_of",
    "estimate_rows",
    "found_records",
    "install_flash_attn",
    "model_answer",
    "model_lines",
    "model_of",
    "preset_model",
    "put_right",
    "put_right_by",
    "question_line",
    "support_of",
    "supports",
    "takes_seconds",
    "whole_estimate",
]


def __getattr__(name: str) -> object:
    # Who asks of a card should not wait for what asks this machine, which starts processes.
    if name in ("Checkup", "doctor"):
        from l4guide.advise import machine

        return getattr(machine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
