"""A recorded run: rows of what was measured, with all that decides what another run may be compared to."""

import errno
import json
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from l4guide.errors import BadData, CannotDo
from l4guide.files import write_text
from l4guide.frozen import frozen

T = TypeVar("T")

SCHEMA = 2
#: Where a number was seen: on the attached GPU, or in Triton's interpreter on a CPU (correctness only).
BASES = ("gpu", "interpreter")
PASSES = ("forward", "backward")
STATUSES = ("ok", "wrong", "refused", "failed", "not_reached", "not_installed")
#: The first second from rest, and the seconds after it, when clocks have settled.
STRETCHES = ("first", "sustained")


@frozen
class Measurement:
    """One pass ("forward" or "backward") of one implementation on one workload.

    Times, rates and sensors are None unless they were measured on a GPU. `max_error` is the largest absolute
    difference from the fp64 reference, over the output or over the gradients; `torch_error` is what PyTorch
    reaches in the same dtype on the same tensor; `bound` is what passes. All three are of `worst_tensor`, the
    one nearest to its bound or beyond it. `latency_ms` is the median with the L2 cache flushed before each
    call, `low_ms` and `high_ms` its 20th and 80th percentile, `warm_ms` the median without the flush.

    `kv_dtype` is that of a cache kept in 8 bits, None where K and V are of `dtype`. `cosine` is that of the angle
    to the fp64 result. `gemm_share` and `copy_share` hold the row's rate against the sustained ceilings of its run.

    `status` is ok; wrong (error above the bound); refused (`reason` says what it raised); failed (the process or
    the device did not survive it); not_reached (the run ended first); or not_installed.
    """

    implementation: str
    version: str | None
    status: str
    reason: str | None
    basis: str
    task: str
    attention_pass: str
    batch: int
    seqlen_q: int
    seqlen_kv: int
    heads: int
    kv_heads: int
    head_dim: int
    dtype: str
    causal: bool
    kv_dtype: str | None = None
    section: str | None = None
    max_error: float | None = None
    torch_error: float | None = None
    bound: float | None = None
    cosine: float | None = None
    worst_tensor: str | None = None
    rows_checked: int | None = None
    latency_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    warm_ms: float | None = None
    repeats: int | None = None
    tflops: float | None = None
    gb_per_s: float | None = None
    gemm_share: float | None = None
    copy_share: float | None = None
    sm_clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the error is within the bound; None when it was not checked."""
        return None if self.max_error is None or self.bound is None else self.max_error <= self.bound

    def to_json(self) -> dict[str, Any]:
        """The row without what is not known: a row from a CPU has no key for a time."""
        return _known(self)


@frozen
class Pace:
    """How fast one thing went over a stretch of time, called again and again without a pause.

    `what` is gemm, copy, read, or the name of an implementation; `on` says on what. `rate` is the median in `unit`
    ("TFLOP/s" or "GB/s"), `low` and `high` its 20th and 80th percentile.
    """

    what: str
    on: str
    stretch: str
    seconds: float
    rate: float
    low: float
    high: float
    unit: str
    sm_clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The pace without what is not known."""
        return _known(self)


@frozen
class Record:
    """One run on one machine on one day.

    `suite` is what was asked of it: full, quick, or live for a single workload. `complete` is False when it was
    stopped half-way. `kernels` is a digest of our kernels' sources.
    """

    schema: int = SCHEMA
    measured_at: str
    l4guide_version: str
    suite: str = "live"
    complete: bool
    basis: str
    gpu: str | None
    gpu_reported_name: str | None
    capability: str | None
    driver: str | None
    memory_total_mib: int | None
    power_limit_w: float | None
    max_sm_clock_mhz: int | None
    python: str
    platform: str
    libraries: Mapping[str, str]
    kernels: str | None = None
    sm_count: int | None = None
    l2_bytes: int | None = None
    paces: tuple[Pace, ...] = ()
    rows: tuple[Measurement, ...]

    def pace(self, what: str, stretch: str = "sustained") -> float | None:
        """The rate of `what` over a stretch; None where it was not measured."""
        return next((p.rate for p in self.paces if (what, stretch) == (p.what, p.stretch)), None)

    def to_json(self) -> dict[str, Any]:
        """The record as it is written, rows last."""
        paces = [pace.to_json() for pace in self.paces]
        return {**_known(self), "paces": paces, "rows": [row.to_json() for row in self.rows]}


