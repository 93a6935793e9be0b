"""The worker end to end, as a process of its own, on a machine without a GPU."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from l4guide.errors import CannotDo
from l4guide.measure import benchmark
from l4guide.measure.measurement import read, row_from_json
from l4guide.measure.run import Event, Run
from l4guide.text import LANGUAGES, say

pytestmark = pytest.mark.slow

WAIT_S = 240.0
TIMES = ("ms", "tflops", "gb_per_s", "clock", "power", "temperature")


def answer(request: dict[str, Any]) -> list[Event]:
    """All events of one request."""
    events: list[Event] = []
    run = Run(events.append, deadline_s=WAIT_S)
    run.start(request)
    assert run.join(WAIT_S)
    return events


def spoken(event: Event) -> list[str]:
    """The sentence of an event in every language; its placeholders are all filled."""
    return [say(event["key"], language, **event["values"]) for language in LANGUAGES]


def test_live_streams_progress_and_correct_rows() -> None:
    """Decode in the interpreter: steps counted up, every row right and without a time, a closing sentence."""
    workload = {"task": "decode", "head_dim": 40, "heads": 4, "kv_heads": 2, "dtype": "bf16"}
    events = answer({"kind": "live", "workload": workload, "gpu": "A10G"})
    started, *middle, finished = events
    assert ("started", "interpreter", "A10G", 86) == (
        *(started["kind"], started["mode"], started["gpu"], started["arch"]),
    )
    steps = [event["done"] for event in middle if event["kind"] == "progress"]
    rows = [row_from_json(event["row"]) for event in middle if event["kind"] == "row"]
    assert list(range(started["total"])) == steps
    assert {("ok", 40, "bf16", "interpreter")} == {(r.status, r.head_dim, r.dtype, r.basis) for r in rows}
    keys = {key for event in middle if event["kind"] == "row" for key in event["row"]}
    assert [] == [key for key in keys if any(word in key for word in TIMES)]
    assert ("finished", len(rows)) == (finished["kind"], finished["values"]["rows"])
    for event in events:
        if event["kind"] != "row":
            assert len(set(spoken(event))) == len(LANGUAGES)


def test_stopped_half_way_keeps_the_rows() -> None:
    """Training in the interpreter, stopped after its first gradients: they are kept, the rest never comes."""
    events: list[Event] = []
    run = Run(events.append, deadline_s=WAIT_S)
    run.start({"kind": "live", "workload": {"task": "training", "head_dim": 16, "heads": 1, "dtype": "fp16"}})
    until = time.monotonic() + WAIT_S
    while len(run.rows) < 2 and run.running:
        assert time.monotonic() < until
        time.sleep(0.02)
    run.cancel()
    assert run.join(WAIT_S)
    assert "cancelled" == events[-1]["kind"]
    assert ["forward", "backward"] == [row["attention_pass"] for row in run.rows][:2]
    assert events[0]["total"] * 2 > len(run.rows) == events[-1]["rows_kept"]


@pytest.mark.compile
def test_limit_is_shown_by_the_compiler() -> None:
    """FlashAttention-1's backward tile exceeds an L4's block and the tile of our tables fits."""
    events = answer({"kind": "limit", "gpu": "L4", "workload": {"head_dim": 128, "dtype": "bf16"}})
    too_large, fitting = (event["limit"] for event in events if event["kind"] == "limit")
    assert (128, 128, 101_376) == (too_large["block_m"], too_large["block_n"], too_large["limit_bytes"])
    assert (False, True) == (too_large["fits"], fitting["fits"])
    assert fitting["required_bytes"] <= 101_376 < too_large["required_bytes"]
    assert f"Required: {too_large['required_bytes']}, Hardware limit: 101376" in too_large["text"]
    assert ("compiled", "compiled", "finished") == (too_large["basis"], fitting["basis"], events[-1]["kind"])
    for event in (*events, too_large, fitting):
        if "key" in event:
            assert len(set(spoken(event))) == len(LANGUAGES)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"kind": "live", "workload": {"head_dim": 577}}, "head-dim 1-576, not 577"),
        ({"kind": "live", "workload": {"head_dim": "abc"}}, "head-dim"),
        ({"kind": "live", "workload": {"dropout": 0.1}}, "dropout (here 0.1)"),
        ({"kind": "live", "workload": {"kv_dtype": "fp8"}}, "kv-dtype bf16, not fp8"),
        ({"kind": "live", "workload": {"dtype": "fp8"}}, "dtype fp16, bf16, fp32, not fp8"),
        ({"kind": "limit", "workload": {"head_dim": -8}}, "head-dim"),
        ({"kind": "dance"}, "suite"),
        ({"kind": "suite", "suite": "endless"}, "full, quick"),
        ({"kind": "tune"}, "on a GPU"),
    ],
)
def test_bad_request_is_one_sentence(request_: dict[str, Any], says: str) -> None:
    """What a live run is not of, or nobody could run, is refused by name and value, without a traceback."""
    (event,) = answer(request_)
    assert "error" == event["kind"]
    assert "" == event["detail"]
    assert says in spoken(event)[0]


def test_card_that_triton_does_not_serve_is_named() -> None:
    """A V100 has no tiles of ours: the answer names it, its capability and what is served."""
    (event,) = answer({"kind": "limit", "gpu": "V100", "workload": {"head_dim": 128}})
    assert ("error", "error.live_arch", "7.0") == (
        *(event["kind"], event["key"], event["values"]["capability"]),
    )


def test_prints_of_libraries_stay_off_stdout() -> None:
    """What Python or C code prints goes to stderr; stdout holds events alone."""
    script = (
        "import os; from l4guide.measure.worker import json_lines\n"
        "emit = json_lines(); print('from python'); os.system('echo from a child')\n"
        "emit('finished', key='k')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"kind": "finished", "key": "k"} == json.loads(done.stdout)
    assert "from python" in done.stderr
    assert "from a child" in done.stderr


def test_the_benchmark_writes_a_record_without_times(tmp_path: Path) -> None:
    """Without a GPU it records correctness, of every variant of ours: complete, no card, no time, no journal left."""
    record = benchmark(tmp_path / "cpu.json")
    assert record == read(tmp_path / "cpu.json")
    assert (True, "interpreter", None, ()) == (record.complete, record.basis, record.gpu, record.paces)
    assert {"ok"} == {row.status for row in record.rows}
    assert {"forward", "backward"} == {row.attention_pass for row in record.rows}
    variants = {"padded", "paged", "kv-fp8", "kv-int8", "int8-fp16"}
    assert {"l4guide", *(f"l4guide/{name}" for name in variants)} == {r.implementation for r in record.rows}
    assert {"fp8": "l4guide/kv-fp8", "int8": "l4guide/kv-int8"} == {
        row.kv_dtype: row.implementation for row in record.rows if row.kv_dtype
    }
    assert all(row.cosine is not None and row.cosine > 0.998 for row in record.rows)
    assert "_ms" not in (tmp_path / "cpu.json").read_text()
    assert ["cpu.json"] == [path.name for path in tmp_path.iterdir()]


def test_the_benchmark_finds_out_first_that_it_cannot_write(tmp_path: Path) -> None:
    """A place that cannot be written is refused before anything is measured."""
    events: list[Event] = []
    with pytest.raises(CannotDo, match="No such file"):
        benchmark(tmp_path / "missing" / "cpu.json", events.append)
    assert [] == events


def test_a_benchmark_without_a_row_says_why() -> None:
    """When nothing could be measured the worker's reason is the error."""
    with pytest.raises(CannotDo, match="V100"):
        benchmark(gpu="V100")
