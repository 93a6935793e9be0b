"""The live run: our kernels at work on this machine, in a process of their own that the user can stop."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import ipywidgets

from l4guide.measure.run import LAST, Event, Run, kernel_post
from l4guide.measure.survey import record_of
from l4guide.text import Sentence, say
from l4guide.widgets.action import action_button
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.runs import RunsPanel
from l4guide.widgets.state import GuideState

DEADLINE_S = 300.0


class LivePanel:
    """Two demonstrations, the runs that put the estimates right, and a stop button.

    Rows appear as they are finished and stay whatever happens then.

    Args:
        state: what is asked, and where rows and progress are kept.
        attached: names of the GPUs of this machine.
        run: the worker to use, when not a process of the measuring module.
    """

    def __init__(self, state: GuideState, attached: Sequence[str] = (), run: Run | None = None) -> None:
        self.state, self._attached = state, tuple(attached)
        handle = state.guarded(self._received)
        self.run = run or Run(handle, post=kernel_post(), deadline_s=DEADLINE_S)
        self.run.on_event = handle
        self.start = action_button(
            state.guarded(lambda _: self._start({"kind": "live"})), "guide-run", "primary"
        )
        self.limit = action_button(state.guarded(lambda _: self._start({"kind": "limit"})), "guide-limit")
        self.stop = action_button(state.guarded(lambda _: self.run.cancel()), "guide-stop")
        self.runs = RunsPanel(state, attached, lambda: self._start({"kind": "suite", "suite": "quick"}))
        buttons = ipywidgets.HBox([self.start, self.limit, self.stop])
        buttons.add_class("l4g-buttons")
        parts = (
            HtmlPanel(state, self._draw_heading, ["language"], "l4g-live-heading").view,
            buttons,
            HtmlPanel(state, _draw_progress, ["progress", "running", "language"], "l4g-live-progress").view,
            self.runs.view,
            HtmlPanel(state, _draw_rows, ["rows", "language"], "l4g-live-rows").view,
            HtmlPanel(state, _draw_limits, ["limits", "language"], "l4g-live-limits").view,
        )
        self.view = ipywidgets.VBox(parts)
        self.view.add_class("l4g-card")
        state.observe(state.guarded(lambda _: self._speak()), ["language", "running", "advice"])
        self._speak()

    def _start(self, request: Mapping[str, str]) -> None:
        question = self.state.advice.question
        workload = {name: value for name, value in asdict(question.workload).items() if value is not None}
        self.state.error = None
        self.run.start({**request, "gpu": question.gpu.name, "workload": workload})
        with self.state.hold_trait_notifications():
            self.state.rows, self.state.limits, self.state.running = (), (), True
            self.state.progress = Sentence("guide.starting")

    def _received(self, event: Event) -> None:
        state = self.state
        with state.hold_trait_notifications():
            if event["kind"] == "row":
                state.rows = (*state.rows, event["row"])
            elif event["kind"] == "limit":
                state.limits = (*state.limits, event["limit"])
            if "key" in event:
                state.progress = Sentence(event["key"], event.get("values", {}))
            if event["kind"] in LAST:
                state.running = False
                if self.run.rows:
                    state.keep(record_of(self.run))

    def _draw_heading(self, state: GuideState) -> str:
        return render("live_heading", state.language, attached=", ".join(self._attached))

    def _speak(self) -> None:
        state = self.state
        with_gpu = "guide.run_gpu" if self._attached else "guide.run_interpreter"
        for button, key in (
            (self.start, with_gpu),
            (self.limit, "guide.run_limit"),
            (self.stop, "guide.stop"),
        ):
            button.description = say(key, state.language)
        self.start.disabled = self.limit.disabled = state.running or state.advice is None
        self.stop.disabled = not state.running


def _draw_progress(state: GuideState) -> str:
    sentence = state.progress.say(state.language) if state.progress else ""
    return render("live_progress", state.language, sentence=sentence, running=state.running)


def _draw_rows(state: GuideState) -> str:
    if not state.rows:
        return ""
    timed = any("latency_ms" in row for row in state.rows)
    return render("live_rows", state.language, rows=[_complete(row) for row in state.rows], timed=timed)


def _draw_limits(state: GuideState) -> str:
    return render("live_limits", state.language, limits=state.limits) if state.limits else ""


def _complete(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with None for what it does not know, so that a template may ask for it."""
    optional = (
        "version",
        "reason",
        "max_error",
        "bound",
        "latency_ms",
        "low_ms",
        "high_ms",
        "tflops",
        "gb_per_s",
    )
    return {**dict.fromkeys(optional), **row}
