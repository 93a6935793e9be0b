"""Recorded runs that nobody made, for every part that puts them to use."""

from collections.abc import Callable
from dataclasses import replace

import made_up
import pytest

from l4guide.catalogue import gpu
from l4guide.estimate import attention_time
from l4guide.measure.measurement import Measurement, Record
from l4guide.workload import ask

LENGTHS = (256, 512, 1024, 2048, 4096, 8192)


def _row(card: str, task: str, length: int, factor: float, implementation: str) -> Measurement:
    """A forward pass that took `factor` times what the estimate says of it."""
    shape = {"task": task, "batch": 8 if task == "decode" else 1, "heads": 32, "kv_heads": 8, "head_dim": 128}
    workload, _ = ask({**shape, "seqlen_kv": length, "seqlen_q": 1 if task == "decode" else length})
    expected = attention_time(workload, gpu(card), implementation).latency_ms
    return made_up.row_on(
        workload,
        implementation=implementation,
        latency_ms=factor * expected,
        low_ms=0.98 * factor * expected,
        high_ms=1.02 * factor * expected,
        tflops=1.0,
        gb_per_s=1.0,
    )


@pytest.fixture(autouse=True)
def reads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations are read, as where transformers is not installed; tests of the fixture `traces` are traced."""
    if "traces" not in request.fixturenames:
        monkeypatch.setattr("l4guide.tracing.architecture.is_at_hand", lambda: False)


@pytest.fixture
def traces() -> None:
    """Configurations are traced, which takes seconds: mark such a test `slow`."""


@pytest.fixture(scope="session")
def recorded() -> Callable[..., Record]:
    """A function that makes a record of six prompts and six steps, each `factor` times its estimate."""

    def make(
        card: str = "L4",
        factor: float = 1.5,
        *,
        implementation: str = "flash-attn",
        lengths: tuple[int, ...] = LENGTHS,
        basis: str = "gpu",
        named: str | None = None,
    ) -> Record:
        rows = [
            replace(_row(card, task, length, factor, implementation), basis=basis)
            for task in ("prefill", "decode")
            for length in lengths
        ]
        return made_up.record(*rows, suite="live", basis=basis, gpu=named or card)

    return make
