"""Ceilings by a false clock and false events: what is called for how long, and what a figure is made of."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from l4guide.measure import ceilings, timing
from l4guide.measure.ceilings import Load, pace, paces
from l4guide.measure.probe import Reading


class Clock:
    """Each call of a load takes so many milliseconds, which events and the clock both tell."""

    def __init__(self, call_ms: Iterator[float]) -> None:
        self.now_ms = 0.0
        self.calls = 0
        self._call_ms = call_ms

    def call(self) -> None:
        """One call of the load."""
        self.calls += 1
        self.now_ms += next(self._call_ms)

    def event(self, **_: object) -> Any:
        """An event that remembers when it was recorded."""
        return Event(self)

    def seconds(self) -> float:
        """What the clock says."""
        return self.now_ms / 1e3


class Event:
    """A moment on a clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at_ms = 0.0

    def record(self) -> None:
        """Now."""
        self.at_ms = self._clock.now_ms

    def elapsed_time(self, other: "Event") -> float:
        """Milliseconds until another event."""
        return other.at_ms - self.at_ms


@pytest.fixture
def on_a_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a load of 20 GFLOP whose calls take the given milliseconds, and its clock."""

    def make(*call_ms: float, unit: str = "TFLOP/s") -> tuple[Load, Clock]:
        clock = Clock(itertools.chain(call_ms, itertools.repeat(call_ms[-1])))
        monkeypatch.setattr(torch.cuda, "Event", clock.event)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
        reading = Reading(sm_clock_mhz=2040, power_w=72.0, temperature_c=60)
        monkeypatch.setattr(timing, "reader", lambda _: lambda: reading)
        return Load(what="gemm", on="big", call=clock.call, amount=2e10, unit=unit), clock

    return make


def test_a_rate_is_the_middle_of_its_pieces(on_a_clock: Any) -> None:
    """20 GFLOP in 1 ms are 20 TFLOP/s; a slow piece does not move the median; sensors are read meanwhile."""
    load, clock = on_a_clock(*[1.0] * 41, *[4.0] * 20, 1.0)
    found = pace(load, "sustained", 0.5, None, clock.seconds)
    assert ("gemm", "big", "sustained", 0.5) == (found.what, found.on, found.stretch, found.seconds)
    assert [20.0, 20.0] == pytest.approx([found.rate, found.high])
    assert "TFLOP/s" == found.unit
    assert found.low <= found.rate
    assert (2040.0, 72.0, 60.0) == (found.sm_clock_mhz, found.power_w, found.temperature_c)
    assert 0.5 <= clock.seconds() < 0.6


def test_a_call_longer_than_the_stretch_still_has_a_rate(on_a_clock: Any) -> None:
    """At least one call after the first is timed."""
    load, clock = on_a_clock(3000.0)
    assert 2e10 / 3 / 1e12 == pytest.approx(pace(load, "first", 1.0, None, clock.seconds).rate)
    assert 2 == clock.calls


def test_products_are_told_at_first_and_sustained(on_a_clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a rest; memory has one figure, since its clocks settle at once."""
    rests: list[float] = []
    monkeypatch.setattr("l4guide.measure.ceilings.time.sleep", rests.append)
    asked: list[tuple[str, float]] = []
    monkeypatch.setattr(ceilings, "pace", lambda _, stretch, seconds, uuid: asked.append((stretch, seconds)))
    load, _ = on_a_clock(1.0)
    list(paces(load, "full", None))
    assert ([3.0], [("first", 1.0), ("sustained", 8.0)]) == (rests, asked)
    asked.clear()
    load, _ = on_a_clock(1.0, unit="GB/s")
    list(paces(load, "full", None))
    assert ([3.0], [("sustained", 1.0)]) == (rests, asked)
