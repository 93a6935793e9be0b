"""What the attached card itself can do: products, copying and reading, at first and sustained, by the same clock.

A card from rest runs faster than one that has drawn its power limit for seconds, so each is told apart. Inputs are
random: zeros draw less power and ran 13 % faster in public measurements.
"""

import time
from collections.abc import Callable, Iterator
from statistics import median, quantiles
from typing import Any

from l4guide.frozen import frozen
from l4guide.measure.arithmetic import rates
from l4guide.measure.live import Case
from l4guide.measure.measurement import Pace
from l4guide.measure.peer import Peer
from l4guide.measure.timing import MIB, Sensors, Stopwatch

#: Rest before it, first stretch and the one after, by suite.
SECONDS = {"full": (3.0, 1.0, 8.0), "quick": (0.3, 1.0, 1.5)}
#: Copying draws less power than products: its clocks settle at once.
MEMORY_SECONDS = 1.0
#: A figure is made of pieces of about this length.
PIECE_MS = 20.0
SIZE = 8192
#: Buffers of this many L2 caches, and no smaller than this: none of it is read from there again.
L2_TIMES, LEAST_BYTES = 8, 512 * MIB


@frozen
class Load:
    """Something to be called again and again; `amount` is what one call does, in FLOPs or bytes."""

    what: str
    on: str
    call: Callable[[], object]
    amount: float
    unit: str

    @property
    def scale(self) -> float:
        """FLOPs or bytes in one of the unit."""
        return 1e12 if self.unit == "TFLOP/s" else 1e9


def gemm() -> Load:
    """A square product of bf16 matrices."""
    import torch

    x, y = (torch.randn((SIZE, SIZE), device="cuda", dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(x)
    return Load(
        what="gemm",
        on=f"{SIZE} x {SIZE} x {SIZE}, bf16",
        call=lambda: torch.mm(x, y, out=out),
        amount=2.0 * SIZE**3,
        unit="TFLOP/s",
    )


def copy(l2_bytes: int) -> Load:
    """A copy from memory to memory; each byte counts twice, read and written."""
    import torch

    size = _buffer_bytes(l2_bytes)
    x = torch.randint(0, 255, (size,), dtype=torch.uint8, device="cuda")
    out = torch.empty_like(x)
    return Load(
        what="copy", on=f"{size // MIB} MiB", call=lambda: out.copy_(x), amount=2.0 * size, unit="GB/s"
    )


def read(l2_bytes: int) -> Load:
    """A sum over fp32 numbers: each byte is read, none is written."""
    import torch

    size = _buffer_bytes(l2_bytes)
    x = torch.randn((size // 4,), device="cuda")
    return Load(what="read", on=f"{size // MIB} MiB", call=lambda: x.sum(), amount=float(size), unit="GB/s")


def attention(peer: Peer, case: Case, key: str) -> Load:
    """The forward pass of an implementation; may raise whatever its library raises."""
    import torch

    inputs, workload = case.inputs, case.workload
    call = peer.bind(workload)
    laid = peer.laid(workload, inputs.q, inputs.k, inputs.v)

    def run() -> None:
        with torch.no_grad():
            call(*laid)

    tflops, _ = rates(workload, "forward", 1e3)
    assert tflops is not None
    return Load(what=peer.name, on=key, call=run, amount=tflops * 1e12, unit="TFLOP/s")


def fastest(peers: tuple[Peer, ...], case: Case, stopwatch: Stopwatch) -> Peer | None:
    """The one with the shortest forward pass; None where none runs."""
    times = {}
    for peer in peers:
        try:
            load = attention(peer, case, "")
            times[peer.name] = stopwatch.time(load.call).latency_ms
        except Exception:  # whatever a library raises, it is not the fastest
            continue
    return min(
        (peer for peer in peers if peer.name in times), key=lambda peer: times[peer.name], default=None
    )


def paces(load: Load, suite: str, uuid: str | None) -> Iterator[Pace]:
    """First and sustained, after a rest; memory is told sustained alone."""
    rest, first, sustained = SECONDS[suite]
    load.call()
    _synchronize()
    if load.unit == "GB/s":
        yield pace(load, "sustained", MEMORY_SECONDS, uuid)
        return
    time.sleep(rest)
    yield pace(load, "first", first, uuid)
    yield pace(load, "sustained", sustained, uuid)


def pace(
    load: Load, stretch: str, seconds: float, uuid: str | None, clock: Callable[[], float] = time.monotonic
) -> Pace:
    """Call `load` for so long without a pause; its rate is the median over pieces of `PIECE_MS`."""
    once_ms = max(_piece(load.call, 1), 1e-3)
    calls = max(1, round(PIECE_MS / once_ms))
    began, pieces = clock(), [once_ms]
    with Sensors(uuid) as sensors:
        while clock() - began < seconds or len(pieces) < 2:
            pieces.append(_piece(load.call, calls) / calls)
    found = [load.amount / ms * 1e3 / load.scale for ms in pieces[1:]]
    low, *_, high = quantiles(found, n=5, method="inclusive") if len(found) > 1 else found * 2
    return Pace(
        what=load.what,
        on=load.on,
        stretch=stretch,
        seconds=seconds,
        rate=median(found),
        low=low,
        high=high,
        unit=load.unit,
        sm_clock_mhz=sensors.middle("sm_clock_mhz"),
        power_w=sensors.middle("power_w"),
        temperature_c=sensors.middle("temperature_c"),
    )


def _piece(call: Callable[[], object], calls: int) -> float:
    """Milliseconds of so many calls in a row."""
    import torch

    event: Callable[..., Any] = torch.cuda.Event
    start, stop = (event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        call()
    stop.record()
    _synchronize()
    return float(start.elapsed_time(stop))


def _synchronize() -> None:
    import torch

    torch.cuda.synchronize()


def _buffer_bytes(l2_bytes: int) -> int:
    return max(L2_TIMES * l2_bytes, LEAST_BYTES)
