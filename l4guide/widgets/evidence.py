"""What the answer rests on: every implementation with its reasons and sources, and what our kernels need."""

from l4guide.support.verdict import address, said
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.state import GuideState

WATCHES = ("advice", "language")


def evidence_table(state: GuideState) -> HtmlPanel:
    """Every verdict with all its reasons, each with its evidence and a link to its source."""
    return HtmlPanel(state, _draw_evidence, WATCHES, "l4g-card")


def resources_table(state: GuideState) -> HtmlPanel:
    """Bytes, registers, spills and occupancy of our kernels, each with its kind."""
    return HtmlPanel(state, _draw_resources, WATCHES, "l4g-card")


def _draw_evidence(state: GuideState) -> str:
    if state.advice is None:
        return ""
    return render("evidence", state.language, parts=state.advice.parts, said=said, address=address)


def _draw_resources(state: GuideState) -> str:
    if state.advice is None:
        return ""
    return render("resources", state.language, items=state.advice.tiles, gpu=state.advice.question.gpu)
