"""A kernel by hand: its source beside its maths, a tile to change and what moves with it, its softmax at work."""

from functools import partial

import ipywidgets

from l4guide import plots
from l4guide.plots.rows import tile_text
from l4guide.resources import Resources
from l4guide.text import say
from l4guide.widgets.action import action_button
from l4guide.widgets.box import box
from l4guide.widgets.controls import LanguageSwitch
from l4guide.widgets.frame import PageAssets, page_of
from l4guide.widgets.kernel_state import PRESETS, KernelState
from l4guide.widgets.listing import listing
from l4guide.widgets.markup import asset, render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.plot_panel import PlotlyPanel
from l4guide.widgets.tile_fields import tile_fields
from l4guide.widgets.trace_panel import TracePanel

ANSWER = ("resources", "previous", "changes", "ledgers", "language")


class _Assets(PageAssets):
    """The guide's style sheet and this page's own."""

    _css = f"{asset('guide.css')}\n{asset('kernel.css')}"


class KernelPage:
    """The chapter's page.

    Attributes:
        state: every input and output; set `state.block_n` and the page follows.
        trace: the online softmax at work.
        view: the widget to display.

    Args:
        inputs: first values of the inputs, such as `gpu="A100"`, `kernel="decode"` or `language="zh"`.
    """

    def __init__(self, **inputs: object) -> None:
        self.state = state = KernelState(**inputs)
        self.fields = tile_fields(state)
        self.presets = {
            name: action_button(
                state.guarded(partial(_choose, state, name)), f"kernel-{name.replace('_', '-')}"
            )
            for name in PRESETS
        }
        self.compile = action_button(state.guarded(lambda _: state.compile()), "kernel-compile", "primary")
        self.stop = action_button(state.guarded(lambda _: state.cancel()), "kernel-stop")
        self.figure = PlotlyPanel()
        self.figure.add_class("guide-plot-ledger")
        self.trace = TracePanel(state)
        self.view = self._lay_out()
        state.observe(state.guarded(lambda _: self._draw()), ["ledgers", "language"])
        state.observe(state.guarded(lambda _: self._speak()), ["running", "language", "presets"])
        state.guarded(self._draw)()
        self._speak()

    def _lay_out(self) -> ipywidgets.Widget:
        state = self.state
        heading = HtmlPanel(state, _draw_heading, ["language"], "l4g-title").view
        top = box([heading, LanguageSwitch(state).view], "l4g-top")
        error = HtmlPanel(state, _draw_error, ["error", "language"], "l4g-error").view
        watched = ["steps", "resources", "language"]
        steps = HtmlPanel(state, _draw_steps, watched, "kernel-reading", maths=True).view
        steps.add_class("l4g-card")
        moved = HtmlPanel(state, _draw_moved, ANSWER, "l4g-card").view
        bench = box([self._controls(), moved], "kernel-bench")
        tried = HtmlPanel(state, _draw_tried, ["tried", "language"], "l4g-card").view
        mix = HtmlPanel(state, _draw_mix, ["resources", "language"], "l4g-card").view
        reading, figure = box([steps, bench], "kernel-columns"), box([self.figure], "l4g-plots")
        page = page_of([top, error, reading, tried, figure, mix, self.trace.view], _Assets())
        page.add_class("kernel-page")
        return page

    def _controls(self) -> ipywidgets.Widget:
        state = self.state
        inputs = box([field.view for field in self.fields.values()], "l4g-ledger-fields")
        progress = HtmlPanel(state, _draw_progress, ["progress", "running", "language"], "l4g-live-progress")
        controls = ipywidgets.VBox(
            [
                inputs,
                box([*self.presets.values()], "l4g-buttons"),
                box([self.compile, self.stop], "l4g-buttons"),
                progress.view,
            ]
        )
        controls.add_class("l4g-card")
        controls.add_class("ledger-controls")
        return controls

    def _draw(self) -> None:
        state = self.state
        asked = (state.ledgers, state.card, state.language)
        self.figure.show(plots.ledger_figure(*asked), plots.ledger_alt(*asked))

    def _speak(self) -> None:
        state = self.state
        for name, button in self.presets.items():
            button.description = say(f"kernel_preset.{name}", state.language)
            button.disabled = name not in state.presets
        self.compile.description = say("kernel.compile", state.language)
        self.stop.description = say("ledger.stop", state.language)
        self.compile.disabled, self.stop.disabled = state.running, not state.running


def kernel(**inputs: object) -> ipywidgets.Widget:
    """The chapter, ready to be displayed; see `KernelPage` for the inputs."""
    return KernelPage(**inputs).view


def _choose(state: KernelState, name: str, _button: object) -> None:
    state.choose_preset(name)


def _draw_heading(state: KernelState) -> str:
    return render("kernel_heading", state.language)


def _draw_error(state: KernelState) -> str:
    return render("error", state.language, sentence=state.error.say(state.language)) if state.error else ""


def _draw_progress(state: KernelState) -> str:
    if state.progress is None:
        return ""
    sentence = state.progress.say(state.language)
    return render("live_progress", state.language, sentence=sentence, running=state.running)


def _draw_steps(state: KernelState) -> str:
    if not state.steps:
        return ""
    item = state.resources
    return render(
        "kernel_steps",
        state.language,
        kernel=state.steps[0].kernel,
        steps=state.steps,
        tile=None if item is None else item.tile,
        head_dim=None if item is None else item.head_dim,
        listing=listing,
    )


def _draw_moved(state: KernelState) -> str:
    if state.resources is None or not state.ledgers:
        return ""
    return render(
        "kernel_moved",
        state.language,
        item=state.resources,
        previous=state.previous,
        changes=state.changes,
        ledger=state.ledgers[-1],
        verdict=plots.verdict_of,
        short=_short,
    )


def _short(item: Resources) -> str:
    """The tile in a few letters."""
    tile = item.tile
    return tile_text(tile.block_m, tile.block_n, tile.warps, tile.stages)


def _draw_tried(state: KernelState) -> str:
    return render("kernel_tried", state.language, items=state.tried) if state.tried else ""


def _draw_mix(state: KernelState) -> str:
    item = state.resources
    return render("mix", state.language, mix=item.instructions, item=item) if item else ""
