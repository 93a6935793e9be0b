"""Rows of a live run: one question for every implementation, refusals with a reason, times where timed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from l4guide_kernels.reference import reference_attention

from l4guide.errors import CannotDo
from l4guide.measure.accuracy import Oracle, draw
from l4guide.measure.live import Case, measure, small_workloads
from l4guide.measure.measurement import Measurement
from l4guide.measure.peer import Peer
from l4guide.measure.peers import SDPA
from l4guide.measure.place import Place
from l4guide.measure.timing import Timing
from l4guide.workload import Workload, ask

PLACE = Place(basis="interpreter", gpu="L4", arch=89, shared_limit_bytes=101_376)
TIMES = {"latency_ms", "low_ms", "high_ms", "warm_ms", "repeats", "tflops", "gb_per_s"}
SENSORS = {"sm_clock_mhz", "power_w", "temperature_c"}


class CountingStopwatch:
    """Calls what it is given once and says two milliseconds."""

    def __init__(self) -> None:
        self.calls = 0

    def time(self, call: Callable[[], object]) -> Timing:
        """One call, two milliseconds."""
        call()
        self.calls += 1
        return Timing(
            latency_ms=2.0,
            low_ms=1.9,
            high_ms=2.2,
            warm_ms=1.8,
            repeats=10,
            sm_clock_mhz=1500.0,
            power_w=70.0,
            temperature_c=None,
        )


def case(stopwatch: Any = None, **options: object) -> Case:
    """A small fp32 problem on the CPU."""
    small = {"batch": 2, "seqlen_q": 24, "seqlen_kv": 40, "heads": 4, "kv_heads": 2, "head_dim": 16}
    workload, _ = ask({"task": "training", **small, "dtype": "fp32", **options})
    inputs = draw(workload, "cpu")
    return Case(
        workload=workload, inputs=inputs, oracle=Oracle(workload, inputs), place=PLACE, stopwatch=stopwatch
    )


def peer(bind: Callable[[Workload], Any], **options: Any) -> Peer:
    """An implementation that is installed wherever torch is."""
    return Peer(**{"name": "stub", "distribution": "torch", "bind": bind, **options})


def right(workload: Workload) -> Any:
    """A correct implementation."""
    return lambda q, k, v: reference_attention(q, k, v, causal=workload.causal)[0]


@pytest.fixture
def default_sdpa() -> Peer:
    """PyTorch's own dispatch."""
    return next(p for p in SDPA if p.name == "torch/sdpa")


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    "shape",
    [
        {"task": "prefill", "seqlen_q": 40, "seqlen_kv": 40},
        {"task": "training", "seqlen_q": 40, "seqlen_kv": 40},
        {"task": "training", "seqlen_q": 24, "seqlen_kv": 40},
        {"task": "decode", "seqlen_q": 1, "seqlen_kv": 40},
    ],
)
def test_sdpa_answers_the_same_question(default_sdpa: Peer, shape: dict[str, object], causal: bool) -> None:
    """PyTorch gets our layout, grouped heads and bottom-right mask, and agrees with the reference."""
    rows = list(measure(default_sdpa, case(**shape, causal=causal)))
    expected = ["forward", "backward"] if shape["task"] == "training" else ["forward"]
    assert expected == [row.attention_pass for row in rows]
    assert ["ok"] * len(rows) == [row.status for row in rows]


def test_refusal_carries_its_reason() -> None:
    """A backend that cannot run here is a row that says what it raised and why it warned."""
    (row,) = measure(next(p for p in SDPA if p.name == "torch/cudnn"), case(task="prefill"))
    assert "refused" == row.status
    assert row.reason is not None
    assert "Error" in row.reason


