"""Tuned tiles: what is timed and written, with a false stopwatch; without a card nothing is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from l4guide_kernels import problem, tune
from l4guide_kernels.candidates import candidates

from l4guide.errors import CannotDo
from l4guide.measure import tuning
from l4guide.measure.tuning import Task, tasks, timed
from l4guide.text import LANGUAGES

STUB = """
import json
def say(kind, **event):
    print(json.dumps({"kind": kind, **event}), flush=True)
tile = {"block_m": 128, "block_n": 64, "warps": 8, "stages": 2}
say("started", gpu="L4", mode="gpu", key="tune.started", values={"gpu": "L4"})
for width in (128, 64):
    say("tile", tile={"kernel": "forward", "head_dim": width, "causal": True, "table": tile, "table_ms": 2.0,
        "tile": {**tile, "block_n": 32}, "ms": 1.5, "tried": 20, "times": []})
"""


def test_every_task_has_candidates() -> None:
    """Each kernel and width is one that has a table, the most used first."""
    wanted = list(tasks())
    assert ("forward", 128, True) == (wanted[0].kernel, wanted[0].head_dim, wanted[0].causal)
    assert len(set(wanted)) == len(wanted)
    for task in wanted:
        assert candidates(task.kernel, head_dim=task.head_dim, dtype="bf16", arch=89)


def test_the_fastest_stands_beside_the_table_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """All candidates are timed on tensors of the task's kind; the last, which is made the fastest, wins."""
    task = Task(kernel="forward", head_dim=64, causal=True)
    monkeypatch.setattr(tuning, "LENGTH", 16)
    monkeypatch.setattr(tuning, "TOKENS", 32)
    for module in (problem, tune):
        monkeypatch.setattr(module, "device_arch", lambda _: 89)
    choice = candidates("forward", head_dim=64, dtype="bf16", arch=89)
    left = iter(range(len(choice), 0, -1))

    def measure(call: Callable[[], object]) -> float:
        assert callable(call)
        return float(next(left))

    found = timed(task, "cpu", measure)
    assert (len(choice), float(len(choice)), 1.0) == (found["tried"], found["table_ms"], found["ms"])
    assert (choice[0].block_m, choice[-1].block_m) == (found["table"]["block_m"], found["tile"]["block_m"])
    assert (2, 16, 32, 89) == (found["batch"], found["seqlen_q"], found["heads"], found["arch"])
    assert sorted(found["times"], key=lambda one: one["ms"]) == found["times"]
    q, k, _ = Task(kernel="decode", head_dim=16, causal=False).tensors("meta")
    assert (torch.Size([16, 1, 32, 16]), torch.Size([16, 8192, 8, 16])) == (q.shape, k.shape)


def test_what_was_found_before_a_fault_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is there with the first kernel; a worker that dies then leaves it whole but not complete."""
    (tmp_path / "stub_tune.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tuning, "card_named", lambda _: None)
    sizes: list[int] = []

    def look(event: dict[str, object]) -> None:
        if event["kind"] == "tile":
            sizes.append(len(json.loads((tmp_path / "tiles.json").read_text())["tiles"]))

    tuned = tuning.tune(tmp_path / "tiles.json", look, module="stub_tune")
    assert ([1, 2], False, "L4") == (sizes, tuned.complete, tuned.gpu)
    assert json.loads(json.dumps(tuned.to_json())) == json.loads((tmp_path / "tiles.json").read_text())
    for language in LANGUAGES:
        assert "128×32 w8 s2 1.5" in tuned.say(language)


def test_without_a_gpu_nothing_is_tuned(tmp_path: Path) -> None:
    """The interpreter has no times: the reason is said, and no file is left."""
    with pytest.raises(CannotDo, match="on a GPU"):
        tuning.tune(tmp_path / "tiles.json")
    assert [] == list(tmp_path.iterdir())
