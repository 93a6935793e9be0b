"""The time of one step of a whole model: prefill, decode or training."""

from l4guide.step.plan import MAX_GPUS, WEIGHT_DTYPES, Plan, plan_of
from l4guide.step.recipe import METHODS, Recipe
from l4guide.step.run import Step, step

__all__ = ["MAX_GPUS", "METHODS", "WEIGHT_DTYPES", "Plan", "Recipe", "Step", "plan_of", "step"]
