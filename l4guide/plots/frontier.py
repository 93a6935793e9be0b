"""What one request gets against what a dollar buys: one line a card, from a single request to as many as it bears."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from l4guide.interval import Interval
from l4guide.plan import Card, PlanAnswer
from l4guide.plan.ranking import named
from l4guide.plots.draw import BLUE, GREEN, INK, PINK, VERMILLION, empty_figure, new_figure
from l4guide.plots.rows import number
from l4guide.text import digits, say

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = (BLUE, VERMILLION, GREEN, PINK, "#E69F00", "#56B4E9")
#: Each line has a shape of its own, since colours alone carry no meaning.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
HEIGHT_PX = 460


def drawn_cards(answer: PlanAnswer) -> tuple[Card, ...]:
    """The asked card, those that lead an order, and the next in the ranking; all with a price."""
    able = [item for item in answer.ranking if item.card is not None and item.card.rate is not None]
    first = [item for item in able if item.gpu == answer.gpu or item.places]
    chosen = [*first, *(item for item in able if item not in first)][: len(COLOURS)]
    return tuple(item.card for item in able if item in chosen and item.card is not None)


def frontier_figure(answer: PlanAnswer, language: str = "en") -> Figure:
    """The lines with their intervals, and each card's largest load that keeps the targets marked."""
    title = say("plan.title", language, model=escape(answer.asked.question.model.name, quote=False))
    figure = new_figure(title, say("plan.axis_user", language), 0)
    cards = drawn_cards(answer)
    if not cards:
        return empty_figure(figure, say("plan.alt_none", language))
    figure.update_layout(height=HEIGHT_PX)
    for place, card in enumerate(cards):
        _draw_band(figure, card, COLOURS[place])
        _draw_line(figure, card, COLOURS[place], DASHES[place], language)
    _draw_marks(figure, cards, language)
    figure.update_xaxes(type="log")
    figure.update_yaxes(type="log", title={"text": say("plan.axis_usd", language)}, autorange=True)
    return figure


def _bought(card: Card) -> Interval:
    """Tokens that a dollar buys, along the line of a card with a price."""
    found = card.frontier.tokens_per_usd
    assert found is not None
    return found


def _draw_band(figure: Figure, card: Card, colour: str) -> None:
    """The interval of what a dollar buys."""
    across, bought = card.frontier.user_tokens_per_s.value.tolist(), _bought(card)
    figure.add_scatter(
        x=[*across, *reversed(across)],
        y=[*bought.low.tolist(), *reversed(bought.high.tolist())],
        fill="toself",
        fillcolor=colour,
        opacity=0.12,
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _draw_line(figure: Figure, card: Card, colour: str, dash: str, language: str) -> None:
    figure.add_scatter(
        x=card.frontier.user_tokens_per_s.value.tolist(),
        y=_bought(card).value.tolist(),
        mode="lines",
        name=escape(_copy(card), quote=False),
        line={"color": colour, "dash": dash, "width": 2.5},
        customdata=_hover(card, language),
        hovertemplate="%{customdata}<extra></extra>",
    )


def _copy(card: Card) -> str:
    """A card with how many of it make one copy."""
    return card.gpu.name if card.cards == 1 else f"{card.cards} × {card.gpu.name}"


def _hover(card: Card, language: str) -> list[str]:
    found, bought = card.frontier, _bought(card)
    lines = []
    for place in range(len(found.requests_per_s.value)):
        user = {
            "user" if end == "value" else f"user_{end}": digits(
                float(getattr(found.user_tokens_per_s, end)[place])
            )
            for end in ("value", "low", "high")
        }
        usd = {
            "usd" if end == "value" else f"usd_{end}": number(float(getattr(bought, end)[place]))
            for end in ("value", "low", "high")
        }
        amount = digits(float(found.concurrency.value[place]), 2)
        gpu = escape(_copy(card), quote=False)
        lines.append(say("plan.hover", language, gpu=gpu, concurrency=amount, **user, **usd))
    return lines


def _draw_marks(figure: Figure, cards: tuple[Card, ...], language: str) -> None:
    """Where each card stands at the largest load that keeps the targets."""
    pairs = [(card.best.user_tokens_per_s, card.best.tokens_per_usd) for card in cards]
    figure.add_scatter(
        x=[user.value.item() for user, _ in pairs],
        y=[bought.value.item() for _, bought in pairs if bought is not None],
        mode="markers",
        name=say("plan.marked", language),
        marker={"symbol": "diamond", "size": 11, "color": INK},
        text=[escape(named(card), quote=False) for card in cards],
        hoverinfo="text",
    )


def frontier_alt(answer: PlanAnswer, language: str = "en") -> str:
    """The figure in words."""
    cards = drawn_cards(answer)
    if not cards:
        return say("plan.alt_none", language)
    rows = []
    for card in cards:
        user, bought = card.frontier.user_tokens_per_s.value, _bought(card).value
        values = {"quick": digits(float(user[0])), "slow": digits(float(user[-1]))}
        values |= {"least": number(float(bought[0])), "most": number(float(bought[-1]))}
        rows.append(say("plan.alt_row", language, gpu=_copy(card), **values))
    return say("plan.alt", language, rows="; ".join(rows))
