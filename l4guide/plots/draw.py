"""The figures. plotly is imported only when one is drawn.

Colours are those of Okabe and Ito with a contrast of at least 3:1 on white; none carries a meaning alone: a
hatch, a marker shape or a word stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

from l4guide import catalogue
from l4guide.advise import Advice
from l4guide.catalogue import Gpu
from l4guide.measure.measurement import Measurement, Record
from l4guide.plots.rows import Block, Card, blocks, cards, measured, measured_rate, number, rate
from l4guide.text import say

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BLUE, VERMILLION, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
#: Beyond their palette, and darker than its vermillion: what is wrong without an error.
RED = "#B3001B"
INK, GRID = "#1f2933", "#e4e7eb"
#: Cards whose limit is drawn beside the asked one: what FlashAttention's large tiles were written for.
REFERENCES = ("A100-80GB-SXM", "H100 SXM")
KIB = 1024
#: A sentence in a figure's place needs no more.
EMPTY_HEIGHT_PX = 130
#: A logarithmic axis is easier to read than a linear one from here on.
LOG_FROM_RATIO = 20.0
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif"
#: Characters of a card's name on one line beside its row.
LABEL_WIDTH = 24
#: What plotly is told wherever a figure is shown or written: no tool bar, whose "Share chart" uploads the figure,
#: and nothing else that leaves the machine.
CONFIG = {
    "displayModeBar": False,
    "displaylogo": False,
    "showSendToCloud": False,
}


def shared_memory(advice: Advice, language: str = "en") -> Figure:
    """Bars of shared memory per block against the limit of the asked card."""
    gpu, every = advice.question.gpu, blocks(advice, language)
    title = say("plot.shared_title", language, gpu=gpu.name)
    figure = new_figure(title, say("plot.shared_axis", language), len(every), row_px=50)
    if not every:
        return empty_figure(figure, say("plot.shared_none", language, gpu=gpu.name))
    for fits, colour, shape in ((True, BLUE, ""), (False, VERMILLION, "/")):
        drawn = [block for block in every if block.fits is fits]
        word = say("plot.fits" if fits else "plot.does_not_fit", language)
        figure.add_bar(
            orientation="h",
            name=word,
            y=[_block_label(block) for block in drawn],
            x=[block.shared_bytes for block in drawn],
            text=[f"{number(block.shared_bytes)} {'✓' if fits else '✗'}" for block in drawn],
            textposition="auto",
            textangle=0,
            insidetextanchor="start",
            insidetextfont={"color": "white"},
            marker={
                "color": colour,
                "pattern": {"shape": shape, "fgcolor": "white", "size": 7, "solidity": 0.16},
            },
            hovertemplate="%{customdata}<extra></extra>",
            customdata=[_block_hover(block, word, language) for block in drawn],
        )
    draw_limits(figure, gpu, language)
    _name_bars(figure, every)
    return figure


def _block_label(block: Block) -> str:
    return f"{escape(block.name, quote=False)}<br>{block.tile}"


def _name_bars(figure: Figure, every: Sequence[Block]) -> None:
    """Write each name above its bar, not beside it, so that bars keep their room on a narrow screen."""
    figure.update_yaxes(
        categoryarray=[_block_label(block) for block in every], showticklabels=False, showgrid=False
    )
    figure.update_layout(bargap=0.55)
    for block in every:
        figure.add_annotation(
            x=0,
            y=_block_label(block),
            text=f"<b>{escape(block.name, quote=False)}</b> {block.tile}",
            xanchor="left",
            yanchor="bottom",
            yshift=10,
            showarrow=False,
            align="left",
            font={"size": 11, "color": INK},
            bgcolor="rgba(255,255,255,0.85)",
            borderpad=0,
        )


def _block_hover(block: Block, word: str, language: str) -> str:
    source = (
        "" if block.source is None else f"<br>{escape(catalogue.source(block.source).title, quote=False)}"
    )
    facts = say(
        "plot.shared_hover",
        language,
        tile=block.tile,
        shared_bytes=number(block.shared_bytes),
        limit_bytes=number(block.limit_bytes),
        kind=say(f"report.kind_{block.kind}", language),
    )
    basis = escape(block.basis, quote=False)
    return f"<b>{escape(block.name, quote=False)}</b>: {word}<br>{facts}<br>{basis}{source}"


def draw_limits(figure: Figure, asked: Gpu, language: str) -> None:
    """Lines at the limits of the asked card and of the reference cards, where those are other numbers."""
    limits = {asked.shared_bytes_per_block: (asked.name, 2.5, "solid")}
    for name in REFERENCES:
        other = catalogue.gpu(name)
        limits.setdefault(other.shared_bytes_per_block, (name.split("-")[0].split(" ")[0], 1.2, "dot"))
    for limit, (name, width, dash) in limits.items():
        if limit is None:
            continue
        figure.add_vline(x=limit, line={"color": INK, "width": width, "dash": dash})
        label = f"{escape(name, quote=False)}<br>{number(limit)}"
        figure.add_annotation(
            x=limit,
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            text=f"<b>{label}</b>" if name == asked.name else label,
            font={"size": 11, "color": INK},
        )
    figure.update_layout(margin={"t": 84})
    known = [limit for limit in limits if limit]
    figure.update_xaxes(
        range=[0, max(known) * 1.08],
        tickvals=[step * KIB for step in range(0, 257, 64)],
        ticktext=[str(step) for step in range(0, 257, 64)],
        tickangle=0,
    )


def throughput(advice: Advice, language: str = "en", measurements: Sequence[Record] = ()) -> Figure:
    """TFLOP/s (GB/s for decode) by card: estimates with their 80 % interval, and measured rows if given."""
    task = advice.question.workload.task
    unit = "GB/s" if task == "decode" else "TFLOP/s"
    drawn = [(card, rate(card.estimate, task)) for card in cards(advice) if card.estimate is not None]
    rows = measured(advice, measurements)
    names = list(dict.fromkeys([*(card.gpu.name for card, _ in drawn), *(gpu for gpu, _ in rows)]))
    title = say("plot.throughput_title", language)
    figure = new_figure(title, say("plot.throughput_axis", language, unit=unit), len(names))
    if not names:
        return empty_figure(figure, say("plot.estimate_none", language))
    spans = [(replace(card, spend=None), found.value, found.low, found.high) for card, found in drawn]
    _draw_spans(figure, spans, lambda card: _rate_hover(card, task, language), language)
    for attention_pass, symbol in (("forward", "star"), ("backward", "triangle-up")):
        of_pass = [(gpu, row) for gpu, row in rows if row.attention_pass == attention_pass]
        if of_pass:
            label = say("plot.measured", language, attention_pass=say(f"plot.{attention_pass}", language))
            figure.add_scatter(
                mode="markers",
                name=label,
                y=[gpu for gpu, _ in of_pass],
                x=[measured_rate(row) for _, row in of_pass],
                marker={"symbol": symbol, "size": 13, "color": GREEN, "line": {"color": "white", "width": 1}},
                customdata=[_measured_hover(gpu, row, label) for gpu, row in of_pass],
                hovertemplate=f"%{{customdata}}<br>%{{x:.3~r}} {unit}<extra></extra>",
            )
    reached = [measured_rate(row) or 0.0 for _, row in rows]
    _scale(figure, [*(end for span in spans for end in span[2:]), *reached])
    _name_rows(figure, names, advice.question.gpu.name)
    return figure


def cost(advice: Advice, language: str = "en") -> Figure:
    """USD per million tokens by card, of the whole model or of attention, with the interval of the time estimate."""
    drawn = [(card, card.spend) for card in cards(advice) if card.spend is not None]
    figure = new_figure(cost_title(advice, language), say("plot.cost_axis", language), len(drawn))
    if not drawn:
        return empty_figure(figure, say("plot.cost_none", language))
    spans = [(card, spend.usd, spend.low, spend.high) for card, spend in drawn]
    _draw_spans(figure, spans, lambda card: _cost_hover(card, language), language)
    _scale(figure, [end for span in spans for end in span[2:]], prefix="$")
    asked = next((card.name for card, _ in drawn if card.asked), "")
    _name_rows(figure, [card.name for card, _ in drawn], asked)
    return figure


def cost_title(advice: Advice, language: str) -> str:
    """Whose cost is compared: the model's, or that of attention alone."""
    if advice.model is None:
        return say("plot.cost_title", language)
    return say("plot.cost_title_model", language, model=advice.model.whole.question.model.name)


