"""The stopwatch's protocol, on a stand-in for the device: what is called, what is flushed, what is told."""

from typing import Any

import pytest
import torch

from l4guide.measure import timing
from l4guide.measure.probe import Reading
from l4guide.measure.timing import Stopwatch


class FakeCuda:
    """Events that tell one millisecond more each; counts what is recorded."""

    def __init__(self) -> None:
        self.recorded = 0
        self.elapsed = 0.0

    def event(self, **_: object) -> "FakeCuda":
        """One event: this object itself."""
        return self

    def record(self) -> None:
        """One more record."""
        self.recorded += 1

    def elapsed_time(self, _: object) -> float:
        """1, 2, 3 … milliseconds."""
        self.elapsed += 1.0
        return self.elapsed


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """A device with 1 MiB of L2, whose sensors read 1410 MHz and 70 W."""
    fake = FakeCuda()

    class Properties:
        uuid = "00000001"
        L2_cache_size = 2**20

    def reader(uuid: str | None) -> Any:
        assert "00000001" == uuid
        return lambda: Reading(sm_clock_mhz=1410, power_w=70.0, temperature_c=None)

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "Event", fake.event)
    monkeypatch.setattr(timing, "reader", reader)
    return fake


def test_median_spread_and_sensors(cuda: FakeCuda) -> None:
    """Cold and warm calls are timed by events; the median lies within its spread; sensors are their medians."""
    calls = []
    told = Stopwatch(budget_ms=60.0, device="cpu").time(lambda: calls.append(1))
    # The flush takes 1 ms, the first three calls 2, 3 and 4, so that 20 of 3 ms fit; then come 5 to 24 and 25 to 34.
    assert (20, 14.5, 29.5) == (told.repeats, told.latency_ms, told.warm_ms)
    assert told.low_ms < told.latency_ms < told.high_ms
    assert (1410.0, 70.0, None) == (told.sm_clock_mhz, told.power_w, told.temperature_c)
    assert 2 + 1 + 2 * 3 + 20 + 2 * 10 == len(calls)
    assert 2 * (1 + 3 + 20 + 10) == cuda.recorded


def test_slow_calls_are_still_repeated(cuda: FakeCuda) -> None:
    """A call slower than the whole budget is timed often enough for a median with a spread."""
    cuda.elapsed = 5000.0
    told = Stopwatch(budget_ms=40.0, device="cpu").time(lambda: None)
    assert timing.FEWEST_REPEATS == told.repeats


def test_cache_is_flushed_before_every_cold_call(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """The buffer holds the L2 cache twice over at least; a warm call follows one that brought its inputs back."""
    watch = Stopwatch(budget_ms=20.0, device="cpu")
    assert watch._flush.numel() >= 2 * 2**20
    order: list[str] = []
    monkeypatch.setattr(torch.Tensor, "zero_", lambda _: order.append("flush"))
    watch._events(lambda: order.append("call"), repeats=2, cold=True, flushes=2)
    assert ["flush", "flush", "call"] * 2 == order
    order.clear()
    watch._events(lambda: order.append("call"), repeats=2, cold=False, flushes=1)
    assert ["flush", "call", "call"] * 2 == order


def test_the_gpu_is_kept_busy_while_a_call_is_queued(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that takes Python 3 ms to queue is preceded by 6 ms of flushes, so that its launches are not timed."""
    moments = iter([0.0, 0.003])
    monkeypatch.setattr(timing, "perf_counter", lambda: next(moments))
    assert 1 + 6 == Stopwatch(budget_ms=20.0, device="cpu")._flushes(lambda: None)
