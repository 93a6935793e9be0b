"""The answer, first and in full: what it is, why, from which version, by which limit, and what to do."""

import anywidget
import ipywidgets
import traitlets

from l4guide.advise import Advice
from l4guide.plots import number
from l4guide.support import Verdict
from l4guide.support.verdict import said
from l4guide.text import say
from l4guide.widgets.markup import asset, render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.state import GuideState


class Snippet(anywidget.AnyWidget):  # type: ignore[misc]
    """Lines to copy, with a button that copies them; hidden while there are none."""

    _esm = asset("copy.js")
    title = traitlets.Unicode("").tag(sync=True)
    code = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    copied = traitlets.Unicode("").tag(sync=True)
    not_copied = traitlets.Unicode("").tag(sync=True)


class VerdictCard:
    """The verdict, the install line and the snippet of the last good answer."""

    def __init__(self, state: GuideState) -> None:
        self.state = state
        self.install, self.snippet = Snippet(), Snippet()
        watches = ["advice", "problem", "tracing", "language"]
        self.answer = HtmlPanel(state, _draw, watches, "l4g-answer")
        for widget, css_class in ((self.install, "guide-install"), (self.snippet, "guide-snippet")):
            widget.add_class("l4g-snippet")
            widget.add_class(css_class)
        self.view = ipywidgets.VBox([self.answer.view, self.install, self.snippet])
        self.view.add_class("l4g-card")
        self.view.add_class("l4g-verdict")
        state.observe(state.guarded(lambda _: self._speak()), ["advice", "language"])
        self._speak()

    def _speak(self) -> None:
        advice, language = self.state.advice, self.state.language
        lines = {self.install: advice and advice.install, self.snippet: advice and advice.snippet}
        for widget, key in ((self.install, "guide.install"), (self.snippet, "guide.snippet")):
            with widget.hold_sync():
                widget.title = say(key, language)
                widget.label, widget.copied = say("guide.copy", language), say("guide.copied", language)
                widget.not_copied = say("guide.not_copied", language)
                widget.code = (lines[widget] or "").strip()
                widget.layout.display = None if widget.code else "none"


def _featured(advice: Advice) -> tuple[Verdict, ...]:
    """flash-attn, which the answer is about, and where it does not run the first that does."""
    first, *others = advice.implementations
    running = [verdict for verdict in others if verdict.status == "ok"]
    return (first,) if first.status == "ok" else (first, *running[:1])


def _draw(state: GuideState) -> str:
    if state.advice is None:
        return render("no_verdict", state.language)
    advice = state.advice
    return render(
        "verdict",
        state.language,
        advice=advice,
        question=advice.question,
        workload=advice.question.workload,
        first=advice.implementations[0],
        featured=_featured(advice),
        stale=state.problem is not None,
        tracing=state.tracing,
        said=said,
        number=number,
    )
