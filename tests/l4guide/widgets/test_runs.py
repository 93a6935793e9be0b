"""A run on the user's card puts the estimates right in front of the user, who can undo it."""

from collections.abc import Callable

import pytest

from l4guide.measure.measurement import Record
from l4guide.widgets.live import LivePanel
from l4guide.widgets.page import Guide
from l4guide.widgets.runs import RunsPanel

Recorded = Callable[..., Record]


@pytest.fixture
def asked(guide: Guide) -> Guide:
    """A guide that was asked about a whole model."""
    guide.state.seqlen, guide.state.task, guide.state.model = "8192", "prefill", "Llama-3.1-8B"
    return guide


def test_a_run_changes_estimate_cost_and_map_and_is_undone(asked: Guide, recorded: Recorded) -> None:
    """Times, dollars and the map follow the run and say so; one button leaves it out, and takes it back."""
    state, panel = asked.state, asked.live.runs
    asked.break_even.draw.click()
    before, map_before = state.advice, state.break_even
    state.keep(recorded(factor=2.5))
    after = state.advice
    assert before.estimate.high_ms < after.estimate.latency_ms
    ends = [advice.model.whole.usd_per_million_tokens.value.item() for advice in (before, after)]
    assert ends[0] < ends[1]
    assert (6, 6) == (after.estimate.runs, after.model.whole.step.runs)
    assert "calibrated with 6 measurements on this GPU" in panel.told.view.value
    assert "calibrated on this GPU" in asked.verdict.answer.view.value
    assert ((), ("L4",)) == (map_before.put_right, state.break_even.put_right)
    panel.undo.click()
    assert before.estimate == state.advice.estimate
    assert "ignored" in panel.told.view.value
    panel.undo.click()
    assert after.estimate == state.advice.estimate
    assert state.error is None


def test_the_interpreter_puts_nothing_right(asked: Guide, recorded: Recorded) -> None:
    """Its rows are shown as results, and no estimate moves."""
    before = asked.state.advice
    asked.state.keep(recorded(basis="interpreter"))
    assert (before, ()) == (asked.state.advice, asked.state.records)
    assert "none" == asked.live.runs.undo.layout.display


def test_runs_add_up_over_a_session(asked: Guide, recorded: Recorded) -> None:
    """Too few say how many more; the next ones count together with them."""
    told = asked.live.runs.told
    asked.state.keep(recorded(lengths=(512,)))
    assert "With 3 more" in told.view.value
    asked.state.keep(recorded(lengths=(1024, 2048, 4096)))
    assert "calibrated with 4 measurements" in told.view.value
    asked.state.language = "zh"
    assert "4 次" in told.view.value


def test_only_a_card_can_be_measured(guide: Guide) -> None:
    """The button starts the short benchmark where a GPU is attached, and is not there otherwise."""
    assert "none" == guide.live.runs.measure.layout.display
    started: list[str] = []
    panel = RunsPanel(guide.state, ["NVIDIA L4"], lambda: started.append("quick"))
    assert (None, True) == (panel.measure.layout.display, "NVIDIA L4" in panel.measure.description)
    panel.measure.click()
    assert ["quick"] == started
    assert isinstance(guide.live, LivePanel)
