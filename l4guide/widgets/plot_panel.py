"""Plotly figures in a notebook; plotly.js itself comes with the page that they stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anywidget
import traitlets

from l4guide.plots import CONFIG
from l4guide.widgets.markup import asset

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class PlotlyPanel(anywidget.AnyWidget):  # type: ignore[misc]
    """One figure that follows its container's width and is redrawn in place."""

    _esm = asset("plotly_panel.js")
    figure = traitlets.Unicode("").tag(sync=True)
    config = traitlets.Dict(CONFIG).tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)

    def __init__(self) -> None:
        # The style sheet decides the width; the height must be given, or a panel is 0 px high though its DOM is there.
        super().__init__(layout={"min_width": "0"})
        self.add_class("l4g-plot")

    def show(self, figure: Figure, alt: str) -> None:
        """Draw a plotly figure; `alt` says in words what it shows."""
        self.layout.min_height = f"{figure.layout.height or 450}px"
        with self.hold_sync():
            self.figure, self.alt = figure.to_json(), alt
