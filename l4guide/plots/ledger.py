"""The shared-memory ledger as a figure: one stacked bar a tile, one colour and hatch a buffer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from l4guide.catalogue import Gpu
from l4guide.plots.draw import BLUE, GREEN, INK, PINK, VERMILLION, draw_limits, empty_figure, new_figure
from l4guide.plots.rows import number, tile_text
from l4guide.resources import Ledger
from l4guide.text import say

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

GREY = "#6B7280"
#: Colour and hatch of each buffer; none is told from another by colour alone.
LOOKS = {
    "q": (BLUE, ""),
    "do": (BLUE, "/"),
    "k": (GREEN, ""),
    "v": (GREEN, "\\"),
    "v_then_p_ds": (PINK, "\\"),
    "p_ds": (PINK, "x"),
    "p": (PINK, "x"),
    "ds": (PINK, "x"),
    "dq": (VERMILLION, "."),
    "lse_delta": (INK, ""),
    "whole": (GREY, ""),
    "compiler": (GREY, "|"),
}
#: Grounds on which dark letters read better than white ones.
LIGHT = (GREEN, PINK)
#: A number is written into a buffer that takes at least this part of the axis.
WRITTEN_FROM = 0.055


def ledger_name(ledger: Ledger) -> str:
    """Library, pass and tile in one line; for a published tile also the releases and cards that launch it."""
    tile = tile_text(ledger.block_m, ledger.block_n, ledger.warps, ledger.stages)
    words = [ledger.library, ledger.versions.replace(">=", "≥"), ledger.pass_name, tile]
    if ledger.capabilities:
        words.append(f"({', '.join(ledger.capabilities)})")
    return " ".join(word for word in words if word)


def verdict_of(ledger: Ledger, language: str = "en") -> str:
    """Whether it fits, in a word."""
    key = {True: "ledger.fits", False: "ledger.does_not_fit", None: "ledger.unknown_limit"}[ledger.fits]
    return say(key, language)


def ledger_figure(ledgers: Sequence[Ledger], gpu: Gpu, language: str = "en") -> Figure:
    """Stacked bars of buffers, one bar a ledger, against the limit of `gpu`."""
    title = say("ledger.title", language, gpu=gpu.name)
    figure = new_figure(title, say("ledger.axis", language), len(ledgers) + 1, row_px=62)
    if not ledgers:
        return empty_figure(figure, say("ledger.nothing", language))
    widest = max(gpu.shared_bytes_per_block or 0, *(ledger.total_bytes for ledger in ledgers))
    used = {part.name for ledger in ledgers for part in ledger.parts}
    for name in [known for known in LOOKS if known in used]:
        _add_buffer(figure, name, ledgers, widest, language)
    draw_limits(figure, gpu, language)
    for place, ledger in enumerate(ledgers):
        _name_bar(figure, place, ledger, language)
    figure.update_yaxes(showticklabels=False, showgrid=False, range=[len(ledgers) - 0.5, -0.75])
    figure.update_layout(barmode="stack", bargap=0.55, legend={"traceorder": "normal"})
    return figure


def _add_buffer(figure: Figure, name: str, ledgers: Sequence[Ledger], widest: int, language: str) -> None:
    colour, hatch = LOOKS[name]
    label = say(f"ledger_part.{name}", language)
    found = [
        (place, part, ledger)
        for place, ledger in enumerate(ledgers)
        for part in ledger.parts
        if part.name == name
    ]
    figure.add_bar(
        orientation="h",
        name=label,
        y=[place for place, _, _ in found],
        x=[part.shared_bytes for _, part, _ in found],
        text=[
            number(part.shared_bytes) if part.shared_bytes >= WRITTEN_FROM * widest else ""
            for _, part, _ in found
        ],
        textposition="inside",
        textangle=0,
        insidetextanchor="middle",
        textfont={"color": INK if colour in LIGHT else "white", "size": 11},
        marker={
            "color": colour,
            "line": {"color": "white", "width": 1},
            "pattern": {"shape": hatch, "fgcolor": "white", "fgopacity": 0.6, "size": 7, "solidity": 0.16},
        },
        customdata=[
            f"<b>{escape(ledger_name(ledger), quote=False)}</b><br>"
            + say("ledger.hover", language, part=label, shared_bytes=number(part.shared_bytes))
            + (f"<br>{part.formula}" if part.formula else "")
            for _, part, ledger in found
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _name_bar(figure: Figure, place: int, ledger: Ledger, language: str) -> None:
    """Name, total and verdict above the bar, so that bars keep their room on a narrow screen."""
    sign = {True: "✓", False: "✗", None: "?"}[ledger.fits]
    kind = say(f"report.kind_{ledger.kind}", language)
    said = f"{number(ledger.total_bytes)} {sign} {verdict_of(ledger, language)}, {kind}"
    figure.add_annotation(
        x=0,
        y=place,
        text=f"<b>{escape(ledger_name(ledger), quote=False)}</b>: {said}",
        xanchor="left",
        yanchor="bottom",
        yshift=14,
        showarrow=False,
        align="left",
        font={"size": 11, "color": INK},
        bgcolor="rgba(255,255,255,0.85)",
        borderpad=0,
    )


def ledger_alt(ledgers: Sequence[Ledger], gpu: Gpu, language: str = "en") -> str:
    """The figure of `ledger_figure` in words."""
    if not ledgers:
        return say("ledger.nothing", language)
    rows = [
        say(
            "ledger.alt_row",
            language,
            name=ledger_name(ledger),
            shared_bytes=number(ledger.total_bytes),
            verdict=verdict_of(ledger, language),
            parts=", ".join(
                f"{say(f'ledger_part.{part.name}', language)} {number(part.shared_bytes)}"
                for part in ledger.parts
            ),
        )
        for ledger in ledgers
    ]
    limit = "?" if gpu.shared_bytes_per_block is None else number(gpu.shared_bytes_per_block)
    return say("ledger.alt", language, gpu=gpu.name, limit_bytes=limit, rows="; ".join(rows))
