"""The benchmark inside the worker: ceilings of the card, then every implementation on every shape, within a budget.

Each piece of work has a key, and says when it begins and when it is done; so whoever listens knows what a crash took,
and a process started anew with the keys of what is done goes on behind them.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from l4guide.errors import CannotDo
from l4guide.frozen import frozen
from l4guide.measure import ceilings, suite
from l4guide.measure.identity import Device, device, differences, identity
from l4guide.measure.live import Case, Emit, check_device, closing, empty_row, measure, prepare
from l4guide.measure.measurement import Measurement, Pace
from l4guide.measure.ours import OURS, VARIANTS
from l4guide.measure.peer import Peer
from l4guide.measure.peers import OTHERS, PAGED, SDPA
from l4guide.measure.place import Place, find_place
from l4guide.measure.suite import Item
from l4guide.measure.timing import Stopwatch
from l4guide.workload import one_of

PEERS: Mapping[str, Peer] = {peer.name: peer for peer in (OURS, *VARIANTS, *SDPA, *OTHERS, *PAGED)}
BUDGET_MS = {"full": 100.0, "quick": 40.0}
CEILINGS = ("gemm", "copy", "read")
#: Attention at first and sustained, on the suite's first shape: ours, and the fastest backend of PyTorch's.
STEADY = ("l4guide", "torch/fastest")


@frozen
class Work:
    """One piece: an implementation on an item, or what a pace is of. A pace of attention has an item too."""

    what: str
    item: Item | None = None
    is_pace: bool = False

    @property
    def key(self) -> str:
        """What it is, in one line that no other piece has."""
        return f"pace: {self.what}" if self.item is None or self.is_pace else f"{self.item.key} | {self.what}"

    def empty(self, basis: str, status: str) -> Measurement | None:
        """The row that says why there is no result; None for a pace."""
        if self.item is None or self.is_pace:
            return None
        row = empty_row(PEERS[self.what], self.item.workload, basis, status=status)
        return replace(row, section=self.item.section)


def run_suite(request: Mapping[str, Any], emit: Emit) -> None:
    """Answer a `suite` request: `suite`, `gpu` (chosen), `done` (keys), `seconds`, `identity` of the run continued.

    Raises:
        Problem: this machine lacks what the run needs, or is not what the run was begun on.
    """
    name = one_of("suite", request.get("suite", "full"), suite.SUITES)
    place = find_place(request.get("gpu"))
    card = device() if place.basis == "gpu" else None
    if card is None:
        items = suite.interpreted()
    else:
        items = suite.plan(name, l2_bytes=card.l2_bytes, memory_bytes=card.memory_bytes)
    now = identity(place, items)
    before = request.get("identity")
    if before is not None and (differs := differences(before, now)):
        raise CannotDo("error.resume_differs", differs="; ".join(differs))
    works = pieces(items, timed=card is not None)
    emit("started", mode=place.basis, gpu=place.gpu, arch=place.arch, total=len(works), **_opening(place))
    emit("plan", identity=now, device=card and asdict(card), works=[_planned(w, place) for w in works])
    bench = Bench(place=place, suite=name, card=card, emit=emit)
    bench.run(works, done=frozenset(request.get("done", ())), seconds=request.get("seconds"))


def pieces(items: Sequence[Item], *, timed: bool) -> list[Work]:
    """All that is to be done, in order; an implementation that is not installed is named once.

    Ceilings come first, and attention's paces behind the first item of each section.
    """
    works, missing = [Work(what=what) for what in CEILINGS if timed], set[str]()
    sections = {item.section for item in items}
    for at, item in enumerate(items):
        for what in item.implementations:
            if what in missing:
                continue
            if PEERS[what].version is None:
                missing.add(what)
            works.append(Work(what=what, item=item))
        if timed and at + 1 == len(sections):
            works += [Work(what=what, item=items[0], is_pace=True) for what in STEADY]
    return works


class Bench:
    """Works through pieces, one case of inputs at a time, and says what it finds through `emit`.

    Args:
        place: where it runs.
        suite: which budgets of time to take.
        card: the attached one, None in the interpreter.
        emit: takes the events.
        clock: seconds, to try it with a false one.
    """

    def __init__(
        self,
        *,
        place: Place,
        suite: str,
        card: Device | None,
        emit: Emit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place, self._suite, self._card, self._emit, self._clock = place, suite, card, emit, clock
        self._stopwatch = None if card is None else Stopwatch(budget_ms=BUDGET_MS[suite])
        self._prepared: tuple[Item, Case] | None = None

    def run(self, works: Sequence[Work], *, done: frozenset[str], seconds: float | None) -> None:
        """Do what is not done yet until the seconds are over; the piece that is then at work is finished."""
        began, rows = self._clock(), list[Measurement]()
        for at, work in enumerate(works):
            if work.key in done:
                continue
            if seconds is not None and self._clock() - began >= seconds:
                left = sum(other.key not in done for other in works[at:])
                values = {"rows": len(rows), "left": left}
                self._emit("finished", key="measure.budget_spent", values=values)
                return
            total = len(works)
            said = {"key": "measure.at_work", "values": {"work": work.key, "at": at + 1, "total": total}}
            self._emit("progress", done=at, total=total, work=work.key, **said)
            for found in self._perform(work):
                if isinstance(found, Pace):
                    self._emit("pace", pace=found.to_json())
                else:
                    rows.append(found)
                    self._emit("row", row=found.to_json())
            self._emit("done", work=work.key)
        self._emit("finished", **closing(rows))

    def _perform(self, work: Work) -> Iterator[Measurement | Pace]:
        if work.item is None or work.is_pace:
            yield from self._paces(work)
            return
        try:
            case = self._case(work.item)
        except CannotDo as problem:
            row = work.empty(self._place.basis, "refused")
            assert row is not None
            yield replace(row, reason=problem.say())
            return
        for row in measure(PEERS[work.what], case):
            yield replace(row, section=work.item.section)

    def _case(self, item: Item) -> Case:
        """The item's inputs and their exact answer, kept for all its implementations."""
        if self._prepared is None or self._prepared[0] != item:
            self._prepared = None
            if self._card is not None:
                import torch

                torch.cuda.empty_cache()
            self._prepared = item, prepare(item.workload, self._place, self._stopwatch)
        return self._prepared[1]

    def _paces(self, work: Work) -> Iterator[Pace]:
        assert self._stopwatch is not None
        try:
            yield from ceilings.paces(self._load(work), self._suite, self._stopwatch.uuid)
        except Exception as failure:  # whatever a library raises: it has no pace here
            check_device(self._place, failure)
            values = {"work": work.key, "reason": f"{type(failure).__name__}: {failure}"}
            self._emit("progress", key="measure.no_pace", values=values)

    def _load(self, work: Work) -> ceilings.Load:
        assert self._card is not None
        assert self._stopwatch is not None
        if work.item is None:
            if work.what == "gemm":
                return ceilings.gemm()
            return {"copy": ceilings.copy, "read": ceilings.read}[work.what](self._card.l2_bytes)
        case = self._case(work.item)
        peer = PEERS.get(work.what) or ceilings.fastest(SDPA, case, self._stopwatch)
        if peer is None:
            raise RuntimeError("no backend of PyTorch's runs this")
        return ceilings.attention(peer, case, work.item.key)


def _opening(place: Place) -> dict[str, Any]:
    key = "measure.started_gpu" if place.basis == "gpu" else "measure.started_interpreter"
    return {"key": key, "values": {"gpu": place.gpu}}


def _planned(work: Work, place: Place) -> dict[str, Any]:
    """A piece as it travels: its key, and the row that says that it was not reached."""
    row = work.empty(place.basis, "not_reached")
    return {"work": work.key, "row": row and row.to_json()}
