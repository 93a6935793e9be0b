"""plotly.js reaches the page once, when the page asks, and outside the script that anywidget must start in time."""

import gzip
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from l4guide.widgets.frame import PageAssets
from l4guide.widgets.plot_panel import PlotlyPanel


def test_the_library_is_sent_compressed_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message with the whole of plotly.js answers "wanted"; anything else is not answered."""
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    assets = PageAssets()
    monkeypatch.setattr(
        PageAssets, "send", lambda _self, content, buffers=None: sent.append((content, buffers))
    )
    assets._handle_custom_msg({"kind": "hello"}, [])
    assert [] == sent
    assets._handle_custom_msg({"kind": "wanted"}, [])
    ((content, buffers),) = sent
    assert "library" == content["kind"]
    assert get_plotlyjs() == gzip.decompress(buffers[0]).decode()


@pytest.mark.parametrize("widget", [PageAssets, PlotlyPanel])
def test_scripts_are_small_enough_to_start_in_time(widget: type[PageAssets | PlotlyPanel]) -> None:
    """No script carries the library: a script of megabytes misses anywidget's two seconds on a busy machine."""
    assert len(str(widget()._esm)) < 10_000
