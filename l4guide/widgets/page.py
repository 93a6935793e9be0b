"""The whole guide on one page."""

import ipywidgets

from l4guide.measure import probe
from l4guide.widgets.box import box
from l4guide.widgets.breakeven import BreakEvenPanel
from l4guide.widgets.controls import Controls, LanguageSwitch
from l4guide.widgets.diagnosis import DiagnosisPanel
from l4guide.widgets.evidence import evidence_table, resources_table
from l4guide.widgets.export import ExportPanel
from l4guide.widgets.figures import Figures
from l4guide.widgets.frame import page_of
from l4guide.widgets.live import LivePanel
from l4guide.widgets.machine import machine_panel
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.ranking import ranking_panel
from l4guide.widgets.state import GuideState
from l4guide.widgets.verdict import VerdictCard


class Guide:
    """The guide's state and its page.

    Attributes:
        state: every input and output; set `state.head_dim` and the page follows.
        view: the widget to display.

    Args:
        inputs: first values of the inputs, such as `gpu="A100"` or `language="zh"`.

    Raises:
        BadInput: `gpu` or `model` is not known.
    """

    def __init__(self, **inputs: object) -> None:
        machine = probe.machine()
        attached = machine.gpus
        self.state = state = GuideState(machine, **inputs)
        self.controls = Controls(state, [card.catalogue_name for card in attached if card.catalogue_name])
        self.verdict = VerdictCard(state)
        self.figures = Figures(state)
        self.break_even = BreakEvenPanel(state)
        self.live = LivePanel(state, [card.name for card in attached])
        self.diagnosis = DiagnosisPanel(state)
        self.export = ExportPanel(state)
        self.view = self._lay_out()

    def _lay_out(self) -> ipywidgets.Widget:
        state = self.state
        title = HtmlPanel(state, lambda s: render("title", s.language), ["language"], "l4g-title").view
        side = ipywidgets.HBox([self.export.view, LanguageSwitch(state).view])
        side.add_class("l4g-side")
        top = box([title, side], "l4g-top")
        error = HtmlPanel(state, _draw_error, ["error", "language"], "l4g-error").view
        question = box([self.controls.view, self.verdict.view], "l4g-question")
        whole = [ranking_panel(state).view, self.break_even.view]
        evidence = evidence_table(state).view
        resources = resources_table(state).view
        below = [
            evidence,
            machine_panel(state).view,
            resources,
            self.live.view,
            self.diagnosis.view,
        ]
        return page_of([top, error, question, self.figures.view, *whole, *below])


def guide(**inputs: object) -> ipywidgets.Widget:
    """The guide, ready to be displayed; see `Guide` for the inputs."""
    return Guide(**inputs).view


def _draw_error(state: GuideState) -> str:
    return render("error", state.language, sentence=state.error.say(state.language)) if state.error else ""