def write(record: Record, path: Path) -> None:
    """Write `record` to `path` as JSON, wholly or not at all.

    Raises:
        CannotDo: the folder does not exist or may not be written to, or the disk is full.
    """
    text = json.dumps(record.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def check_writable(path: Path) -> None:
    """Find out before a run, not after it, that `path` cannot be written.

    Raises:
        CannotDo: the same as `write`.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        import tempfile  # as in `files`

        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as problem:
        raise CannotDo("error.cannot_write", path=path, problem=problem.strerror or problem) from problem


def read(path: Path) -> Record:
    """The record in `path`, every value checked.

    Raises:
        CannotDo: the file cannot be read.
        BadData: it is not a record, is of another schema, or holds a value of the wrong type.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise CannotDo("error.record_not_read", path=path, reason=reason) from problem
    except ValueError as problem:
        raise BadData("error.record_not_json", path=path, reason=str(problem)) from problem
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise BadData("error.record_schema", path=path, found=found, schema=SCHEMA)
    lists = {name: content.pop(name, None) for name in ("rows", "paces")}
    for name, found in lists.items():
        if not isinstance(found, list):
            raise BadData("error.record_value", path=path, row="-", column=name, value=found)
    rows = (row_from_json(row, where=str(path), index=i) for i, row in enumerate(lists["rows"], start=1))
    paces = (pace_from_json(pace, where=str(path)) for pace in lists["paces"])
    record = _typed(Record, {**content, "rows": tuple(rows), "paces": tuple(paces)}, str(path), "-")
    try:
        datetime.fromisoformat(record.measured_at)
    except ValueError as problem:
        where = {"path": path, "row": "-", "column": "measured_at", "value": record.measured_at}
        raise BadData("error.record_value", **where) from problem
    return record


def row_from_json(row: object, *, where: str = "-", index: int = 1) -> Measurement:
    """One row, every value checked; what is absent is not known.

    Raises:
        BadData: a column is missing, unknown, of the wrong type or outside its choices.
    """
    measurement = _typed(Measurement, row, where, str(index))
    choices = {"basis": BASES, "status": STATUSES, "attention_pass": PASSES}
    return _checked(measurement, choices, where, str(index))


def pace_from_json(pace: object, *, where: str = "-") -> Pace:
    """One pace, every value checked.

    Raises:
        BadData: the same as `row_from_json`.
    """
    return _checked(_typed(Pace, pace, where, "paces"), {"stretch": STRETCHES}, where, "paces")


def _checked(value: T, choices: Mapping[str, tuple[str, ...]], where: str, row: str) -> T:
    for column, allowed in choices.items():
        if getattr(value, column) not in allowed:
            found = getattr(value, column)
            raise BadData("error.record_value", path=where, row=row, column=column, value=found)
    return value


def _known(value: Measurement | Pace | Record) -> dict[str, Any]:
    columns = ((f.name, getattr(value, f.name)) for f in fields(value))
    return {name: column for name, column in columns if column is not None}


def _typed(kind: type[T], content: object, where: str, row: str) -> T:
    """`kind` built from JSON whose every value has the annotated type; an optional column may be absent."""
    if not isinstance(content, dict):
        raise BadData("error.record_value", path=where, row=row, column="-", value=content)
    hints = get_type_hints(kind)
    for column in content:
        if column not in hints:
            raise BadData("error.record_value", path=where, row=row, column=column, value=content[column])
    values = {column: content.get(column) for column in hints}
    for column, hint in hints.items():
        if not _fits(values[column], hint):
            raise BadData("error.record_value", path=where, row=row, column=column, value=values[column])
    return kind(**values)


def _fits(value: object, hint: object) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    origin = typing.get_origin(hint)
    if origin is not None:
        return isinstance(value, origin)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, typing.cast(type, hint)) and (hint is bool or not isinstance(value, bool))
