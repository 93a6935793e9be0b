"""The online softmax of one row, block by block, from the kernel in Triton's interpreter."""

import ipywidgets

from l4guide.measure.run import Run, kernel_post
from l4guide.measure.trace import SEQLEN
from l4guide.text import say
from l4guide.widgets.action import action_button
from l4guide.widgets.field import Field
from l4guide.widgets.kernel_state import KernelState
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel

DEADLINE_S = 120.0


class TracePanel:
    """Runs the trace aside and shows the row that the reader picks.

    Args:
        state: what is asked, and where rows and progress are kept.
        run: the worker to use, when not a process of the measuring module.
    """

    def __init__(self, state: KernelState, run: Run | None = None) -> None:
        self.state = state
        handle = state.guarded(state.traced)
        self.run = run or Run(handle, post=kernel_post(), deadline_s=DEADLINE_S)
        self.run.on_event = handle
        self.start = action_button(state.guarded(lambda _: self._start()), "trace-run", "primary")
        self.stop = action_button(state.guarded(lambda _: self.run.cancel()), "trace-stop")
        self.row = Field(
            state, "trace_row", ipywidgets.IntSlider(min=0, max=SEQLEN - 1), section="trace.", key="row"
        )
        buttons = ipywidgets.HBox([self.start, self.stop])
        buttons.add_class("l4g-buttons")
        progress = HtmlPanel(
            state, _draw_progress, ["trace_progress", "tracing", "language"], "l4g-live-progress"
        )
        self.table = HtmlPanel(state, _draw_row, ["trace_rows", "trace_row", "language"], "trace-row")
        heading = HtmlPanel(state, _draw_heading, ["language"], "trace-heading")
        self.view = ipywidgets.VBox([heading.view, buttons, progress.view, self.row.view, self.table.view])
        self.view.add_class("l4g-card")
        self.view.add_class("trace-card")
        state.observe(state.guarded(lambda _: self._speak()), ["language", "tracing", "trace_rows"])
        self._speak()

    def _start(self) -> None:
        self.run.start(self.state.trace_request())

    def _speak(self) -> None:
        state = self.state
        self.start.description = say("trace.run", state.language)
        self.stop.description = say("guide.stop", state.language)
        self.start.disabled, self.stop.disabled = state.tracing, not state.tracing
        self.row.view.layout.display = None if state.trace_rows else "none"


def _draw_heading(state: KernelState) -> str:
    return render("trace_heading", state.language)


def _draw_progress(state: KernelState) -> str:
    if state.trace_progress is None:
        return ""
    sentence = state.trace_progress.say(state.language)
    return render("live_progress", state.language, sentence=sentence, running=state.tracing)


def _draw_row(state: KernelState) -> str:
    row = state.traced_row
    return "" if row is None else render("trace", state.language, row=row)
