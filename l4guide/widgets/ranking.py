"""Every card for the question, each with its figures and the reason why it is or is not the one to take."""

from l4guide.advise import cards_of
from l4guide.plots import number
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.state import GuideState


def ranking_panel(state: GuideState) -> HtmlPanel:
    """The whole model here, on every other card, and what would change that; for a bare shape the reasons alone."""
    return HtmlPanel(state, _draw, ("advice", "language"), "l4g-card")


def _draw(state: GuideState) -> str:
    if state.advice is None:
        return ""
    if state.advice.model is None:
        return render("other_cards", state.language, lost=state.advice.lost)
    return render(
        "whole_model",
        state.language,
        lines=state.advice.model_lines,
        model=state.advice.model,
        cards_of=cards_of,
        number=number,
    )
