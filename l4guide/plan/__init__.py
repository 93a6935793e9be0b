"""Which cards serve a load, how many of them, how fast, and for how much."""

from l4guide.plan.answer import PlanAnswer
from l4guide.plan.asked import Asked, Demand, Targets, demand_of, targets_of
from l4guide.plan.card import Card
from l4guide.plan.ranking import Place, rank_plans

__all__ = [
    "Asked",
    "Card",
    "Demand",
    "Place",
    "PlanAnswer",
    "Targets",
    "demand_of",
    "rank_plans",
    "targets_of",
]
