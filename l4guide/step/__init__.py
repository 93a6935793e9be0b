"""The time of one step of a whole model: prefill, decode or training."""

from l4guide.step.media import NO_MEDIA, Media, View
from l4guide.step.plan import MAX_GPUS, Plan, plan_of
from l4guide.step.recipe import METHODS, Recipe
from l4guide.step.run import Step, step

__all__ = [
    "MAX_GPUS",
    "METHODS",
    "NO_MEDIA",
    "Media",
    "Plan",
    "Recipe",
    "Step",
    "View",
    "plan_of",
    "step",
]
