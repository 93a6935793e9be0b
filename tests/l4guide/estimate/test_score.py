"""The scoreboard: what was promised, what was reached, and where others do better."""

import pytest

from l4guide.errors import BadInput
from l4guide.estimate.calibration import calibration
from l4guide.estimate.score import main
from l4guide.estimate.scoreboard import PARTS, VERDICTS, freedoms, peers, scores
from l4guide.text import say

#: Cards of three generations, datacenter and workstation, each of which the fit can do without.
LEFT_OUT = {"A100-80GB-SXM", "H100 SXM", "H200 SXM", "L40S", "RTX PRO 6000 Blackwell Server"}


def test_the_promises_are_kept_or_the_row_tells() -> None:
    """Every median with a goal reaches it: prompts (with their 90th percentile), steps, plain calls, unseen widths."""
    missed = [score for score in scores() if score.goal is not None and score.median > score.goal]
    assert [] == missed
    for score in scores():
        if score.part in ("card", "kernel") and score.phase == "prefill" and score.kernel in ("all", "flash"):
            assert score.p90 <= (16 if score.kernel == "flash" else 25)
    assert {"A100-80GB-SXM", "L40S", "H100 SXM", "H200 SXM", "RTX PRO 6000 Blackwell Server"} == {
        score.gpu for score in scores() if score.part == "card" and score.goal is not None
    }


def coverage(part: str, *phases: str) -> dict[str, float]:
    """Per cent of all rows of each card that their interval holds."""
    held: dict[str, float] = {}
    rows: dict[str, int] = {}
    for score in scores():
        if score.part == part and score.phase in phases and score.coverage is not None:
            held[score.gpu] = held.get(score.gpu, 0) + score.rows * score.coverage
            rows[score.gpu] = rows.get(score.gpu, 0) + score.rows
    return {gpu: held[gpu] / rows[gpu] for gpu in held}


def test_intervals_hold_what_they_say_on_every_card() -> None:
    """Each card left out: 65 to 95 % of its rows, 75 to 88 % on average, and so for prompts alone and for steps."""
    steps = ("decode", "decode-fp8")
    for phases in (("prefill",), steps, ("encoder",), ("prefill", *steps, "encoder")):
        found = coverage("card", *phases)
        assert 65 <= min(found.values())
        assert 75 <= sum(found.values()) / len(found) <= 88
    for phases in (("prefill",), ("prefill", *steps, "encoder")):
        assert set(coverage("card", *phases)) >= LEFT_OUT
        assert max(coverage("card", *phases).values()) <= 95


def test_a_dozen_runs_make_every_interval_right() -> None:
    """72 to 92 % of the other rows, of each card and of each kernel on it."""
    found = coverage("live", "prefill", "decode")
    assert set(found) >= LEFT_OUT
    assert all(72 <= held <= 92 for held in found.values())
    assert all(72 <= score.coverage <= 92 for score in scores() if score.part == "live" and score.coverage)


def test_the_priors_decide_little() -> None:
    """With every prior twice as wide the median error of a card moves by half a point at most."""
    told = {(score.gpu, score.kernel): score.median for score in scores() if score.part == "priors"}
    for score in scores():
        if score.part == "card" and score.phase == "prefill":
            assert told[score.gpu, score.kernel] == pytest.approx(score.median, abs=0.5)


def test_few_coefficients_are_free() -> None:
    """Sixteen for a kernel at most, and its rows settle no more than half of them: the rest is physics."""
    assert len(calibration().fits) == len(freedoms())
    for fit in freedoms():
        assert 0 <= fit.settled <= fit.free / 2
        assert fit.free <= 16


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
    assert {peer.gpu for peer in peers()} >= LEFT_OUT
    assert {"prefill", "decode"} <= {peer.phase for peer in peers()}
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
