"""The benchmark seen from outside: a worker that is started again where it died, a journal, and the record."""

import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from l4guide import __version__
from l4guide.errors import CannotDo
from l4guide.measure.arithmetic import shares
from l4guide.measure.identity import Device, card_named, kernels_digest
from l4guide.measure.measurement import (
    Measurement,
    Pace,
    Record,
    check_writable,
    pace_from_json,
    row_from_json,
    write,
)
from l4guide.measure.probe import catalogue_name, libraries
from l4guide.measure.records import JOURNAL, Journal, read_journal
from l4guide.measure.run import Event, Run
from l4guide.measure.suite import BUDGET_S
from l4guide.text import Sentence

Clock = Callable[[], float]

#: No piece of work takes longer, its compilation included: a kernel that hangs is ended, and lost alone.
MOST_PIECE_S = 120.0
LOOK_EVERY_S = 0.5
#: A worker gets this long after its budget to finish the piece at hand.
GRACE_S = 60.0


def benchmark(
    out: Path | None = None,
    on_event: Callable[[Event], object] = lambda event: None,
    *,
    suite: str = "full",
    resume: bool = False,
    gpu: str | None = None,
    clock: Clock = time.monotonic,
    **worker: Any,  # noqa: ANN401 - of `Run`
) -> Record:
    """Measure the attached GPU: ten minutes, or one; without a GPU, check correctness alone.

    An implementation that ends the process or hangs loses its own row only.

    Args:
        out: file to write the record to; beside it lies the journal while rows come in.
        on_event: is called with each event of the workers (see `l4guide.measure.worker`).
        suite: one of `l4guide.measure.suite.SUITES`.
        resume: go on with the run whose journal lies beside `out`.
        gpu: the card whose tiles are interpreted where none is attached.
        clock: seconds.
        worker: another module than the worker, to try this without one.

    Returns:
        The record; one that its budget or a fault ended has `complete` False, and names what it did not reach.

    Raises:
        CannotDo: `out` cannot be written, there is nothing to resume or it was another machine's, or nothing at all
            could be measured.
        KeyboardInterrupt: the user stopped it; what was finished is written to `out` first.
    """
    if out is not None:
        check_writable(out)
    path = None if out is None else out.with_suffix(JOURNAL)
    journal = read_journal(path) if resume and path is not None else Journal(path)
    survey = _Survey(journal, on_event, suite, clock)
    try:
        survey.run(gpu, **worker)
    finally:
        record = survey.record()
        if out is not None and survey.found:
            write(record, out)
            if record.complete:
                journal.remove()
    if not survey.found:
        raise CannotDo("error.nothing_measured", reason=survey.reason)
    return record


