"""The three plots of an answer, side by side where there is room."""

import ipywidgets

from l4guide import plots
from l4guide.widgets.plot_panel import PlotlyPanel
from l4guide.widgets.state import GuideState

CLASSES = ("guide-plot-shared", "guide-plot-throughput", "guide-plot-cost")


class Figures:
    """Redraws every figure for a new answer, language or measurement."""

    def __init__(self, state: GuideState) -> None:
        self.state = state
        self.panels = [PlotlyPanel() for _ in CLASSES]
        for panel, css_class in zip(self.panels, CLASSES, strict=True):
            panel.add_class(css_class)
        self.view = ipywidgets.Box(self.panels)
        self.view.add_class("l4g-plots")
        self._redraw = state.guarded(self._draw)
        state.observe(lambda _: self._redraw(), ["advice", "language", "record"])
        self._redraw()

    def _draw(self) -> None:
        advice, language = self.state.advice, self.state.language
        if advice is None:
            return
        records = (self.state.record,) if self.state.record else ()
        shared, throughput, cost = self.panels
        shared.show(plots.shared_memory(advice, language), plots.shared_memory_alt(advice, language))
        throughput.show(plots.throughput(advice, language, records), plots.throughput_alt(advice, language))
        # What attention alone costs decides nothing, so that a bare shape has no figure of cost.
        cost.layout.display = "none" if advice.model is None else None
        cost.show(plots.cost(advice, language), plots.cost_alt(advice, language))
