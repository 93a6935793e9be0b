"""The frontier of a plan, and the same in words."""

import pytest

from l4guide.advise.plan import plan_answer
from l4guide.plan import PlanAnswer
from l4guide.plots import frontier_alt, frontier_figure
from l4guide.plots.frontier import drawn_cards


@pytest.fixture(scope="module")
def answer() -> PlanAnswer:
    """A plan with a target."""
    return plan_answer("L4", {"model": "Llama-3.1-8B", "users": "20", "tpot_ms": "150"})


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_line_has_a_name_a_band_and_a_mark(answer: PlanAnswer, language: str) -> None:
    """One line a card, told apart by more than colour; the asked one among them; its words name each card."""
    figure = frontier_figure(answer, language)
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.name]
    cards = drawn_cards(answer)
    assert [card.gpu.name for card in cards] == [line.name.split(" × ")[-1] for line in lines]
    assert "L4" in [card.gpu.name for card in cards]
    assert len(lines) == len({line.line.dash for line in lines})
    assert len(lines) == len([trace for trace in figure.data if trace.fill == "toself"])
    assert len(lines) == len(next(trace for trace in figure.data if trace.mode == "markers").x)
    assert all(card.gpu.name in frontier_alt(answer, language) for card in cards)


def test_lines_fall(answer: PlanAnswer) -> None:
    """With more requests a dollar buys more and each request gets less."""
    for line in (trace for trace in frontier_figure(answer).data if trace.mode == "lines" and trace.name):
        assert list(line.x) == sorted(line.x, reverse=True)
        assert list(line.y) == sorted(line.y)
        assert len(line.customdata) == len(line.x)


def test_nothing_to_draw_is_a_sentence() -> None:
    """Where no card that serves has a price there is a line that says so."""
    nothing = plan_answer("L4", {"model": "Kimi-K2-Thinking", "weights": "fp32"})
    assert frontier_figure(nothing).layout.annotations[0].text in frontier_alt(nothing)
