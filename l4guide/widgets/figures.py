"""The three plots of an answer, side by side where there is room."""

import ipywidgets

from l4guide import plots
from l4guide.widgets.plot_panel import PlotlyPanel
from l4guide.widgets.state import GuideState

#: Each figure, what it says in words, and the class that names it.
FIGURES = (
    (plots.shared_memory, plots.shared_memory_alt, "guide-plot-shared"),
    (plots.throughput, plots.throughput_alt, "guide-plot-throughput"),
    (plots.cost, plots.cost_alt, "guide-plot-cost"),
)


class Figures:
    """Redraws every figure for a new answer or language."""

    def __init__(self, state: GuideState) -> None:
        self.state = state
        self.panels = [PlotlyPanel() for _ in FIGURES]
        for panel, (_, _, css_class) in zip(self.panels, FIGURES, strict=True):
            panel.add_class(css_class)
        self.view = ipywidgets.Box(self.panels)
        self.view.add_class("l4g-plots")
        self._redraw = state.guarded(self._draw)
        state.observe(lambda _: self._redraw(), ["advice", "language"])
        self._redraw()

    def _draw(self) -> None:
        advice, language = self.state.advice, self.state.language
        if advice is None:
            return
        for panel, (draw, describe, _) in zip(self.panels, FIGURES, strict=True):
            panel.show(draw(advice, language), describe(advice, language))
