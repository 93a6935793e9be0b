"""Plotly figures in a notebook: plotly.js travels to the page once, however many figures it draws."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import anywidget
import traitlets
from plotly.offline import get_plotlyjs

from l4guide.widgets.markup import asset

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class PageAssets(anywidget.AnyWidget):  # type: ignore[misc]
    """Shows nothing; brings the style sheet, and plotly.js when the page asks for it.

    The library is no part of the widget's own script: anywidget gives a script two seconds to start, and megabytes
    take longer on a busy machine.
    """

    _esm = asset("plotly_library.js")
    _css = asset("guide.css")

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(lambda _widget, content, _buffers: self._bring(content))

    def _bring(self, content: Mapping[str, object]) -> None:
        if content.get("kind") == "wanted":
            self.send({"kind": "library"}, [_library()])


@cache
def _library() -> bytes:
    return gzip.compress(get_plotlyjs().encode("utf-8"), 6)


class PlotlyPanel(anywidget.AnyWidget):  # type: ignore[misc]
    """One figure that follows its container's width and is redrawn in place."""

    _esm = asset("plotly_panel.js")
    figure = traitlets.Unicode("").tag(sync=True)
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
