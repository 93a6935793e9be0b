"""When each library began to run a question, as bars over release dates.

A status is told by colour, hatch and the word in its bar or its legend, never by colour alone.
"""

from __future__ import annotations

from datetime import date, timedelta
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

from l4guide.matrix import SYMBOLS, Span, Timeline
from l4guide.plots.draw import BLUE, GRID, RED, VERMILLION, empty_figure, new_figure
from l4guide.support.verdict import STATUSES
from l4guide.text import say

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

GREY = "#6b7280"
#: Colour and hatch of each status.
LOOKS = {"ok": (BLUE, ""), "refused": (VERMILLION, "/"), "unsafe": (RED, "x"), "unknown": (GREY, ".")}
#: What still holds is drawn a little beyond the newest release known, so that a new release has a bar too.
BEYOND = timedelta(days=60)
DAY_MS = 86_400_000
HOVER_WIDTH = 70


def timeline_figure(found: Timeline, language: str = "en") -> Figure:
    """One row a library, one bar a stretch of releases that answer alike; spans without any date are left out."""
    drawn = [span for span in found.spans if span.start is not None]
    names = list(dict.fromkeys(span.library for span in drawn))
    values = {"gpu": found.gpu.name, "head_dim": found.workload.head_dim, "dtype": found.workload.dtype}
    task = say(f"guide_task.{found.workload.task}", language)
    title = say("timeline.title", language, **values, task=task)
    figure = new_figure(title, say("timeline.axis", language), len(names), row_px=34)
    if not drawn:
        return empty_figure(figure, say("timeline.none", language))
    for status in STATUSES:
        spans = [span for span in drawn if span.status == status]
        if spans:
            _draw(figure, spans, status, found, language)
    figure.update_layout(barmode="overlay", bargap=0.3, uniformtext={"mode": "hide", "minsize": 11})
    figure.update_xaxes(type="date", gridcolor=GRID)
    figure.update_yaxes(categoryorder="array", categoryarray=names)
    return figure


def _draw(figure: Figure, spans: list[Span], status: str, found: Timeline, language: str) -> None:
    colour, shape = LOOKS[status]
    ends = [span.end or found.known_until + BEYOND for span in spans]
    figure.add_bar(
        orientation="h",
        name=f"{SYMBOLS[status]} {say(f'matrix.status_{status}', language)}",
        y=[span.library for span in spans],
        base=[str(span.start) for span in spans],
        x=[_days(span.start, end) * DAY_MS for span, end in zip(spans, ends, strict=True)],
        text=[f"{SYMBOLS[status]} {span.since}" for span in spans],
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
        textfont={"color": "white", "size": 12},
        marker={
            "color": colour,
            "pattern": {"shape": shape, "fgcolor": "white", "size": 7, "solidity": 0.12},
            "line": {"color": "white", "width": 1},
        },
        customdata=[_hover(span, language) for span in spans],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _days(start: date | None, end: date) -> int:
    """The length of a bar: none where a later branch was released before an older one."""
    return max(0, (end - start).days) if start else 0


def _hover(span: Span, language: str) -> str:
    until = str(span.end) if span.end else say("timeline.still", language)
    releases = span.since if span.since == span.until else f"{span.since} – {span.until}"
    status = f"{SYMBOLS[span.status]} {say(f'matrix.status_{span.status}', language)}"
    text = str(span.to_json(language)["message"])
    lines = "<br>".join(escape(line, quote=False) for line in wrap(text, HOVER_WIDTH))
    return f"<b>{escape(span.library)} {releases}</b><br>{span.start} – {until}: {status}<br>{lines}"


def timeline_alt(found: Timeline, language: str = "en") -> str:
    """The figure in words: since when each library runs it, or that it does not."""
    rows = []
    for library in dict.fromkeys(span.library for span in found.spans):
        newest = [span for span in found.spans if span.library == library][-1]
        word = say(f"matrix.status_{newest.status}", language)
        since = f"{newest.since} ({newest.start or say('timeline.undated', language)})"
        rows.append(say("timeline.alt_row", language, library=library, status=word, since=since))
    values = {"gpu": found.gpu.name, "head_dim": found.workload.head_dim}
    return say("timeline.alt", language, **values, rows="; ".join(rows))
