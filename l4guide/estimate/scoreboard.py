"""The estimator's published errors and freedom: `scores.csv` and `peers.csv`, which `score` writes, and the fits."""

import csv
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TypeVar

from l4guide.catalogue import data_folder
from l4guide.errors import BadData
from l4guide.estimate.calibration import calibration
from l4guide.estimate.families import FAMILIES
from l4guide.estimate.model import Fit
from l4guide.estimate.priors import priors_for
from l4guide.frozen import frozen

T = TypeVar("T", "Score", "Peer")
#: What a row is about: all kernels of a card that was left out; one kernel; one kernel at one head dimension; a head
#: dimension that was left out on a known card; a card left out with twice the deviation of every prior; a card left
#: out but for a dozen live rows.
PARTS = ("card", "kernel", "head_dim", "unseen", "priors", "live")
#: What the rows may leave of a prior's deviation for its coefficient to count as settled.
SETTLED = 0.5
VERDICTS = ("better", "worse", "none")


@frozen
class Score:
    """Errors in per cent: median and ninetieth percentile of |predicted/measured - 1|, and the median with its sign.

    `coverage` is the part of rows inside the 80 % interval, `width` the middle half-width; None where no interval was
    made. `goal` is what was promised of the median, None where nothing was.
    """

    part: str
    gpu: str
    phase: str
    kernel: str
    head_dim: int | None
    rows: int
    median: float
    p90: float
    bias: float
    coverage: float | None
    width: float | None
    goal: float | None


@frozen
class Peer:
    """Our error beside a published formula's on the same rows; `reason` is a text key where ours is not better."""

    gpu: str
    phase: str
    subset: str
    formula: str
    rows: int
    median: float | None
    p90: float | None
    times_smaller: float | None
    verdict: str
    reason: str


@frozen
class Freedom:
    """How many coefficients of a fit are free, and how many the rows settle.

    A coefficient is settled when the rows leave at most half of its prior's deviation.
    """

    kernel: str
    phase: str
    gpus: tuple[str, ...]
    rows: int
    free: int
    settled: int


def _value(text: str, kind: object) -> object:
    if text == "" and kind is not str:
        return None
    if kind in (int, int | None):
        return int(text)
    return text if kind is str else float(text)


def _read(path: Path, record: type[T]) -> tuple[T, ...]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(
                record(**{f.name: _value(line[f.name], f.type) for f in fields(record)})  # type: ignore[arg-type]
                for line in csv.DictReader(file)
            )
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise BadData("error.bad_calibration", file=path.name, problem=str(problem)) from problem


@cache
def freedoms() -> tuple[Freedom, ...]:
    """One row for each fit, in the order of the calibration.

    Raises:
        BadData: the calibration is missing or broken.
    """
    return tuple(_freedom(fit) for fit in calibration().fits.values())


def _freedom(fit: Fit) -> Freedom:
    priors = priors_for(FAMILIES[fit.family], fit.phase)
    settled = [name for name, error in fit.errors.items() if error <= SETTLED * priors[name].deviation]
    return Freedom(
        kernel=fit.family,
        phase=fit.phase,
        gpus=fit.gpus,
        rows=fit.rows,
        free=len(fit.errors),
        settled=len(settled),
    )


@cache
def scores() -> tuple[Score, ...]:
    """Every error, in the order of the file.

    Raises:
        BadData: the file is missing or broken.
    """
    return _read(data_folder() / "calibration" / "scores.csv", Score)


@cache
def peers() -> tuple[Peer, ...]:
    """Every comparison, in the order of the file.

    Raises:
        BadData: the file is missing or broken.
    """
    return _read(data_folder() / "calibration" / "peers.csv", Peer)
