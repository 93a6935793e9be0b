"""The scoreboard: what was promised, what was reached, and where others do better."""

import pytest

from l4guide.errors import BadInput
from l4guide.estimate.score import main
from l4guide.estimate.scoreboard import PARTS, VERDICTS, peers, scores
from l4guide.text import say


def test_the_promises_are_kept_or_the_row_tells() -> None:
    """Every median with a goal reaches it: prompts, steps from memory, plain calls, unseen head dimensions."""
    missed = [score for score in scores() if score.goal is not None and score.median > score.goal]
    assert [] == missed
    assert {"A100-80GB-SXM", "L40S", "H100 SXM", "H200 SXM", "RTX PRO 6000 Blackwell Server"} == {
        score.gpu for score in scores() if score.part == "card" and score.goal is not None
    }


def test_intervals_hold_what_they_say_on_every_card() -> None:
    """Prompts of each card left out: 65 to 95 %, and 75 to 88 % on average; 72 to 96 % after a dozen runs."""
    cards = {s.gpu: s.coverage for s in scores() if (s.part, s.phase) == ("card", "prefill")}
    found = [coverage for coverage in cards.values() if coverage is not None]
    assert 5 == len(found)
    assert all(65 <= coverage <= 95 for coverage in found)
    assert 75 <= sum(found) / len(found) <= 88
    live = [score.coverage for score in scores() if score.part == "live"]
    assert live
    assert all(coverage is not None and 72 <= coverage <= 96 for coverage in live)


def test_rows_are_complete() -> None:
    """Known parts, errors in order, and no card scored without rows."""
    for score in scores():
        assert score.part in PARTS
        assert 0 <= score.median <= score.p90
        assert abs(score.bias) <= score.p90
        assert score.rows > 0
        assert (score.part in ("head_dim", "unseen")) == (score.head_dim is not None)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_formula_is_compared_and_each_defeat_has_its_reason(language: str) -> None:
    """Better, worse with the reason, or not scored with the reason."""
    assert 100 < len(peers())
    for peer in peers():
        assert peer.verdict in VERDICTS
        if peer.verdict != "better":
            assert len(say(peer.reason, language)) > 10
        if peer.times_smaller is not None:
            assert (peer.verdict == "better") == (peer.times_smaller > 1)


def test_without_a_folder_it_says_that_it_needs_one() -> None:
    """`make score` without DATA is one line and no traceback."""
    with pytest.raises(BadInput, match="make score DATA=FOLDER"):
        main([])
