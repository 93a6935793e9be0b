"""The benchmark from outside: whatever its workers do, what was found is kept and what was not is named."""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from l4guide.errors import CannotDo
from l4guide.measure import benchmark, survey
from l4guide.measure.measurement import Record, read
from l4guide.measure.run import Event

PREAMBLE = """
import json, os, signal, sys, time
request = json.loads(sys.argv[sys.argv.index("--json") + 1])
ROW = {
    "version": "1", "basis": "gpu", "task": "decode", "attention_pass": "forward", "batch": 1, "seqlen_q": 1,
    "seqlen_kv": 9, "heads": 1, "kv_heads": 1, "head_dim": 64, "dtype": "bf16", "causal": True, "reason": None,
}
WORKS = ("pace: copy", "a", "b", "c")
IDENTITY = {"gpu": "L4", "driver": os.environ["DRIVER"]}
def say(kind, **event):
    print(json.dumps({"kind": kind, **event}), flush=True)
def row(name, status, **more):
    return {**ROW, "implementation": name, "status": status, **more}
def rows_of(name):
    return None if name.startswith("pace") else row(name, "not_reached")
def begin(name):
    say("progress", work=name, key="measure.at_work", values={"at": 1, "total": 4, "work": name})
def finish(name):
    if name.startswith("pace"):
        say("pace", pace={"what": "copy", "on": "1 GiB", "stretch": "sustained", "seconds": 1, "rate": 200,
            "low": 190, "high": 210, "unit": "GB/s"})
    else:
        say("row", row=row(name, "ok", latency_ms=1.0, gb_per_s=100.0))
    say("done", work=name)
before = request["identity"]
if before not in (None, IDENTITY):
    differs = {"differs": f"driver {before['driver']} -> {IDENTITY['driver']}"}
    say("error", key="error.resume_differs", values=differs, detail="")
    sys.exit(1)
device = {"name": "NVIDIA L4", "capability": "8.9", "memory_bytes": 1, "l2_bytes": 2, "sm_count": 58}
say("started", gpu="L4", mode="gpu", key="measure.started_gpu", values={"gpu": "L4"})
say("plan", identity=IDENTITY, device=device, works=[{"work": w, "row": rows_of(w)} for w in WORKS])
"""
LAST = '\nsay("finished", key="measure.finished", values={"rows": 3})\n'

Bench = Callable[..., Record]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Runs a benchmark whose workers do the given lines for each `name` that is not done, then say that it is."""
    monkeypatch.setattr(survey, "card_named", lambda _: None)

    def run(lines: str = "", *, driver: str = "580", out: Path | None = None, **options: Any) -> Record:
        loop = "for name in [w for w in WORKS if w not in request['done']]:\n    begin(name)\n"
        body = loop + textwrap.indent(textwrap.dedent(lines), "    ") + "\n    finish(name)\n"
        (tmp_path / "stub_bench.py").write_text(PREAMBLE + body + LAST, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("DRIVER", driver)
        return benchmark(out or tmp_path / "l4.json", module="stub_bench", **options)

    return run


def told(record: Record) -> dict[str, str]:
    """The status of every row by implementation."""
    return {row.implementation: row.status for row in record.rows}


def test_a_whole_run_is_recorded(bench: Bench, tmp_path: Path) -> None:
    """Rows and ceilings arrive in the record, each row with its share of the run's ceilings; no journal is left."""
    record = bench()
    assert record == read(tmp_path / "l4.json")
    assert (True, "full", "L4", 58) == (record.complete, record.suite, record.gpu, record.sm_count)
    assert {"a": "ok", "b": "ok", "c": "ok"} == told(record)
    assert {0.5} == {row.copy_share for row in record.rows}
    assert not (tmp_path / "l4.jsonl").exists()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os._exit(7)", "code 7"),
        (
            'say("error", key="error.device_fault", values={"gpu": "L4", "reason": "illegal address"}, detail="");'
            "sys.exit(1)",
            "illegal address",
        ),
    ],
)
def test_a_fault_loses_its_row_alone(bench: Bench, fault: str, reason: str) -> None:
    """The worker is started again behind what it died of, which is a row that says why."""
    record = bench(f"if name == 'b': {fault}")
    assert {"a": "ok", "b": "failed", "c": "ok"} == told(record)
    assert record.complete
    assert [reason] == [reason for row in record.rows if row.reason and reason in row.reason]


