"""A recorded run as figures: rates by length of a sequence, decoding against the bandwidth of copying, the ceilings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from l4guide.files import write_text
from l4guide.measure.measurement import Measurement, Record
from l4guide.plots.draw import BLUE, CONFIG, GREEN, INK, PINK, VERMILLION, new_figure
from l4guide.text import say

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = (BLUE, VERMILLION, GREEN, PINK, INK)
SHAPES = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star")
HEIGHT_PX = 380


def write_plots(record: Record, path: Path, language: str = "en") -> Path:
    """Write every figure of a run into one page that needs no network.

    Raises:
        CannotDo: the place cannot be written.
    """
    title = escape(record.gpu or record.gpu_reported_name or "GPU", quote=False)
    bodies = [
        figure.to_html(full_html=False, include_plotlyjs=at == 0, config=CONFIG)
        for at, figure in enumerate(figures(record, language))
    ]
    head = f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{title}</title>'
    write_text(path, head + "\n".join(bodies) + "</html>\n")
    return path


def figures(record: Record, language: str = "en") -> list[Figure]:
    """A figure for each task, pass, width and mask that was timed, one for decoding."""
    timed = [row for row in record.rows if row.latency_ms is not None]
    kinds: dict[tuple[object, ...], list[Measurement]] = {}
    for row in timed:
        if row.task != "decode":
            kind = row.task, row.attention_pass, row.head_dim, row.causal
            kinds.setdefault(kind, []).append(row)
    drawn = [rates_by_length(rows, record, language) for rows in kinds.values()]
    decode = [row for row in timed if row.task == "decode"]
    return [*drawn, *([decoding(decode, record, language)] if decode else [])]


def rates_by_length(rows: Sequence[Measurement], record: Record, language: str = "en") -> Figure:
    """TFLOP/s over the length of a sequence, a line an implementation, and the products that the card sustained."""
    first = rows[0]
    title = say(
        "bench.plot_rates",
        language,
        task=first.task,
        attention_pass=say(f"guide_pass.{first.attention_pass}", language),
        head_dim=first.head_dim,
        mask="causal" if first.causal else "full",
    )
    figure = _empty(title, say("bench.plot_length", language), "TFLOP/s")
    for name, (colour, shape) in _looks(rows, record):
        mine = sorted((row for row in rows if row.implementation == name), key=lambda row: row.seqlen_kv)
        figure.add_scatter(
            x=[row.seqlen_kv for row in mine],
            y=[row.tflops for row in mine],
            name=escape(name, quote=False),
            mode="lines+markers",
            line={"color": colour},
            marker={"symbol": shape, "size": 9},
        )
    lengths = sorted({row.seqlen_kv for row in rows})
    figure.update_xaxes(type="log", tickvals=lengths, ticktext=[str(length) for length in lengths])
    return _ceiling(figure, record, "gemm", language)


def decoding(rows: Sequence[Measurement], record: Record, language: str = "en") -> Figure:
    """GB/s of the cache's bytes on each shape, a marker an implementation, and the bandwidth of copying."""
    figure = _empty(say("bench.plot_decode", language), say("bench.shape", language), "GB/s")
    for name, (colour, shape) in _looks(rows, record):
        mine = [row for row in rows if row.implementation == name]
        figure.add_scatter(
            x=[f"{row.batch} × {row.seqlen_kv}, {row.heads}/{row.kv_heads}" for row in mine],
            y=[row.gb_per_s for row in mine],
            name=escape(name, quote=False),
            mode="markers",
            marker={"symbol": shape, "size": 9, "color": colour},
        )
    return _ceiling(figure, record, "copy", language)


def _looks(rows: Sequence[Measurement], record: Record) -> Iterator[tuple[str, tuple[str, str]]]:
    """The implementations of some rows with their colours and shapes, which are the same in every figure of a run."""
    looks = cycle(zip(COLOURS * len(SHAPES), SHAPES * len(COLOURS), strict=True))
    names = {row.implementation for row in rows}
    every = dict.fromkeys(row.implementation for row in record.rows)
    yield from ((name, look) for name, look in zip(every, looks, strict=False) if name in names)


def _empty(title: str, x: str, y: str) -> Figure:
    figure = new_figure(title, x, 0, row_px=0)
    figure.update_layout(height=HEIGHT_PX, hovermode="closest")
    figure.update_yaxes(title=y, rangemode="tozero", autorange=True, type="linear")
    return figure


def _ceiling(figure: Figure, record: Record, what: str, language: str) -> Figure:
    """A line at what the card sustained in the same run."""
    rate = record.pace(what)
    if rate is not None:
        label = say("bench.plot_ceiling", language, what=what)
        figure.add_hline(y=rate, line={"color": INK, "dash": "dot"}, annotation_text=label)
    return figure
