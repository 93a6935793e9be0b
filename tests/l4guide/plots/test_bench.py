"""The figures of a recorded run: the numbers on their axes, the ceilings beside them, one page."""

from pathlib import Path

import made_up
import pytest

from l4guide.measure.measurement import Record
from l4guide.plots.bench import figures, write_plots


@pytest.fixture
def record() -> Record:
    """Two implementations on two lengths, and decoding."""
    return made_up.record(
        made_up.row(seqlen_q=2048, seqlen_kv=2048, latency_ms=1.0, tflops=50.0),
        made_up.row(seqlen_q=1024, seqlen_kv=1024, latency_ms=1.0, tflops=40.0),
        made_up.row(implementation="torch/flash", seqlen_q=1024, seqlen_kv=1024, latency_ms=1.0, tflops=45.0),
        made_up.row(task="decode", seqlen_q=1, seqlen_kv=8192, latency_ms=1.0, gb_per_s=230.0),
        gpu="<L4>",
        paces=(made_up.pace("gemm", 57.0, "TFLOP/s"), made_up.pace("copy", 240.0, "GB/s")),
    )


def test_rates_stand_over_lengths(record: Record) -> None:
    """A line an implementation, by length; the products and the copies that the card sustained as lines."""
    forward, decode = figures(record)
    assert [("l4guide", (1024, 2048), (40.0, 50.0)), ("torch/flash", (1024,), (45.0,))] == [
        (line.name, tuple(line.x), tuple(line.y)) for line in forward.data
    ]
    assert [("l4guide", (230.0,))] == [(line.name, tuple(line.y)) for line in decode.data]
    assert ([57.0], [240.0]) == tuple([shape.y0 for shape in f.layout.shapes] for f in (forward, decode))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_lie_on_one_page(record: Record, tmp_path: Path, language: str) -> None:
    """Both figures, with plotly once, and the card's name as text."""
    text = write_plots(record, tmp_path / "l4.html", language).read_text(encoding="utf-8")
    assert len(figures(record)) == text.count('class="plotly-graph-div"')
    assert "&lt;L4&gt;" in text
    assert "https://cdn" not in text.split("plotly.js v")[0]
