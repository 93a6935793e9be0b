"""Paste an error, or drop a file: what it is, what it needed, the ways out, and the question that it implies."""

from collections.abc import Callable

import anywidget
import ipywidgets
import traitlets

from l4guide.diagnose import Finding, diagnose
from l4guide.errors import Problem
from l4guide.support import Verdict
from l4guide.support.verdict import address, said
from l4guide.text import say
from l4guide.widgets.markup import asset, render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.state import GuideState

#: Inputs of the guide that a finding may fill in. A model goes before the head_dim, which it sets too.
ASKED = ("gpu", "task", "model", "head_dim", "dtype")


class DropZone(anywidget.AnyWidget):  # type: ignore[misc]
    """A place to drop a log on, or to choose one; its bytes come as one buffer.

    Args:
        taken: called with the bytes of a file.
    """

    _esm = asset("drop.js")
    description = traitlets.Unicode("").tag(sync=True)

    def __init__(self, taken: Callable[[bytes], None]) -> None:
        super().__init__()
        self.on_msg(
            lambda _widget, content, buffers: (
                taken(bytes(buffers[0])) if content.get("kind") == "file" and buffers else None
            )
        )


class DiagnosisPanel:
    """A place for a traceback, a warning or a log, and the answer below it.

    Args:
        state: holds the diagnosis, or what was wrong with the paste.
    """

    def __init__(self, state: GuideState) -> None:
        self.state = state
        self.pasted = ipywidgets.Textarea(rows=5)
        self.pasted.add_class("guide-pasted")
        self.drop = DropZone(state.guarded(self.explain))
        self.read, self.ask = ipywidgets.Button(), ipywidgets.Button()
        for button, css_class in ((self.read, "guide-diagnose"), (self.ask, "guide-ask")):
            button.add_class("l4g-button")
            button.add_class(css_class)
        self.read.on_click(state.guarded(lambda _: self.explain(self.pasted.value)))
        self.ask.on_click(state.guarded(lambda _: self._ask()))
        heading = HtmlPanel(
            state, lambda s: render("diagnosis_heading", s.language), ["language"], "l4g-heading"
        )
        watches = ["diagnosis", "diagnosis_problem", "language"]
        self.answer = HtmlPanel(state, _draw, watches, "l4g-diagnosis")
        self.why_not = HtmlPanel(state, _draw_why, ["diagnosis", "advice", "language"], "l4g-why-not")
        parts = (
            heading.view,
            self.pasted,
            self.drop,
            self.read,
            self.answer.view,
            self.ask,
            self.why_not.view,
        )
        self.view = ipywidgets.VBox(parts)
        self.view.add_class("l4g-card")
        state.observe(state.guarded(lambda _: self._speak()), ["language", "diagnosis"])
        self._speak()

    def explain(self, text: str | bytes) -> None:
        """Diagnose what was pasted or dropped."""
        state = self.state
        with state.hold_trait_notifications():
            state.diagnosis = state.diagnosis_problem = None
            try:
                state.diagnosis = diagnose(text)
            except Problem as problem:
                state.diagnosis_problem = problem.sentence

    def _ask(self) -> None:
        """Put the question of the first finding into the guide's inputs."""
        finding = _first(self.state)
        if finding is None:
            return
        asked = finding.question
        for name in ASKED:
            if name in asked and not (name == "head_dim" and "model" in asked):
                setattr(self.state, name, asked[name])
        self.state.answer()

    def _speak(self) -> None:
        language = self.state.language
        self.pasted.description = say("guide_diagnosis.label", language)
        self.pasted.placeholder = say("guide_diagnosis.placeholder", language)
        self.drop.description = say("guide_diagnosis.drop", language)
        self.read.description = say("guide_diagnosis.read", language)
        finding = _first(self.state)
        told = [finding.question[name] for name in ASKED if name in finding.question] if finding else []
        self.ask.layout.display = None if told else "none"
        self.ask.description = say("guide_diagnosis.ask", language, question=", ".join(told))


def _first(state: GuideState) -> Finding | None:
    """The finding that is told first."""
    return state.diagnosis.findings[0] if state.diagnosis is not None and state.diagnosis.findings else None


def _verdict(state: GuideState) -> Verdict | None:
    """What the last good answer says of the library of the finding."""
    finding = _first(state)
    library = finding.question.get("library") if finding is not None else None
    if state.advice is None or library is None:
        return None
    return next((one for one in state.advice.implementations if one.library == library), None)


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


def _draw_why(state: GuideState) -> str:
    verdict = _verdict(state)
    if verdict is None:
        return ""
    return render(
        "diagnosis_why",
        state.language,
        verdict=verdict,
        question=state.advice.question,
        said=said,
    )