def raising(_: Workload) -> Any:
    """An implementation that raises when it runs."""

    def attention(*_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore lines")

    return attention


def test_device_fault_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the device does not survive a failure nothing is measured after it, and the user is told why."""

    def dead() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", dead)
    on_gpu = replace(case(task="prefill"), place=replace(PLACE, basis="gpu"))
    with pytest.raises(CannotDo, match=r"L4 reported a fault .*illegal memory access"):
        list(measure(peer(raising), on_gpu))


def test_device_that_survives_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the device survives, the failure is that implementation's refusal."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    on_gpu = replace(case(task="prefill"), place=replace(PLACE, basis="gpu"))
    (row,) = measure(peer(raising), on_gpu)
    assert ("refused", "gpu") == (row.status, row.basis)


def test_forward_alone_is_measured_where_backward_is_refused() -> None:
    """A library without a backward here still has its forward, and says why it has no more."""

    def bind(workload: Workload) -> Any:
        def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Any:
            if q.requires_grad:
                raise NotImplementedError("no backward at this head_dim")
            return right(workload)(q, k, v)

        return attention

    forward, backward = measure(peer(bind), case())
    assert ("forward", "ok") == (forward.attention_pass, forward.status)
    assert ("backward", "refused") == (backward.attention_pass, backward.status)
    assert "no backward at this head_dim" in str(backward.reason)


def test_missing_library_is_told_from_a_refusal() -> None:
    """A library that is not installed is said to be so and is not imported."""
    (row,) = measure(peer(right, distribution="no-such-distribution"), case())
    assert ("not_installed", None, None) == (row.status, row.reason, row.version)


def test_wrong_result_is_called_wrong() -> None:
    """A result outside the bound is a row of status wrong with both numbers."""
    (row,) = measure(peer(lambda w: lambda q, k, v: right(w)(q, k, v) + 0.1), case(task="prefill"))
    assert "wrong" == row.status
    assert row.passed is False


def test_approximate_result_has_an_error_but_no_bound() -> None:
    """A quantised implementation is told its error and held against no bound."""
    quantised = peer(lambda w: lambda q, k, v: right(w)(q, k, v) + 0.1, approximate=True)
    (row,) = measure(quantised, case(task="prefill"))
    assert ("ok", None) == (row.status, row.bound)
    assert row.max_error == pytest.approx(0.1, abs=1e-3)


def test_rows_without_a_stopwatch_have_no_time() -> None:
    """Where nothing is timed no row has a key for a time, a rate or a sensor."""
    for row in measure(peer(right), case()):
        assert set() == (TIMES | SENSORS) & set(row.to_json())


def test_passes_are_timed_apart() -> None:
    """With a stopwatch forward and backward have a time and a rate each, by their own operations."""
    stopwatch = CountingStopwatch()
    forward, backward = measure(peer(right), case(stopwatch=stopwatch))
    assert 2 == stopwatch.calls
    assert forward.tflops is not None
    assert 2.5 * forward.tflops == pytest.approx(backward.tflops)
    assert (2.0, 1.8, 1500.0, 70.0) == (
        backward.latency_ms,
        backward.warm_ms,
        backward.sm_clock_mhz,
        backward.power_w,
    )
    assert TIMES - {"gb_per_s"} <= set(forward.to_json())
    assert "temperature_c" not in forward.to_json()


def test_decode_is_rated_in_bytes() -> None:
    """A timed decode row has GB/s and no TFLOP/s."""
    (row,) = measure(peer(right), case(stopwatch=CountingStopwatch(), task="decode", seqlen_q=1))
    assert row.tflops is None
    assert row.gb_per_s == pytest.approx(2 * 2 * 40 * 2 * 16 * 4 / 2e-3 / 1e9)


@pytest.mark.parametrize("task", ["prefill", "decode", "training"])
def test_small_workloads_keep_what_matters(task: str) -> None:
    """In the interpreter shapes shrink; task, head_dim, dtype, mask and heads per KV head stay."""
    workload, _ = ask({"task": task, "head_dim": 72, "heads": 32, "kv_heads": 16, "dtype": "fp16"})
    for small in small_workloads(workload):
        kept = ("task", "head_dim", "dtype", "causal")
        assert [getattr(workload, name) for name in kept] == [getattr(small, name) for name in kept]
        assert 2 == small.heads // small.kv_heads
        assert small.seqlen_q <= 256
    assert all(small.seqlen_q == 1 for small in small_workloads(replace(workload, task="decode")))


def test_row_is_a_measurement_of_its_workload() -> None:
    """A row repeats the shape that it was measured on."""
    (row,) = measure(peer(right), case(task="prefill"))
    assert isinstance(row, Measurement)
    assert (2, 24, 40, 4, 2, 16, "fp32") == (
        *(row.batch, row.seqlen_q, row.seqlen_kv, row.heads, row.kv_heads, row.head_dim, row.dtype),
    )
    assert torch.__version__ == row.version
