"""Paste an error: what it is, what it needed, and the ways out with what each costs."""

import ipywidgets

from l4guide.diagnose import diagnose
from l4guide.errors import Problem
from l4guide.support.verdict import address
from l4guide.text import say
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.state import GuideState


class DiagnosisPanel:
    """A place for a traceback, a warning or a log, and the answer below it.

    Args:
        state: holds the diagnosis, or what was wrong with the paste.
    """

    def __init__(self, state: GuideState) -> None:
        self.state = state
        self.pasted = ipywidgets.Textarea(rows=5)
        self.pasted.add_class("guide-pasted")
        self.read = ipywidgets.Button()
        self.read.add_class("l4g-button")
        self.read.add_class("guide-diagnose")
        self.read.on_click(state.guarded(lambda _: self._read()))
        parts = (
            HtmlPanel(
                state, lambda s: render("diagnosis_heading", s.language), ["language"], "l4g-heading"
            ).view,
            self.pasted,
            self.read,
            HtmlPanel(state, _draw, ["diagnosis", "diagnosis_problem", "language"], "l4g-diagnosis").view,
        )
        self.view = ipywidgets.VBox(parts)
        self.view.add_class("l4g-card")
        state.observe(state.guarded(lambda _: self._speak()), "language")
        self._speak()

    def _read(self) -> None:
        state = self.state
        with state.hold_trait_notifications():
            state.diagnosis = state.diagnosis_problem = None
            try:
                state.diagnosis = diagnose(self.pasted.value)
            except Problem as problem:
                state.diagnosis_problem = problem.sentence

    def _speak(self) -> None:
        language = self.state.language
        self.pasted.description = say("guide_diagnosis.label", language)
        self.pasted.placeholder = say("guide_diagnosis.placeholder", language)
        self.read.description = say("guide_diagnosis.read", language)


def _draw(state: GuideState) -> str:
    if state.diagnosis is None and state.diagnosis_problem is None:
        return ""
    return render(
        "diagnosis",
        state.language,
        diagnosis=state.diagnosis,
        problem=state.diagnosis_problem,
        address=address,
    )
