"""What it costs: attention alone, or a whole model; which card is cheapest, and where that changes."""

from l4guide.cost.attention import Cost, cost_of
from l4guide.cost.breakeven import BreakEven, Offer, by_context, by_head_dim, turning
from l4guide.cost.encoding import encoder_bytes, encoder_ms
from l4guide.cost.price import Rate, Terms, offers_for, rate_of, terms_of
from l4guide.cost.ranking import MOST_CARDS, Contender, lateness, rank
from l4guide.cost.whole import Order, Question, Whole, memory_json, order_of, whole_of

__all__ = [
    "MOST_CARDS",
    "BreakEven",
    "Contender",
    "Cost",
    "Offer",
    "Order",
    "Question",
    "Rate",
    "Terms",
    "Whole",
    "by_context",
    "by_head_dim",
    "cost_of",
    "encoder_bytes",
    "encoder_ms",
    "lateness",
    "memory_json",
    "offers_for",
    "order_of",
    "rank",
    "rate_of",
    "terms_of",
    "turning",
    "whole_of",
]
