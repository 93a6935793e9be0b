"""Recorded runs, put to use: which there are, what they put right, and what is said of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from l4guide.advise.question import NO_MEASUREMENTS
from l4guide.catalogue import Gpu, find_gpu
from l4guide.errors import BadInput
from l4guide.estimate import (
    FEWEST_RUNS,
    NO_RUNS,
    Ceilings,
    LiveEstimator,
    is_usable,
    recalibrate,
    together,
)
from l4guide.frozen import frozen
from l4guide.interval import Interval
from l4guide.measure.measurement import Measurement, Record, read
from l4guide.measure.records import recorded_files
from l4guide.text import Sentence, digits
from l4guide.workload import yes_or_no

#: Beside implementations, what else a record puts right of a card.
CEILINGS = "ceilings"


@frozen
class PutRight:
    """The estimator with what was run on cards.

    `origins` name the records by card and implementation (or `CEILINGS`), `given` those that were asked for by name,
    and `remarks` say what puts nothing right.
    """

    estimator: LiveEstimator
    origins: Mapping[tuple[str, str], tuple[str, ...]]
    remarks: tuple[Sentence, ...] = ()
    given: tuple[str, ...] = ()

    def said(self, gpu: Gpu, task: str, *, whole: bool = False) -> tuple[Sentence, ...]:
        """What runs on a card do for a task, implementation by implementation, and how many more are wanted.

        Of a `whole` model also what the card's ceilings do for what is not attention.
        """
        lines = (*self._lines(task), *(self._ceilings() if whole else ()))
        found = [line for card, line in lines if card == gpu.name]
        if self.given and not found and not self.remarks:
            found = [Sentence("runs.other", {"origin": ", ".join(self.given), "gpu": gpu.name})]
        return (*found, *self.remarks)

    def said_of_every_card(self, task: str) -> tuple[Sentence, ...]:
        """The same of every card that something was run on."""
        return (*(line for _, line in (*self._lines(task), *self._ceilings())), *self.remarks)

    def _ceilings(self) -> Iterator[tuple[str, Sentence]]:
        for card, held in self.estimator.ceilings.items():
            for key, rate in (("runs.gemm", held.gemm_tflops), ("runs.copy", held.copy_gb_per_s)):
                if rate is not None:
                    values = {"gpu": card, "rate": digits(rate.value.item())}
                    yield card, Sentence(key, values | {"origin": ", ".join(self.origins[card, CEILINGS])})

    def _lines(self, task: str) -> Iterator[tuple[str, Sentence]]:
        kind = "decode" if task == "decode" else "prompt"
        for (card, implementation, of), live in self.estimator.corrections.items():
            if of == kind:
                origin = ", ".join(self.origins[card, implementation])
                values = {"implementation": implementation, "gpu": card, "runs": live.runs, "origin": origin}
                more = {"more": FEWEST_RUNS - live.runs}
                yield card, Sentence("runs.put_right" if live.seen else "runs.few", values | more)


NOTHING_MEASURED = PutRight(estimator=NO_RUNS, origins={})


def put_right(options: Mapping[str, object]) -> PutRight:
    """What the options say of runs: `measured` (files, or a `PutRight` already made), or `no_measurements`.

    Records in `data/measurements/` are found by themselves.

    Raises:
        BadInput: both were said.
        BadData: a file is no record.
        CannotDo: a file cannot be read.
    """
    said = options.get("measured")
    if any(yes_or_no(name.replace("_", "-"), options.get(name) or False) for name in NO_MEASUREMENTS):
        if said is not None and not isinstance(said, PutRight):
            raise BadInput("error.measured_or_none")
        return NOTHING_MEASURED
    if isinstance(said, PutRight):
        return said
    names = [] if said is None else [said] if isinstance(said, str | Path) else list(said)  # type: ignore[call-overload]
    given = tuple(Path(str(name)) for name in names)
    paths = dict.fromkeys((*given, *recorded_files()))
    found = _from_files(tuple((path, _changed_ns(path)) for path in paths))
    return replace(found, given=tuple(path.name for path in given))


def _changed_ns(path: Path) -> int:
    """When a file was written last, so that a new one is read anew."""
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=8)
def _from_files(files: tuple[tuple[Path, int], ...]) -> PutRight:
    return put_right_by((path.name, read(path)) for path, _ in files)


def found_records() -> tuple[tuple[str, Record], ...]:
    """The records that come with the guide, each with the name of its file.

    Raises:
        BadData: a file is no record.
    """
    return tuple((path.name, read(path)) for path in recorded_files())


def put_right_by(records: Iterable[tuple[str, Record]]) -> PutRight:
    """The estimator put right by records, each with the name of its origin.

    Rows of the interpreter are of no card and never count. Of several records with ceilings the newest one's stand.
    """
    ceilings: dict[str, tuple[str, Ceilings]] = {}
    runs: dict[Gpu, list[Measurement]] = {}
    origins: dict[tuple[str, str], tuple[str, ...]] = {}
    remarks: list[Sentence] = []
    for origin, record in records:
        rows = [row for row in record.rows if row.basis == "gpu" and is_usable(row)]
        card = _card(record)
        held = _ceilings_of(record, card)
        if record.basis != "gpu":
            remarks.append(Sentence("runs.interpreter", {"origin": origin}))
        elif card is None:
            values = {"origin": origin, "gpu": record.gpu or record.gpu_reported_name or "?"}
            remarks.append(Sentence("runs.unknown_card", values))
        elif not rows and held == Ceilings():
            remarks.append(Sentence("runs.nothing_timed", {"origin": origin}))
        else:
            runs.setdefault(card, []).extend(rows)
            for key in dict.fromkeys((card.name, row.implementation) for row in rows):
                origins[key] = (*origins.get(key, ()), origin)
            newest = record.measured_at >= ceilings.get(card.name, ("", held))[0]
            if newest and held != Ceilings():
                ceilings[card.name] = record.measured_at, held
                origins[card.name, CEILINGS] = (origin,)
    estimators = [recalibrate(rows, card) for card, rows in runs.items()]
    estimator = together(estimators, {card: held for card, (_, held) in ceilings.items()})
    return PutRight(estimator=estimator, origins=origins, remarks=tuple(remarks))


def _ceilings_of(record: Record, card: Gpu | None) -> Ceilings:
    """What the card sustained in a run; paces that are no rates are passed over.

    Products are of bf16: those of a card without tensor cores for it say nothing of fp16.
    """
    sustained = {
        pace.what: Interval.of(pace.low, pace.rate, pace.high)
        for pace in record.paces
        if pace.stretch == "sustained" and 0 < pace.low <= pace.rate <= pace.high
    }
    tensor = card is not None and card.bf16_tensor_cores
    return Ceilings(
        gemm_tflops=sustained.get("gemm") if tensor else None, copy_gb_per_s=sustained.get("copy")
    )


def _card(record: Record) -> Gpu | None:
    try:
        return find_gpu(record.gpu)[0] if record.gpu is not None else None
    except BadInput:
        return None
