"""Runs on cards that put the estimates right: what they did, the button that makes them, and the one that undoes it."""

from collections.abc import Callable, Sequence

import ipywidgets

from l4guide.text import say
from l4guide.widgets.action import action_button
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.state import GuideState


class RunsPanel:
    """What runs say of each card that has some; nothing to see where there are none and none can be made.

    Args:
        state: its `records` are the session's runs, and `use_runs` whether any run counts.
        attached: names of the GPUs of this machine; without one no time can be taken.
        measure: starts the runs that put this card's estimates right.
    """

    def __init__(self, state: GuideState, attached: Sequence[str], measure: Callable[[], None]) -> None:
        self.state, self._attached = state, tuple(attached)
        self.measure = action_button(state.guarded(lambda _: measure()), "guide-calibrate")
        self.undo = action_button(state.guarded(lambda _: self._toggle()), "guide-undo-runs")
        buttons = ipywidgets.HBox([self.measure, self.undo])
        buttons.add_class("l4g-buttons")
        self.told = HtmlPanel(state, _draw, ["advice", "language", "use_runs"], "l4g-live-runs")
        self.view = ipywidgets.VBox([self.told.view, buttons])
        state.observe(
            state.guarded(lambda _: self._speak()), ["language", "running", "advice", "use_runs", "records"]
        )
        self._speak()

    def _toggle(self) -> None:
        self.state.use_runs = not self.state.use_runs

    def _speak(self) -> None:
        state = self.state
        self.measure.description = say("runs.measure", state.language, gpu=", ".join(self._attached))
        self.measure.layout.display = None if self._attached else "none"
        self.measure.disabled = state.running or state.advice is None
        self.undo.description = say("runs.undo" if state.use_runs else "runs.redo", state.language)
        self.undo.layout.display = None if state.put_right.origins or not state.use_runs else "none"


def _draw(state: GuideState) -> str:
    if state.advice is None:
        return ""
    if not state.use_runs:
        return render("runs", state.language, lines=(), left_out=True)
    lines = state.put_right.said_of_every_card(state.advice.question.workload.task)
    return render("runs", state.language, lines=lines, left_out=False) if lines else ""
