"""What every page stands in: its style sheet, plotly.js, and the keys that stay on it."""

import gzip
from collections.abc import Mapping, Sequence
from functools import cache

import anywidget
import ipywidgets
from plotly.offline import get_plotlyjs

from l4guide.widgets.markup import asset


class PageAssets(anywidget.AnyWidget):  # type: ignore[misc]
    """Shows nothing; brings the style sheet, plotly.js when the page asks for it, and keeps plain keys on the page.

    The library is no part of the widget's own script: anywidget gives a script two seconds to start, and megabytes
    take longer on a busy machine.
    """

    _esm = asset("frame.js")
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


def page_of(parts: Sequence[ipywidgets.Widget], assets: PageAssets | None = None) -> ipywidgets.VBox:
    """The parts one below another, as a page to display."""
    page = ipywidgets.VBox([*parts, assets or PageAssets()])
    page.add_class("l4g-page")
    return page
