"""The live run's panel: events become rows and sentences; whatever ends a run, what was finished stays."""

from collections.abc import Mapping
from typing import Any

import pytest

from l4guide.measure.run import Event, Run
from l4guide.widgets.live import LivePanel
from l4guide.widgets.page import Guide

ROW = {
    "implementation": "l4guide",
    "version": "0.1.0",
    "status": "ok",
    "basis": "interpreter",
    "task": "training",
    "attention_pass": "forward",
    "batch": 1,
    "seqlen_q": 16,
    "seqlen_kv": 16,
    "heads": 1,
    "kv_heads": 1,
    "head_dim": 32,
    "dtype": "bf16",
    "causal": True,
    "max_error": 0.001,
    "bound": 0.002,
}


class StandIn(Run):
    """A run with no process, whose events the test sends."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.requests: list[Mapping[str, Any]] = []
        self.cancelled = 0

    def start(self, request: Mapping[str, Any]) -> None:
        """Keep the request."""
        self.requests.append(request)

    def cancel(self) -> None:
        """Count."""
        self.cancelled += 1


@pytest.fixture
def run() -> StandIn:
    """The stand-in for the worker process."""
    return StandIn()


@pytest.fixture
def panel(guide: Guide, run: StandIn) -> LivePanel:
    """The panel on a machine without a GPU."""
    return LivePanel(guide.state, run=run)


def html_of(panel: LivePanel, css_class: str) -> str:
    """What one part of the panel shows."""
    (part,) = [child for child in panel.view.children if css_class in child._dom_classes]
    return str(part.value)


def test_the_question_on_the_screen_is_what_runs(panel: LivePanel, run: StandIn) -> None:
    """The request carries the card and the workload, and the buttons wait for its end."""
    panel.state.head_dim = "64"
    panel.start.click()
    (request,) = run.requests
    assert ("live", "L4", 64) == (request["kind"], request["gpu"], request["workload"]["head_dim"])
    assert (True, True, False) == (panel.start.disabled, panel.limit.disabled, panel.stop.disabled)
    assert panel.state.error is None


def test_rows_and_progress_appear_as_they_come(panel: LivePanel, run: StandIn) -> None:
    """A row is in the table, with its kind and no time, before the run has ended."""
    panel.start.click()
    run.on_event({"kind": "row", "row": ROW})
    run.on_event(
        {"kind": "progress", "done": 1, "total": 6, "key": "measure.limit_finished", "values": {"gpu": "L4"}}
    )
    assert "measured in the interpreter" in html_of(panel, "l4g-live-rows")
    assert "Latency" not in html_of(panel, "l4g-live-rows")
    assert 'role="status"' in html_of(panel, "l4g-live-progress")
    assert "L4" in html_of(panel, "l4g-live-progress")
    panel.state.language = "zh"
    assert "解释器" in html_of(panel, "l4g-live-rows")


@pytest.mark.parametrize(
    "last",
    [
        {"kind": "finished", "key": "measure.finished", "values": {"rows": 1}},
        {"kind": "cancelled", "key": "measure.cancelled", "values": {"rows": 1}},
        {
            "kind": "error",
            "key": "measure.worker_killed",
            "values": {"signal": "SIGSEGV", "rows": 1},
            "detail": "",
        },
    ],
)
def test_what_was_finished_stays_whatever_ends_the_run(panel: LivePanel, run: StandIn, last: Event) -> None:
    """After the end, a stop or a crash the rows stay, a sentence says which it was, and one may start again."""
    panel.start.click()
    run.on_event({"kind": "row", "row": ROW})
    run.on_event(last)
    assert (False, 1) == (panel.state.running, len(panel.state.rows))
    assert panel.state.progress.say() in html_of(panel, "l4g-live-progress")
    assert (False, True) == (panel.start.disabled, panel.stop.disabled)


def test_times_are_shown_where_they_were_measured(panel: LivePanel, run: StandIn) -> None:
    """On a GPU a row has its latency with spread and its rate."""
    timed = {
        "latency_ms": 1.25,
        "low_ms": 1.2,
        "high_ms": 1.4,
        "tflops": 31.5,
        "gb_per_s": 10.0,
        "basis": "gpu",
    }
    run.on_event({"kind": "row", "row": {**ROW, **timed}})
    html = html_of(panel, "l4g-live-rows")
    for part in ("1.250", "1.200–1.400", "31.5 TFLOP/s", "measured on the GPU"):
        assert part in html.replace('<span class="l4g-soft">', "")


def test_the_limit_shows_the_compilers_own_words_escaped(panel: LivePanel, run: StandIn) -> None:
    """The tile, both byte counts and the text are in the table."""
    limit = {
        "kernel": "backward-dkdv",
        "block_m": 128,
        "block_n": 128,
        "warps": 8,
        "stages": 2,
        "required_bytes": 163_840,
        "limit_bytes": 101_376,
        "fits": False,
        "key": "measure.limit_exceeded",
        "values": {
            "block_m": 128,
            "block_n": 128,
            "stages": 2,
            "gpu": "L4",
            "required_bytes": 163_840,
            "limit_bytes": 101_376,
        },
        "basis": "compiled",
        "text": "out of resource: <shared memory>",
    }
    panel.limit.click()
    assert "limit" == run.requests[0]["kind"]
    run.on_event({"kind": "limit", "limit": limit})
    html = html_of(panel, "l4g-live-limits")
    for part in ("128×128", "163,840", "101,376", "&lt;shared memory&gt;", "too large", "compiled"):
        assert part in html


def test_stop_asks_the_run_to_end(panel: LivePanel, run: StandIn) -> None:
    """The button reaches the process."""
    panel.start.click()
    panel.stop.click()
    assert 1 == run.cancelled


def test_a_real_run_ends_with_rows_or_a_sentence(guide: Guide) -> None:
    """A worker that dies at once leaves a sentence and a panel that can start again."""
    panel = LivePanel(guide.state, run=Run(lambda _: None, module="l4guide.no_such_module"))
    panel.start.click()
    assert panel.run.join(30)
    assert (False, "measure.worker_failed") == (guide.state.running, guide.state.progress.key)
    assert guide.state.error is None
