"""The scoreboard as a figure, as tables and in words."""

import pytest

from l4guide import plots
from l4guide.estimate.scoreboard import freedoms, peers, scores


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("phase", ["prefill", "decode", "encoder"])
def test_the_figure_shows_every_card_left_out(phase: str, language: str) -> None:
    """One bar a card, as long as its median error, with a line to the ninetieth percentile."""
    figure = plots.score_figure(phase, language)
    drawn = dict(
        zip(figure.data[0].y, zip(figure.data[0].x, figure.data[0].error_x.array, strict=True), strict=True)
    )
    cards = [score for score in scores() if (score.part, score.phase) == ("card", phase)]
    assert {score.gpu for score in cards} == set(drawn)
    for score in cards:
        assert (score.median, pytest.approx(score.p90 - score.median)) == drawn[score.gpu]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_words_name_every_card(language: str) -> None:
    """What the figure shows can be read out."""
    text = plots.score_alt("prefill", language)
    assert all(s.gpu in text for s in scores() if (s.part, s.phase) == ("card", "prefill"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_tables_have_every_row(language: str) -> None:
    """All scores of the parts asked for, all formulas, no formula's text taken for markup."""
    cards = plots.score_table(("card",), language)
    assert 1 + sum(score.part == "card" for score in scores()) == cards.count("<tr>")
    formulas = plots.peer_table(language)
    assert 1 + len(peers()) == formulas.count("<tr>")
    assert "kv&gt;2xL2" in formulas
    assert 1 + 2 * 5 == plots.clock_table(language=language).count("<tr>")
    assert 1 + len(freedoms()) == plots.freedom_table(language).count("<tr>")