def _draw_spans(
    figure: Figure,
    spans: Sequence[tuple[Card, float, float, float]],
    hover: Callable[[Card], str],
    language: str,
) -> None:
    """A line from low to high and a marker at the value, the asked card in a colour and shape of its own."""
    for asked, colour, symbol in ((True, VERMILLION, "diamond"), (False, BLUE, "circle")):
        mine = [span for span in spans if span[0].asked is asked]
        if not mine:
            continue
        figure.add_scatter(
            mode="lines+markers",
            marker={"symbol": "line-ns", "size": 11, "line": {"width": 2, "color": colour}},
            x=[end for _, _, low, high in mine for end in (low, high, None)],
            y=[name for card, *_ in mine for name in (card.name, card.name, None)],
            line={"color": colour, "width": 3},
            opacity=0.55,
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            mode="markers",
            name=say("plot.asked" if asked else "plot.other", language),
            x=[value for _, value, _, _ in mine],
            y=[card.name for card, *_ in mine],
            marker={"symbol": symbol, "size": 12 if asked else 9, "color": colour},
            customdata=[hover(card) for card, *_ in mine],
            hovertemplate="%{customdata}<extra></extra>",
        )


def _rate_hover(card: Card, task: str, language: str) -> str:
    assert card.estimate is not None
    found = rate(card.estimate, task)
    values = say(
        "plot.rate_hover",
        language,
        value=number(found.value),
        low=number(found.low),
        high=number(found.high),
        unit=found.unit,
        latency_ms=number(card.estimate.latency_ms),
        implementation=escape(card.estimate.implementation, quote=False),
        basis=say(f"report.basis_{card.estimate.basis}", language),
    )
    return f"<b>{escape(card.gpu.name, quote=False)}</b><br>{values}"


