"""Where the answer changes: the cheapest card over two sizes of the question."""

import ipywidgets

from l4guide import plots
from l4guide.advise import break_even
from l4guide.text import say
from l4guide.widgets.field import Field
from l4guide.widgets.markup import render
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.plot_panel import PlotlyPanel
from l4guide.widgets.state import GuideState

AXES = ("context", "head_dim")


class BreakEvenPanel:
    """A map that is drawn when it is asked for, and again whenever the question changes after that.

    Args:
        state: the question; its `map_axis` is what lies across, and `break_even` the map.
    """

    def __init__(self, state: GuideState) -> None:
        self.state = state
        self.draw = ipywidgets.Button()
        self.draw.add_class("l4g-button")
        self.draw.add_class("guide-break-even")
        self.draw.on_click(state.guarded(lambda _: self._answer()))
        axis = Field(
            state,
            "map_axis",
            ipywidgets.ToggleButtons(),
            key="axis",
            section="breakeven.controls_",
            choices=_axes,
        )
        self.panel = PlotlyPanel()
        self.panel.add_class("guide-plot-break-even")
        self.panel.layout.display = "none"
        heading = HtmlPanel(
            state, lambda s: render("breakeven_heading", s.language), ["language"], "l4g-heading"
        )
        self.view = ipywidgets.VBox([heading.view, axis.view, self.draw, self.panel])
        self.view.add_class("l4g-card")
        again = state.guarded(lambda: self._answer() if state.break_even is not None else None)
        state.observe(lambda _: again(), ["advice", "map_axis"])
        show = state.guarded(lambda: self._show())
        state.observe(lambda _: show(), ["break_even", "language"])
        self._show()

    def _answer(self) -> None:
        state = self.state
        state.break_even = break_even(state.gpu, state.options(), state.map_axis)

    def _show(self) -> None:
        state = self.state
        self.draw.description = say("breakeven.draw", state.language)
        if state.break_even is None:
            return
        self.panel.layout.display = None
        self.panel.show(
            plots.breakeven_figure(state.break_even, state.language),
            plots.breakeven_alt(state.break_even, state.language),
        )


def _axes(language: str) -> list[tuple[str, str]]:
    return [(say(f"breakeven.across_{axis}", language), axis) for axis in AXES]
