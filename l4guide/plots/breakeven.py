"""A break-even map: the cheapest card by colour and name, hatched where another may be as cheap."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from l4guide.cost import BreakEven, Offer
from l4guide.plots.draw import BLUE, GREEN, INK, PINK, VERMILLION, empty_figure, new_figure
from l4guide.plots.rows import number
from l4guide.text import digits, say

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: Names stand on these in ink on a pale ground, so that no colour carries a meaning alone.
COLOURS = ("#56B4E9", "#E69F00", GREEN, "#F0E442", PINK, VERMILLION, BLUE)
#: Winners beyond the colours share this one; hovering names them.
OTHERS_COLOUR = "#b8b8b8"
HEIGHT_PX = 460
#: A name is written where a card wins at least this share of the map.
NAMED_SHARE = 0.06
#: Every so many columns and rows of uncertain cells get a stroke.
HATCH_STEP = 2
#: Numbers beside an axis.
MOST_TICKS = 16


def breakeven_figure(found: BreakEven, language: str = "en") -> Figure:
    """The map; an empty figure with a sentence where no card holds anything."""
    title = say(f"breakeven.title_{found.axis}", language)
    if found.put_right:
        title += "<br>" + say(
            "breakeven.put_right", language, gpus=escape(", ".join(found.put_right), quote=False)
        )
    figure = new_figure(title, say(f"breakeven.axis_{found.axis}", language), 0)
    if not found.winners:
        return empty_figure(figure, say("breakeven.nobody", language))
    figure.update_layout(height=HEIGHT_PX)
    shown = found.winners
    order = {found.offers.index(offer): place for place, offer in enumerate(shown)}
    _draw_cells(figure, found, order, language)
    _draw_hatch(figure, found, language)
    for place, offer in enumerate(shown):
        _name(figure, found, offer)
        _draw_key(figure, offer, place)
    _axes(figure, found, language)
    return figure


def _draw_cells(figure: Figure, found: BreakEven, order: dict[int, int], language: str) -> None:
    count = max(len(order), 2)
    places = [[order.get(int(cell)) for cell in row] for row in found.winner]
    steps = [[index / count, _colour(place)] for place in range(count) for index in (place, place + 1)]
    figure.add_heatmap(
        z=places,
        zmin=-0.5,
        zmax=count - 0.5,
        colorscale=steps,
        showscale=False,
        xgap=0,
        ygap=0,
        customdata=_hover(found, language),
        hovertemplate="%{customdata}<extra></extra>",
    )


def _colour(place: int) -> str:
    return COLOURS[place] if place < len(COLOURS) else OTHERS_COLOUR


def _draw_key(figure: Figure, offer: Offer, place: int) -> None:
    """The card's colour and name in the legend."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        name=_title(offer),
        marker={"symbol": "square", "size": 12, "color": _colour(place)},
    )


def _title(offer: Offer) -> str:
    cards = "" if offer.cards == 1 else f"{offer.cards} × "
    return cards + escape(offer.gpu.name, quote=False)


def _hover(found: BreakEven, language: str) -> list[list[str]]:
    def cell(row: int, column: int) -> str:
        place = (
            f"{say('breakeven.axis_batch', language)} {found.batches[row]}, "
            f"{say(f'breakeven.axis_{found.axis}', language)} {number(int(found.across[column]))}<br>"
        )
        winner = int(found.winner[row, column])
        if winner < 0:
            return place + say("breakeven.hover_nobody", language)
        offer, usd = found.offers[winner], found.usd
        ends = {name: digits(float(getattr(usd, name)[row, column])) for name in ("low", "high")}
        values = {"gpu": escape(offer.gpu.name, quote=False), "cards": offer.cards, **ends}
        text = say("breakeven.hover", language, usd=digits(float(usd.value[row, column])), **values)
        return (
            place
            + text
            + (f"<br>{say('breakeven.uncertain_name', language)}" if found.uncertain[row, column] else "")
        )

    return [[cell(row, column) for column in range(len(found.across))] for row in range(len(found.batches))]


def _draw_hatch(figure: Figure, found: BreakEven, language: str) -> None:
    rows, columns = np.nonzero(found.uncertain)
    kept = (rows + columns) % HATCH_STEP == 0
    figure.add_scatter(
        x=columns[kept].tolist(),
        y=rows[kept].tolist(),
        mode="markers",
        name=say("breakeven.uncertain_name", language),
        marker={"symbol": "line-ne-open", "size": 9, "color": INK, "opacity": 0.5},
        hoverinfo="skip",
        showlegend=True,
    )


def _name(figure: Figure, found: BreakEven, offer: Offer) -> None:
    """The card's name in the middle of what it wins."""
    rows, columns = np.nonzero(found.winner == found.offers.index(offer))
    if len(rows) < NAMED_SHARE * found.winner.size:
        return
    middle = np.argmin((rows - np.median(rows)) ** 2 + (columns - np.median(columns)) ** 2)
    figure.add_annotation(
        x=int(columns[middle]),
        y=int(rows[middle]),
        text=f"<b>{_title(offer)}</b>",
        showarrow=False,
        font={"size": 12, "color": INK},
        bgcolor="rgba(255,255,255,0.82)",
        borderpad=2,
    )


def _axes(figure: Figure, found: BreakEven, language: str) -> None:
    figure.update_xaxes(**_ticks(found.across.tolist(), powers=found.axis == "context"), showgrid=False)
    figure.update_yaxes(
        **_ticks(found.batches.tolist(), powers=True),
        title={"text": say("breakeven.axis_batch", language)},
        autorange=True,
        showgrid=False,
    )


def _ticks(values: list[int], *, powers: bool) -> dict[str, list[object]]:
    """Where to write numbers beside cells: at the powers of two, or at every value."""
    if not powers:
        chosen = list(range(len(values)))
        return {"tickvals": list(chosen), "ticktext": [str(values[index]) for index in chosen]}
    wanted = [2**power for power in range(31) if values[0] <= 2**power <= values[-1]]
    places = np.interp(np.log(wanted), np.log(values), range(len(values)))
    labels = [f"{value // 1024}K" if value >= 1024 else str(value) for value in wanted]
    apart = len(values) / MOST_TICKS
    kept = [0]
    for index, place in enumerate(places):
        # Small batches follow one another without a gap: their numbers would lie on one another.
        if place - places[kept[-1]] >= apart:
            kept.append(index)
    return {"tickvals": places[kept].tolist(), "ticktext": [labels[index] for index in kept]}


def breakeven_alt(found: BreakEven, language: str = "en") -> str:
    """The map in words."""
    rows = " ".join(line.say(language) for line in found.lines())
    return say("breakeven.alt", language, rows=rows)