def _measured_hover(gpu: str, row: Measurement, label: str) -> str:
    what = escape(f"{row.implementation} {row.version or ''}", quote=False)
    return f"<b>{escape(gpu, quote=False)}</b> {what}<br>{label}"


def _cost_hover(card: Card, language: str) -> str:
    assert card.spend is not None
    found, price = card.spend, card.spend.price
    values = say(
        "plot.cost_hover",
        language,
        value=number(found.usd),
        low=number(found.low),
        high=number(found.high),
        usd_per_hour=number(price.usd_per_hour),
        provider=escape(price.provider, quote=False),
    )
    dated = (
        "" if price.as_of is None else say("plot.price_age", language, date=price.as_of, days=price.age_days)
    )
    return f"<b>{escape(card.name, quote=False)}</b><br>{values}<br>{dated}"


def new_figure(title: str, axis: str, rows: int, row_px: int = 30) -> Figure:
    """An empty figure whose height follows the number of rows."""
    from plotly.graph_objects import Figure, Layout

    return Figure(
        layout=Layout(
            template="plotly_white",
            height=max(260, 165 + row_px * rows),
            title={
                "text": title,
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"l": 8, "t": 12},
                "font": {"size": 16},
            },
            font={"family": FONT, "size": 13, "color": INK},
            margin={"l": 8, "r": 20, "t": 48, "b": 8},
            legend={
                "orientation": "h",
                "x": 0,
                "xref": "container",
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
            },
            xaxis={
                "title": {"text": axis, "standoff": 10},
                "gridcolor": GRID,
                "automargin": True,
                "zeroline": False,
            },
            yaxis={
                "autorange": "reversed",
                "automargin": True,
                "ticks": "outside",
                "ticklen": 8,
                "tickcolor": "rgba(0,0,0,0)",
                "gridcolor": GRID,
            },
            hoverlabel={"align": "left"},
        )
    )


def empty_figure(figure: Figure, sentence: str) -> Figure:
    """Say in the figure's place why there is nothing to draw."""
    figure.add_annotation(text=sentence, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(height=EMPTY_HEIGHT_PX)
    return figure


def _scale(figure: Figure, values: Iterable[float], prefix: str = "") -> None:
    """Linear from zero, or logarithmic with ticks at 1, 2 and 5 where the values are far apart."""
    known = [value for value in values if value > 0]
    if not known or max(known) < LOG_FROM_RATIO * min(known):
        figure.update_xaxes(rangemode="tozero", tickprefix=prefix, exponentformat="none")
        return
    decades = [10.0**power for power in range(-9, 10)]
    far = max(known) > 1000 * min(known)
    ticks = [step * decade for decade in decades for step in ((1,) if far else (1, 2, 5))]
    shown = [tick for tick in ticks if min(known) / 2 <= tick <= max(known) * 2]
    figure.update_xaxes(
        type="log",
        tickvals=shown,
        ticktext=[prefix + number(tick).removesuffix(".00").removesuffix(".0") for tick in shown],
    )


def _name_rows(figure: Figure, names: Sequence[str], asked: str) -> None:
    shown = ["<br>".join(wrap(escape(name, quote=False), LABEL_WIDTH)) for name in names]
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=list(names),
        tickvals=list(names),
        ticktext=[
            f"<b>{text}</b>" if name == asked else text for name, text in zip(names, shown, strict=True)
        ],
    )
