"""The figures of a recorded run: the numbers on their axes, the ceilings beside them, one page."""

from pathlib import Path

import pytest

from l4guide.measure.measurement import Measurement, Pace, Record
from l4guide.plots.bench import figures, write_plots


def row(implementation: str, *, seqlen: int = 1024, task: str = "prefill", **rates: float) -> Measurement:
    """A timed row."""
    return Measurement(
        implementation=implementation,
        version="1",
        status="ok",
        reason=None,
        basis="gpu",
        task=task,
        attention_pass="forward",
        batch=4,
        seqlen_q=1 if task == "decode" else seqlen,
        seqlen_kv=seqlen,
        heads=16,
        kv_heads=16,
        head_dim=128,
        dtype="bf16",
        causal=True,
        latency_ms=1.0,
        **rates,  # type: ignore[arg-type]
    )


def pace(what: str, rate: float, unit: str) -> Pace:
    """A ceiling."""
    return Pace(what=what, on="-", stretch="sustained", seconds=8, rate=rate, low=rate, high=rate, unit=unit)


@pytest.fixture
def record() -> Record:
    """Two implementations on two lengths, and decoding."""
    return Record(
        measured_at="2026-11-22T10:00:00+00:00",
        l4guide_version="0.1.0",
        suite="full",
        complete=True,
        basis="gpu",
        gpu="<L4>",
        gpu_reported_name=None,
        capability=None,
        driver=None,
        memory_total_mib=None,
        power_limit_w=None,
        max_sm_clock_mhz=None,
        python="3.12",
        platform="Linux",
        libraries={},
        kernels="0",
        paces=(pace("gemm", 57.0, "TFLOP/s"), pace("copy", 240.0, "GB/s")),
        rows=(
            row("l4guide", seqlen=2048, tflops=50.0),
            row("l4guide", seqlen=1024, tflops=40.0),
            row("torch/flash", seqlen=1024, tflops=45.0),
            row("l4guide", task="decode", seqlen=8192, gb_per_s=230.0),
        ),
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
    assert 2 == text.count('class="plotly-graph-div"')
    assert "&lt;L4&gt;" in text
    assert "https://cdn" not in text.split("plotly.js v")[0]
