"""No figure, shown or written, has a tool bar, or a button that sends it away."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_up
import pytest

from l4guide import plots
from l4guide.advise import advise
from l4guide.plots.bench import write_plots
from l4guide.report import render
from l4guide.widgets.plot_panel import PlotlyPanel

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"


def configs(page: str) -> Iterator[dict[str, Any]]:
    """What each figure of a page is drawn with: the last of what `Plotly.newPlot` is given."""
    decoder = json.JSONDecoder()
    for call in re.finditer(r'Plotly\.newPlot\(\s+"', page):
        place = call.end() - 1
        for _ in ("id", "data", "layout", "config"):
            value, place = decoder.raw_decode(page, place)
            place = re.compile(r"[\s,]*").match(page, place).end()  # type: ignore[union-attr]
        yield value


def is_closed(config: dict[str, Any]) -> bool:
    """No tool bar, no upload, no logo that leads away, no server."""
    kept = config["displayModeBar"], config["showSendToCloud"], config["displaylogo"]
    return kept == (False, False, False) and "plotlyServerURL" not in config


def test_the_configuration_is_closed() -> None:
    """The one that all figures share; an open one would be seen."""
    assert is_closed(plots.CONFIG)
    assert not is_closed({**plots.CONFIG, "showSendToCloud": True})


@pytest.mark.parametrize("model", [None, "Llama-3.1-8B"])
def test_a_report_has_no_tool_bar(model: str | None) -> None:
    """Each of its figures."""
    found = list(configs(render(advise("L4", {"task": "decode", "model": model}))))
    assert found
    assert all(map(is_closed, found))


def test_a_recorded_run_has_no_tool_bar(tmp_path: Path) -> None:
    """Its page of figures, as `l4guide measure` writes it."""
    record = made_up.record(made_up.row(latency_ms=1.0, tflops=50.0), gpu="L4")
    found = list(configs(write_plots(record, tmp_path / "l4.html").read_text(encoding="utf-8")))
    assert found
    assert all(map(is_closed, found))


def test_a_page_of_widgets_has_no_tool_bar() -> None:
    """The panel sends the configuration with its figure, and its script uses it."""
    panel = PlotlyPanel()
    assert is_closed(panel.config)
    assert 'figure.layout, model.get("config"))' in str(panel._esm)


def test_a_notebook_shows_no_figure_without_it() -> None:
    """`show` takes plotly's own configuration where it is given none."""
    for path in NOTEBOOKS.glob("*.ipynb"):
        source = path.read_text(encoding="utf-8")
        assert source.count(".show(") == source.count(".show(config=CONFIG)"), path.name
