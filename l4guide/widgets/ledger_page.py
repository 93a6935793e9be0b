"""The ledger as a page: controls, the stacked bars, what would fit, and what the issue slots go to."""

import ipywidgets

from l4guide import plots
from l4guide.text import say
from l4guide.widgets.action import action_button
from l4guide.widgets.box import box
from l4guide.widgets.controls import LanguageSwitch
from l4guide.widgets.frame import page_of
from l4guide.widgets.ledger_state import FIRST_TILE, LedgerState
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.plot_panel import PlotlyPanel
from l4guide.widgets.tile_fields import tile_fields

ANSWER = ("resources", "ledgers", "language")


class LedgerPanel:
    """Everything about what holds the shared memory of one block.

    Attributes:
        state: every input and output; set `state.block_n` and the page follows.
        view: the widget to display.

    Args:
        inputs: first values of the inputs, such as `gpu="A100"`, `kernel="forward"` or `language="zh"`.
    """

    def __init__(self, **inputs: object) -> None:
        self.state = state = LedgerState(**inputs)  # type: ignore[arg-type]
        self.fields = tile_fields(state)
        self.figure = PlotlyPanel()
        self.figure.add_class("guide-plot-ledger")
        self.buttons = {
            "default_tile": action_button(state.guarded(lambda _: state.choose_default()), "ledger-default"),
            "first_tile": action_button(state.guarded(lambda _: state.choose(FIRST_TILE)), "ledger-first"),
            "compile": action_button(state.guarded(lambda _: state.compile()), "ledger-compile", "primary"),
            "stop": action_button(state.guarded(lambda _: state.cancel()), "ledger-stop"),
        }
        self.view = self._lay_out()
        state.observe(state.guarded(lambda _: self._draw()), ["ledgers", "language"])
        state.observe(state.guarded(lambda _: self._speak()), ["running", "language"])
        state.guarded(self._draw)()
        self._speak()

    def _lay_out(self) -> ipywidgets.Widget:
        state = self.state
        heading = HtmlPanel(state, _draw_heading, ["language", "gpu", "causal"], "l4g-title").view
        top = box([heading, LanguageSwitch(state).view], "l4g-top")
        inputs = box([field.view for field in self.fields.values()], "l4g-ledger-fields")
        progress = HtmlPanel(state, _draw_progress, ["progress", "running", "language"], "l4g-live-progress")
        controls = ipywidgets.VBox([inputs, box([*self.buttons.values()], "l4g-buttons"), progress.view])
        controls.add_class("l4g-card")
        controls.add_class("ledger-controls")
        error = HtmlPanel(state, _draw_error, ["error", "language"], "l4g-error").view
        fixes = HtmlPanel(state, _draw_fixes, ANSWER, "l4g-card").view
        mix = HtmlPanel(state, _draw_mix, ANSWER, "l4g-card").view
        table = HtmlPanel(state, _draw_table, ANSWER, "l4g-card").view
        figure = box([self.figure], "l4g-plots")
        return page_of([top, error, controls, figure, fixes, mix, table])

    def _draw(self) -> None:
        state = self.state
        asked = (state.ledgers, state.card, state.language)
        self.figure.show(plots.ledger_figure(*asked), plots.ledger_alt(*asked))

    def _speak(self) -> None:
        for name, button in self.buttons.items():
            button.description = say(f"ledger.{name}", self.state.language)
        self.buttons["compile"].disabled = self.state.running
        self.buttons["stop"].disabled = not self.state.running


def ledger(**inputs: object) -> ipywidgets.Widget:
    """The ledger, ready to be displayed; see `LedgerPanel` for the inputs."""
    return LedgerPanel(**inputs).view


def _draw_heading(state: LedgerState) -> str:
    return render("ledger_heading", state.language, gpu=state.gpu, causal=state.causal)


def _draw_error(state: LedgerState) -> str:
    return render("error", state.language, sentence=state.error.say(state.language)) if state.error else ""


def _draw_progress(state: LedgerState) -> str:
    if state.progress is None:
        return ""
    sentence = state.progress.say(state.language)
    return render("live_progress", state.language, sentence=sentence, running=state.running)


def _draw_fixes(state: LedgerState) -> str:
    return render("ledger_fixes", state.language, item=state.resources) if state.resources else ""


def _draw_mix(state: LedgerState) -> str:
    item = state.resources
    return render("mix", state.language, mix=item.instructions, item=item) if item else ""


def _draw_table(state: LedgerState) -> str:
    if not state.ledgers:
        return ""
    return render(
        "ledger", state.language, ledgers=state.ledgers, name=plots.ledger_name, verdict=plots.verdict_of
    )
