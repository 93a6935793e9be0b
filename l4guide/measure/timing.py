"""Latency of a call on the GPU: CUDA events, cold and warm L2, with the card's sensors read meanwhile."""

import threading
from collections.abc import Callable
from math import ceil
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from l4guide.frozen import frozen
from l4guide.measure.probe import Reading, reader

MIB = 1024 * 1024
SAMPLE_EVERY_S = 0.02
FEWEST_REPEATS, MOST_REPEATS = 10, 200
MOST_FLUSHES = 64


@frozen
class Timing:
    """Milliseconds of one call, and the medians of the sensors while it was timed."""

    latency_ms: float
    low_ms: float
    high_ms: float
    warm_ms: float
    repeats: int
    sm_clock_mhz: float | None
    power_w: float | None
    temperature_c: float | None


class Stopwatch:
    """Times calls on one device; holds the buffer whose clearing empties the L2 cache."""

    def __init__(self, *, budget_ms: float, device: str = "cuda") -> None:
        import torch

        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        self.budget_ms = budget_ms
        self.uuid = str(getattr(properties, "uuid", "")) or None
        # Twice the cache, so that no line of the inputs survives a write to all of it.
        flush_bytes = max(2 * properties.L2_cache_size, 64 * MIB)
        self._flush = torch.empty(flush_bytes, dtype=torch.int8, device=device)

    def time(self, call: Callable[[], object]) -> Timing:
        """Time `call`; the first calls, which compile and warm up, do not count."""
        import torch

        for _ in range(2):
            call()
        torch.cuda.synchronize()
        flushes = self._flushes(call)
        once_ms = max(median(self._events(call, repeats=3, cold=False, flushes=flushes)), 1e-3)
        repeats = round(min(max(self.budget_ms / once_ms, FEWEST_REPEATS), MOST_REPEATS))
        with Sensors(self.uuid) as sensors:
            cold = self._events(call, repeats=repeats, cold=True, flushes=flushes)
            # A warm call is preceded by another one, so that half as many take as long.
            warm = self._events(call, repeats=repeats // 2, cold=False, flushes=flushes)
        low, *_, high = quantiles(cold, n=5, method="inclusive")
        return Timing(
            latency_ms=median(cold),
            low_ms=low,
            high_ms=high,
            warm_ms=median(warm),
            repeats=repeats,
            sm_clock_mhz=sensors.middle("sm_clock_mhz"),
            power_w=sensors.middle("power_w"),
            temperature_c=sensors.middle("temperature_c"),
        )

    def _flushes(self, call: Callable[[], object]) -> int:
        """How often to clear the buffer before a call, so that the GPU is busy for as long as the call is queued.

        Else a short kernel would be timed as the pace of its launches.
        """
        import torch

        event: Callable[..., Any] = torch.cuda.Event
        start, stop = (event(enable_timing=True) for _ in range(2))
        start.record()
        self._flush.zero_()
        stop.record()
        torch.cuda.synchronize()
        began = perf_counter()
        call()
        queueing_ms = (perf_counter() - began) * 1e3
        torch.cuda.synchronize()
        flush_ms: float = max(start.elapsed_time(stop), 1e-3)
        # A warm call is queued behind another one.
        return min(1 + ceil(2 * queueing_ms / flush_ms), MOST_FLUSHES)

    def _events(self, call: Callable[[], object], *, repeats: int, cold: bool, flushes: int) -> list[float]:
        import torch

        event: Callable[..., Any] = torch.cuda.Event
        pairs = []
        for _ in range(repeats):
            start, stop = (event(enable_timing=True) for _ in range(2))
            for _ in range(flushes):
                self._flush.zero_()
            if not cold:
                call()
            start.record()
            call()
            stop.record()
            pairs.append((start, stop))
        torch.cuda.synchronize()
        return [start.elapsed_time(stop) for start, stop in pairs]


class Sensors:
    """Reads clock, power and temperature on a thread for as long as the block lasts."""

    def __init__(self, uuid: str | None) -> None:
        self._read = reader(uuid)
        self._readings: list[Reading] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Sensors":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def middle(self, name: str) -> float | None:
        """The median of one sensor, None when it could not be read."""
        values = [value for reading in self._readings if (value := getattr(reading, name)) is not None]
        return float(median(values)) if values else None

    def _watch(self) -> None:
        if self._read is None:
            return
        while not self._stop.is_set():
            self._readings.append(self._read())
            self._stop.wait(SAMPLE_EVERY_S)
