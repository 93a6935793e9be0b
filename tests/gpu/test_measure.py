"""Live runs on the attached GPU, as users start them; `pytest -m gpu tests/gpu` on a machine that has one."""

from pathlib import Path
from typing import Any

import pytest

from l4guide.measure import benchmark
from l4guide.measure.measurement import read, row_from_json
from l4guide.measure.run import Event, Run

torch = pytest.importorskip("torch", reason="no NVIDIA GPU")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU"),
]
WAIT_S = 500.0


def answer(request: dict[str, Any]) -> tuple[Run, list[Event]]:
    """A finished run and its events."""
    events: list[Event] = []
    run = Run(events.append, deadline_s=WAIT_S)
    run.start(request)
    assert run.join(WAIT_S)
    return run, events


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize(
    "workload",
    [
        {"task": "prefill", "head_dim": 128, "seqlen": 1024, "heads": 16, "kv_heads": 4},
        {"task": "prefill", "head_dim": 72, "seqlen": 1000, "heads": 8, "kv_heads": 8, "causal": False},
        {"task": "training", "head_dim": 64, "seqlen": 1024, "heads": 8, "kv_heads": 8},
        {"task": "training", "head_dim": 256, "seqlen": 512, "heads": 4, "kv_heads": 2},
        {"task": "decode", "head_dim": 128, "batch": 8, "seqlen_kv": 4096, "heads": 32, "kv_heads": 8},
    ],
)
def test_ours_is_right_and_timed(workload: dict[str, Any], dtype: str) -> None:
    """Our kernels are within their bound and have a time with a spread; PyTorch ran on the same inputs."""
    run, events = answer({"kind": "live", "workload": {**workload, "dtype": dtype}})
    assert "finished" == events[-1]["kind"], events[-1]
    rows = [row_from_json(row) for row in run.rows]
    mine = [row for row in rows if row.implementation == "l4guide"]
    assert ["ok"] * len(mine) == [row.status for row in mine], mine
    assert all(row.low_ms and row.latency_ms and row.low_ms <= row.latency_ms for row in mine)
    assert "ok" in {row.status for row in rows if row.implementation == "torch/sdpa"}


@pytest.mark.parametrize("head_dim", [64, 128])
def test_limit_is_triton_s_own_word(head_dim: int) -> None:
    """A tile too large for this card is refused by Triton at launch; the one that fits runs and is right."""
    run, events = answer({"kind": "limit", "workload": {"head_dim": head_dim}})
    assert "finished" == events[-1]["kind"], events[-1]
    too_large, fitting = run.limits
    assert too_large["required_bytes"] > too_large["limit_bytes"]
    assert "out of resource" in too_large["text"]
    assert ("measured", False) == (too_large["basis"], too_large["fits"])
    assert (True, True) == (fitting["fits"], fitting["passed"])


def test_too_much_memory_is_a_sentence() -> None:
    """A cache larger than the card is refused by name, and the process of the test lives on."""
    workload = {"task": "decode", "head_dim": 128, "batch": 4096, "seqlen_kv": 1_000_000, "heads": 8}
    _, events = answer({"kind": "live", "workload": workload})
    assert "error.out_of_memory" == events[-1]["key"]


def test_the_benchmark_records_the_card(tmp_path: Path) -> None:
    """The quick suite writes a record of this card: its ceilings, times where a row ran, and what it left out."""
    record = benchmark(tmp_path / "gpu.json", suite="quick")
    assert record == read(tmp_path / "gpu.json")
    assert "gpu" == record.basis
    assert all(row.latency_ms is not None for row in record.rows if row.status in ("ok", "wrong"))
    assert {"gemm", "copy", "read"} <= {pace.what for pace in record.paces}
    mine = [row for row in record.rows if row.implementation.startswith("l4guide")]
    assert {"ok"} == {row.status for row in mine if row.status != "not_reached"}, mine
    assert all(row.gemm_share or row.copy_share for row in mine if row.status == "ok")
