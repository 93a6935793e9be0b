"""The online softmax of the real kernel, watched in the interpreter, against the exact one."""

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest

from l4guide.measure.trace import BLOCK_N, SEQLEN


def answer(**request: object) -> list[dict[str, Any]]:
    """The worker's events."""
    command = [
        sys.executable,
        "-m",
        "l4guide.measure.worker",
        "--json",
        json.dumps({"kind": "trace", **request}),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(("dtype", "causal", "tolerance"), [("fp16", True, 4e-3), ("fp32", False, 1e-5)])
def test_each_step_is_that_of_the_exact_softmax_so_far(dtype: str, causal: bool, tolerance: float) -> None:
    """Maximum, sum and output of every row after every block."""
    events = answer(dtype=dtype, causal=causal)
    assert "started" == events[0]["kind"]
    assert "finished" == events[-1]["kind"]
    rows = [event["row"] for event in events if event["kind"] == "trace"]
    assert list(range(SEQLEN)) == [row["row"] for row in rows]
    for row in rows:
        assert row["exact_lse"] == pytest.approx(row["lse"], abs=1e-4)
        assert row["max_error"] < tolerance
        for step in row["steps"]:
            assert step["exact_m"] == pytest.approx(step["m"], abs=1e-4)
            assert step["exact_total"] == pytest.approx(step["total"], rel=1e-4)
            assert step["output_error"] < tolerance


def test_the_masked_loop_comes_last_and_alpha_follows_the_maximum() -> None:
    """A row sees no key beyond its own; the sum shrinks only where the maximum rose."""
    rows = [event["row"] for event in answer(dtype="fp16", causal=True) if event["kind"] == "trace"]
    for row in rows:
        steps = row["steps"]
        assert [step["masked"] for step in steps] == sorted(step["masked"] for step in steps)
        assert row["row"] + 1 == sum(step["seen"] for step in steps)
        assert 0.0 == steps[0]["alpha"]
        for before, after in pairwise(steps):
            assert (after["m"] > before["m"]) == (after["alpha"] < 1.0)
            assert after["first_key"] == before["first_key"] + BLOCK_N
    assert any(step["block_max"] is None for row in rows for step in row["steps"])


def test_a_dtype_without_a_trace_is_refused_by_name() -> None:
    """fp8 is none of ours."""
    (event,) = answer(dtype="fp8")
    assert "error" == event["kind"]
    assert "dtype" == event["values"]["name"]
