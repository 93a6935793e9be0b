"""Recorded runs that nobody made, for every part that puts them to use."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from l4guide.catalogue import gpu
from l4guide.estimate import attention_time
from l4guide.measure.measurement import Measurement, Record
from l4guide.workload import ask

LENGTHS = (256, 512, 1024, 2048, 4096, 8192)


def _row(card: str, task: str, length: int, factor: float, implementation: str) -> Measurement:
    """A forward pass that took `factor` times what the estimate says of it."""
    queries, batch = (1, 8) if task == "decode" else (length, 1)
    shape = {"batch": batch, "seqlen_q": queries, "seqlen_kv": length, "heads": 32, "kv_heads": 8}
    workload, _ = ask({**shape, "task": task, "head_dim": 128})
    expected = attention_time(workload, gpu(card), implementation).latency_ms
    return Measurement(
        implementation=implementation,
        version="2.8.3",
        status="ok",
        reason=None,
        basis="gpu",
        task=task,
        attention_pass="forward",
        **shape,
        head_dim=128,
        dtype="bf16",
        causal=True,
        latency_ms=factor * expected,
        low_ms=0.98 * factor * expected,
        high_ms=1.02 * factor * expected,
        tflops=1.0,
        gb_per_s=1.0,
    )


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
        return Record(
            measured_at="2026-11-22T20:00:00+00:00",
            l4guide_version="0.1.0",
            complete=True,
            basis=basis,
            gpu=named or card,
            gpu_reported_name=None,
            capability=None,
            driver=None,
            memory_total_mib=None,
            power_limit_w=None,
            max_sm_clock_mhz=None,
            python="3.12.0",
            platform="Linux",
            libraries={},
            rows=tuple(rows),
        )

    return make
