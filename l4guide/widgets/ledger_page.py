"""The ledger as a page: controls, the stacked bars, what would fit, and what the issue slots go to."""

from collections.abc import Callable, Sequence

import ipywidgets

from l4guide import catalogue, plots
from l4guide.resources import PASSES, TILE_LIMITS
from l4guide.text import LANGUAGES, say
from l4guide.widgets.field import Choices, Field
from l4guide.widgets.ledger_state import FIRST_TILE, LedgerState
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.plot_panel import PageAssets, PlotlyPanel
from l4guide.workload import DTYPES

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
        if "gpu" in inputs:
            inputs["gpu"] = catalogue.gpu(str(inputs["gpu"])).name
        self.state = state = LedgerState(**inputs)  # type: ignore[arg-type]
        self.fields = _fields(state)
        self.figure = PlotlyPanel()
        self.figure.add_class("guide-plot-ledger")
        self.buttons = {
            "default_tile": _button(state.guarded(lambda _: state.choose_default()), "ledger-default"),
            "first_tile": _button(state.guarded(lambda _: state.choose(FIRST_TILE)), "ledger-first"),
            "compile": _button(state.guarded(lambda _: state.compile()), "ledger-compile", "primary"),
            "stop": _button(state.guarded(lambda _: state.cancel()), "ledger-stop"),
        }
        self.view = self._lay_out()
        state.observe(state.guarded(lambda _: self._draw()), ["ledgers", "language"])
        state.observe(state.guarded(lambda _: self._speak()), ["running", "language"])
        state.guarded(self._draw)()
        self._speak()

    def _lay_out(self) -> ipywidgets.Widget:
        state = self.state
        heading = HtmlPanel(state, _draw_heading, ["language", "gpu", "causal"], "l4g-title").view
        top = _box([heading, self.fields["language"].view], "l4g-top")
        inputs = _box(
            [self.fields[name].view for name in self.fields if name != "language"], "l4g-ledger-fields"
        )
        progress = HtmlPanel(state, _draw_progress, ["progress", "running", "language"], "l4g-live-progress")
        controls = ipywidgets.VBox([inputs, _box([*self.buttons.values()], "l4g-buttons"), progress.view])
        controls.add_class("l4g-card")
        controls.add_class("ledger-controls")
        error = HtmlPanel(state, _draw_error, ["error", "language"], "l4g-error").view
        fixes = HtmlPanel(state, _draw_fixes, ANSWER, "l4g-card").view
        mix = HtmlPanel(state, _draw_mix, ANSWER, "l4g-card").view
        table = HtmlPanel(state, _draw_table, ANSWER, "l4g-card").view
        figure = _box([self.figure], "l4g-plots")
        page = ipywidgets.VBox([top, error, controls, figure, fixes, mix, table, PageAssets()])
        page.add_class("l4g-page")
        return page

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


def _fields(state: LedgerState) -> dict[str, Field]:
    def field(name: str, choices: Choices) -> Field:
        return Field(state, name, ipywidgets.Dropdown(), choices=choices, section="ledger.")

    head_dim = Field(state, "head_dim", ipywidgets.Text(continuous_update=False), section="ledger.")
    return {
        "kernel": field("kernel", _same(PASSES)),
        "head_dim": head_dim,
        "dtype": field("dtype", _same(DTYPES)),
        "gpu": field("gpu", _same([card.name for card in catalogue.gpus()])),
        **{name: field(name, _same(_powers(*TILE_LIMITS[name]))) for name in ("block_m", "block_n", "warps")},
        "stages": field("stages", _same([str(n) for n in range(1, TILE_LIMITS["stages"][1] + 1)])),
        "causal": Field(state, "causal", ipywidgets.Checkbox(indent=False), section="ledger."),
        "language": _language(state),
    }


def _language(state: LedgerState) -> Field:
    choices = [(label, code) for code, label in LANGUAGES.items()]
    field = Field(state, "language", ipywidgets.ToggleButtons(), choices=lambda _: choices)
    field.view.add_class("l4g-language")
    return field


def _powers(low: int, high: int) -> list[str]:
    return [str(1 << bit) for bit in range(high.bit_length()) if low <= 1 << bit <= high]


def _same(values: Sequence[str] | dict[str, str]) -> Choices:
    return lambda _: [(value, value) for value in values]


def _box(children: list[ipywidgets.Widget], css_class: str) -> ipywidgets.Box:
    box = ipywidgets.Box(children)
    box.add_class(css_class)
    return box


def _button(clicked: Callable[..., None], css_class: str, style: str = "") -> ipywidgets.Button:
    button = ipywidgets.Button(button_style=style)
    button.add_class("l4g-button")
    button.add_class(css_class)
    button.on_click(clicked)
    return button


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
