"""A run ends with one last event, whatever its worker does, and keeps what was finished."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from l4guide.errors import CannotDo
from l4guide.measure.run import Event, Run, direct_post, kernel_post

PREAMBLE = """
import json, os, signal, subprocess, sys, time
def say(**event):
    print(json.dumps(event), flush=True)
def row(n):
    say(kind="row", row={"number": n})
def started():
    say(kind="started", pid=os.getpid())
"""
WAIT_S = 30.0

MakeRun = Callable[..., tuple[Run, list[Event]]]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Makes a run whose worker executes the given lines, and the list of events it hands over."""

    def make(body: str, **options: Any) -> tuple[Run, list[Event]]:
        (tmp_path / "stub_worker.py").write_text(PREAMBLE + textwrap.dedent(body), encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        events: list[Event] = []
        return Run(events.append, module="stub_worker", **options), events

    return make


def kinds(events: list[Event]) -> list[str]:
    """The kinds of the events, in order."""
    return [event["kind"] for event in events]


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, for at most half a minute."""
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether no such process is left, not even a zombie."""
    return not Path(f"/proc/{pid}").exists()


def test_events_rows_and_limits_arrive_in_order(worker: MakeRun) -> None:
    """Rows and limits are kept as they come, and the last event says how many rows there are."""
    run, events = worker(
        """
        started(); row(1); say(kind="limit", limit={"fits": False}); row(2); say(kind="finished", key="k")
        """
    )
    run.start({})
    assert run.join(WAIT_S)
    assert ["started", "row", "limit", "row", "finished"] == kinds(events)
    assert ([{"number": 1}, {"number": 2}], [{"fits": False}]) == (run.rows, run.limits)
    assert {"kind": "finished", "key": "k", "rows_kept": 2} == run.last
    assert not run.running
    assert gone(events[0]["pid"])


def test_request_reaches_the_worker(worker: MakeRun) -> None:
    """The worker reads its request as JSON after --json."""
    run, events = worker("say(kind='finished', got=json.loads(sys.argv[sys.argv.index('--json') + 1]))")
    run.start({"kind": "live", "text": "中文"})
    assert run.join(WAIT_S)
    assert {"kind": "live", "text": "中文"} == events[-1]["got"]


def test_cancel_half_way_keeps_rows(worker: MakeRun) -> None:
    """A stopped run keeps its rows, ends as cancelled, and leaves no process behind."""
    run, events = worker("started(); row(1); time.sleep(600)")
    run.start({})
    wait_for(lambda: run.rows)
    run.cancel()
    assert run.join(WAIT_S)
    assert ("cancelled", [{"number": 1}]) == (events[-1]["kind"], run.rows)
    assert gone(events[0]["pid"])


@pytest.mark.slow
def test_cancel_kills_a_worker_that_ignores_it_and_its_children(worker: MakeRun) -> None:
    """A worker deaf to the polite signal is killed, with the child it started."""
    run, events = worker(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "600"])
        say(kind="progress", pid=os.getpid(), child=child.pid)
        time.sleep(600)
        """
    )
    run.start({})
    wait_for(lambda: events)
    run.cancel()
    assert run.join(WAIT_S)
    assert "cancelled" == events[-1]["kind"]
    wait_for(lambda: gone(events[0]["pid"]) and gone(events[0]["child"]))


def test_crash_is_an_error_with_what_the_worker_wrote(worker: MakeRun) -> None:
    """A worker that dies by a signal gives an error naming it, with its stderr, and keeps the rows."""
    run, events = worker("row(1); print('last words', file=sys.stderr); os.kill(os.getpid(), signal.SIGSEGV)")
    run.start({})
    assert run.join(WAIT_S)
    last = events[-1]
    assert ("error", "measure.worker_killed", "SIGSEGV") == (
        last["kind"],
        last["key"],
        last["values"]["signal"],
    )
    assert "last words" in last["detail"]
    assert [{"number": 1}] == run.rows


def test_exit_without_a_word_is_an_error(worker: MakeRun) -> None:
    """A worker that exits before its last event gives an error with its exit code and its stderr."""
    run, events = worker("row(1); raise RuntimeError('broken')")
    run.start({})
    assert run.join(WAIT_S)
    assert ("measure.worker_failed", 1) == (events[-1]["key"], events[-1]["values"]["code"])
    assert "RuntimeError: broken" in events[-1]["detail"]


@pytest.mark.slow
def test_deadline_ends_the_run(worker: MakeRun) -> None:
    """A run past its deadline ends as an error that says so, and keeps its rows."""
    run, events = worker("started(); row(1); time.sleep(600)", deadline_s=6.0)
    run.start({})
    assert run.join(WAIT_S)
    assert ("error", "measure.deadline_passed") == (events[-1]["kind"], events[-1]["key"])
    assert [{"number": 1}] == run.rows
    assert gone(events[0]["pid"])


def test_noise_on_stdout_is_no_event(worker: MakeRun) -> None:
    """Lines that are not events (text, bare JSON, broken bytes) are passed over."""
    run, events = worker(
        r"""
        print("warming up"); print("[1, 2]"); print('{"no": "kind"}')
        sys.stdout.buffer.write(b"\xff\xfe\n"); sys.stdout.flush()
        row(1); say(kind="finished")
        """
    )
    run.start({})
    assert run.join(WAIT_S)
    assert ["row", "finished"] == kinds(events)


def test_much_stderr_does_not_block(worker: MakeRun) -> None:
    """A worker that writes more to stderr than a pipe holds still finishes."""
    run, events = worker("sys.stderr.write('x\\n' * 300_000); say(kind='finished')")
    run.start({})
    assert run.join(WAIT_S)
    assert ["finished"] == kinds(events)


def test_second_start_waits_for_the_first(worker: MakeRun) -> None:
    """Starting while a run goes on is refused; after its end the same object starts the next."""
    run, events = worker("row(1); time.sleep(0 if 'fast' in sys.argv[-1] else 600); say(kind='finished')")
    run.start({})
    with pytest.raises(CannotDo, match="stop it"):
        run.start({})
    run.cancel()
    assert run.join(WAIT_S)
    run.start({"fast": True})
    assert run.join(WAIT_S)
    assert ["row", "finished"] == kinds(events)[-2:]
    assert [{"number": 1}] == run.rows


def test_listener_that_raises_leaves_no_process(worker: MakeRun) -> None:
    """An exception in the listener ends the worker and comes out of join."""
    pids: list[int] = []

    def listen(event: Event) -> None:
        pids.append(event.get("pid", 0))
        raise ValueError("listener's mistake")

    run, _ = worker("started(); time.sleep(600)")
    run.on_event = listen
    run.start({})
    with pytest.raises(ValueError, match="listener's mistake"):
        run.join(WAIT_S)
    assert gone(pids[0])


@pytest.mark.slow
def test_worker_ends_with_its_parent(tmp_path: Path) -> None:
    """A worker whose parent is killed ends by itself: its stdin closes."""
    (tmp_path / "parent.py").write_text(
        textwrap.dedent(
            """
            import os, sys
            from l4guide.measure.run import Run
            def listen(event):
                if event["kind"] == "started":
                    print(event["pid"], flush=True)
                    os._exit(9)
            run = Run(listen, module="stub_worker")
            run.start({})
            run.join(60)
            """
        ),
        encoding="utf-8",
    )
    (tmp_path / "stub_worker.py").write_text(
        PREAMBLE
        + "from l4guide.measure.worker import tether\n"
        + "tether(sys.stdin.fileno())\nstarted()\ntime.sleep(600)\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    parent = subprocess.run(
        [sys.executable, str(tmp_path / "parent.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 9 == parent.returncode, parent.stderr
    wait_for(lambda: gone(int(parent.stdout)))


def test_kernel_post_hands_calls_to_the_loop() -> None:
    """Inside an event loop calls run on its thread; outside they run at once."""
    import asyncio

    threads: list[threading.Thread] = []

    async def main() -> None:
        post, done = kernel_post(), asyncio.Event()

        def listen() -> None:
            threads.append(threading.current_thread())
            done.set()

        threading.Thread(target=post, args=(listen,)).start()
        await asyncio.wait_for(done.wait(), WAIT_S)

    asyncio.run(main())
    assert [threading.main_thread()] == threads
    assert direct_post is kernel_post()
