"""The figure of a break-even map, and the same in words."""

from itertools import pairwise

import pytest

from l4guide.advise import break_even
from l4guide.cost import BreakEven
from l4guide.plots import breakeven_alt, breakeven_figure


@pytest.fixture(scope="module")
def found() -> BreakEven:
    """A small map of a model's decode."""
    return break_even("L4", {"model": "Llama-3.1-8B", "task": "decode"}, cells=10)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_figure_says_every_winner_in_words(found: BreakEven, language: str) -> None:
    """Each winner stands in the legend and in the text, and the hatch has a name of its own."""
    figure = breakeven_figure(found, language)
    names = [trace.name for trace in figure.data if trace.name]
    for offer in found.winners:
        assert any(offer.gpu.name in name for name in names)
        assert offer.gpu.name in breakeven_alt(found, language)
    hatch = next(t for t in figure.data if t.type == "scatter" and t.marker.symbol == "line-ne-open")
    assert len(hatch.x) <= found.uncertain.sum()


def test_a_map_without_cards_is_a_sentence() -> None:
    """Where no priced card holds the model there is no empty grid but a line that says so."""
    nothing = break_even("L4", {"model": "Kimi-K2-Thinking", "task": "training"}, cells=4)
    assert breakeven_figure(nothing).layout.annotations[0].text in breakeven_alt(nothing)


def test_hovering_names_card_and_price(found: BreakEven) -> None:
    """Every cell says batch, context and what wins it at which price."""
    cells = breakeven_figure(found).data[0].customdata
    assert (len(found.batches), len(found.across)) == (len(cells), len(cells[0]))
    assert found.offers[found.winner[0, 0]].gpu.name in cells[0][0]
    assert "$" in cells[0][0]


def test_numbers_beside_an_axis_do_not_lie_on_one_another() -> None:
    """Small batches follow one another without a gap: a number too near the last is left out."""
    cells = 40
    whole = break_even("L4", {"model": "Llama-3.1-8B", "task": "decode"}, cells=cells)
    axis = breakeven_figure(whole).layout.yaxis
    assert {"1", "64", "256"} <= set(axis.ticktext)
    gaps = [after - before for before, after in pairwise(axis.tickvals)]
    assert min(gaps) >= cells / 16