class _Survey:
    """One run over as many workers as it takes."""

    def __init__(
        self, journal: Journal, on_event: Callable[[Event], object], suite: str, clock: Clock
    ) -> None:
        self._journal, self._on_event, self._suite, self._clock = journal, on_event, suite, clock
        self._began, self._plan, self._card = clock(), list[Event](), None
        self._device: Device | None = None
        self._gpu: str | None = None
        #: What the worker is at, since when, and what it has found of it.
        self._work: tuple[str, float] | None = None
        self._rows, self._paces = list[dict[str, Any]](), list[dict[str, Any]]()
        self.reason: Sentence | str = "-"

    def run(self, gpu: str | None, **worker: Any) -> None:  # noqa: ANN401 - of `Run`
        """Start workers until one has finished, or nothing is left to be lost but time."""
        while (left := BUDGET_S[self._suite] - (self._clock() - self._began)) > 0:
            last = self._one_worker(gpu, left, **worker)
            if last["kind"] == "finished":
                return
            self.reason = Sentence(last["key"], last.get("values", {})) if "key" in last else "-"
            if self._work is None:
                return
            self._lose(self._work[0], str(self.reason))

    @property
    def found(self) -> bool:
        """Whether a worker took up the run, and there is something to record."""
        return bool(self._plan and self._journal.entries)

    def _one_worker(self, gpu: str | None, left: float, **worker: Any) -> Event:  # noqa: ANN401 - of `Run`
        run = Run(self._hear, deadline_s=left + GRACE_S, **worker)
        run.start(
            {
                "kind": "suite",
                "suite": self._suite,
                "gpu": gpu,
                "done": list(self._journal.entries),
                "seconds": left,
                "identity": self._journal.identity,
            }
        )
        hung = False
        try:
            while not run.join(LOOK_EVERY_S):
                if not hung and self._work is not None and self._clock() - self._work[1] > MOST_PIECE_S:
                    hung = True
                    run.cancel()
        except KeyboardInterrupt:
            run.cancel()
            run.join()
            raise
        assert run.last is not None
        if hung:
            return {"kind": "error", "key": "measure.hung", "values": {"seconds": round(MOST_PIECE_S)}}
        return run.last

    def _hear(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "started":
            self._gpu = event.get("gpu")
        elif kind == "plan":
            self._plan = event["works"]
            self._device = Device(**event["device"]) if event.get("device") else None
            self._journal.begin(event["identity"])
        elif kind == "progress" and "work" in event:
            self._work = event["work"], self._clock()
            self._rows, self._paces = [], []
        elif kind == "row":
            self._rows.append(event["row"])
        elif kind == "pace":
            self._paces.append(event["pace"])
        elif kind == "done":
            self._journal.add(event["work"], self._rows, self._paces)
            self._work = None
        self._on_event(event)

    def _lose(self, work: str, reason: str) -> None:
        """What was found before the fault is kept; what was at work is a row that says so."""
        planned = next((one["row"] for one in self._plan if one["work"] == work), None)
        lost = [] if planned is None else [{**planned, "status": "failed", "reason": reason}]
        self._journal.add(work, [*self._rows, *lost], self._paces)
        self._work = None

    def record(self) -> Record:
        """All rows in the order of the plan, those that were not reached among them."""
        entries = self._journal.entries
        planned = {one["work"]: one["row"] for one in self._plan}
        rows, paces = list[Measurement](), list[Pace]()
        for work in planned or entries:
            entry = entries.get(work)
            if entry is not None:
                rows += [row_from_json(row) for row in entry["rows"]]
                paces += [pace_from_json(pace) for pace in entry["paces"]]
            elif planned[work] is not None:
                rows.append(row_from_json(planned[work]))
        complete = bool(planned) and set(planned) <= set(entries)
        return new_record(rows, paces, self._suite, complete, self._gpu, self._device)


def record_of(run: Run) -> Record:
    """The rows of a live run, with the machine that they come from."""
    rows = [row_from_json(row) for row in run.rows]
    complete = run.last is not None and run.last["kind"] == "finished"
    return new_record(rows, (), "live", complete, run.gpu)


def new_record(
    rows: Sequence[Measurement],
    paces: Sequence[Pace],
    suite: str,
    complete: bool,
    gpu: str | None,
    device: Device | None = None,
) -> Record:
    """What was measured, with all that is needed to judge it.

    Args:
        rows: what was measured.
        paces: the ceilings of the run, of which each row then tells its share.
        suite: what was asked for.
        complete: whether all of it was reached.
        gpu: the card, as the worker called it.
        device: what PyTorch says of it.
    """
    basis = rows[0].basis if rows else "interpreter"
    card = card_named(gpu) if basis == "gpu" else None
    ceilings = {pace.what: pace.rate for pace in paces if pace.stretch == "sustained"}
    name = None if basis != "gpu" else device.name if device else gpu
    return Record(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        l4guide_version=__version__,
        suite=suite,
        complete=complete,
        basis=basis,
        gpu=card.catalogue_name if card else catalogue_name(name) if name else None,
        gpu_reported_name=card.name if card else name,
        capability=card.capability if card else device.capability if device else None,
        driver=card.driver if card else None,
        memory_total_mib=card.memory_total_mib if card else None,
        power_limit_w=card.power_limit_w if card else None,
        max_sm_clock_mhz=card.max_sm_clock_mhz if card else None,
        python=platform.python_version(),
        platform=platform.platform(),
        libraries=dict(libraries()),
        kernels=kernels_digest(),
        sm_count=device.sm_count if device else None,
        l2_bytes=device.l2_bytes if device else None,
        paces=tuple(paces),
        rows=tuple(shares(row, ceilings.get("gemm"), ceilings.get("copy")) for row in rows),
    )
