"""What is installed on this machine, and what the rules say of those versions for the question."""

from l4guide.advise.installed import check_installed, warnings_of
from l4guide.support.verdict import said
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.state import GuideState


def machine_panel(state: GuideState) -> HtmlPanel:
    """Every installed implementation with its verdict, and the warnings; hidden where no machine was looked at."""
    return HtmlPanel(state, _draw, ("advice", "language"), "l4g-card")


def _draw(state: GuideState) -> str:
    if state.advice is None or state.machine is None:
        return ""
    question = state.advice.question
    installed = check_installed(state.machine, question.workload, question.gpu)
    return render(
        "machine",
        state.language,
        here=state.machine,
        gpu=question.gpu,
        installed=installed,
        warnings=warnings_of(state.machine, installed),
        said=said,
    )