@pytest.mark.slow
def test_a_kernel_that_hangs_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of work that does not answer is lost, the others are not."""
    monkeypatch.setattr(survey, "MOST_PIECE_S", 2.0)
    monkeypatch.setattr(survey, "LOOK_EVERY_S", 0.05)
    record = bench("if name == 'b': time.sleep(600)")
    assert {"a": "ok", "b": "failed", "c": "ok"} == told(record)
    assert "no answer within 2 s" in str(record.rows[1].reason)


def test_what_was_not_reached_is_named_and_gone_on_with(bench: Bench, tmp_path: Path) -> None:
    """A run that its worker ended for want of time is not complete; resumed, it does the rest and only that."""
    stop = "if name == 'b': say('finished', key='measure.budget_spent', values={}); sys.exit(0)"
    record = bench(stop)
    assert {"a": "ok", "b": "not_reached", "c": "not_reached"} == told(record)
    assert not record.complete
    events: list[Event] = []
    resumed = bench(on_event=events.append, resume=True)
    assert ["b", "c"] == [event["work"] for event in events if event["kind"] == "done"]
    assert ({"a": "ok", "b": "ok", "c": "ok"}, True) == (told(resumed), resumed.complete)
    assert 1 == len(resumed.paces)
    assert resumed == read(tmp_path / "l4.json")


def test_a_killed_run_is_gone_on_with(bench: Bench, tmp_path: Path) -> None:
    """What a process that died at a full stop had finished is in the journal, its torn last line apart."""

    def die(event: Event) -> None:
        if event["kind"] == "done" and event["work"] == "a":
            raise RuntimeError("full stop")

    with pytest.raises(RuntimeError, match="full stop"):
        bench(on_event=die)
    journal = tmp_path / "l4.jsonl"
    journal.write_text(journal.read_text() + '{"work": "b", "ro')
    assert {"a": "ok", "b": "ok", "c": "ok"} == told(bench(resume=True))


def test_another_machine_does_not_go_on(bench: Bench, tmp_path: Path) -> None:
    """A run is continued by what began it alone; what differs is named, and what there was stays."""
    bench("if name == 'b': say('finished', key='measure.budget_spent', values={}); sys.exit(0)")
    before = (tmp_path / "l4.json").read_text(), (tmp_path / "l4.jsonl").read_text()
    with pytest.raises(CannotDo, match="driver 580 -> 590"):
        bench(resume=True, driver="590")
    assert before == ((tmp_path / "l4.json").read_text(), (tmp_path / "l4.jsonl").read_text())


def test_there_must_be_something_to_resume(bench: Bench, tmp_path: Path) -> None:
    """Without a journal the way out is named, and nothing is started."""
    with pytest.raises(CannotDo, match="without --resume"):
        bench(resume=True)
    assert not (tmp_path / "stub_bench.json").exists()


def test_time_that_is_over_ends_the_restarts(bench: Bench) -> None:
    """Workers that die again and again do not outlive the budget; the rest is not reached."""
    moments = iter(range(0, 10**6, 400))
    record = bench("if name in 'abc': os._exit(1)", clock=lambda: float(next(moments)))
    assert "not_reached" in told(record).values()


def test_the_journal_grows_with_each_piece(bench: Bench, tmp_path: Path) -> None:
    """Every piece of work is on disk before the next one begins."""
    seen: list[int] = []

    def look(event: Event) -> None:
        if event["kind"] == "done":
            lines = (tmp_path / "l4.jsonl").read_text().splitlines()
            seen.append(len([json.loads(line) for line in lines]))

    bench(on_event=look)
    assert [2, 3, 4, 5] == seen
