"""`l4guide measure`: a run, a record that is read, or tuned tiles, told as tables; plots lie beside a new record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from l4guide.measure.bars import agreement, bars
from l4guide.measure.listing import record_table
from l4guide.measure.measurement import Record, read
from l4guide.measure.probe import attached
from l4guide.measure.records import home, latest_journal, new_file
from l4guide.measure.survey import benchmark
from l4guide.measure.tuning import tune
from l4guide.text import say

Tell = Callable[[str], None]


def measured(
    *, suite: str, out: Path | None, resume: bool, earlier: Path | None, language: str, tell: Tell
) -> tuple[dict[str, Any], str]:
    """Run the benchmark; its record as JSON, and as text with what lies where.

    Args:
        suite: one of `l4guide.measure.suite.SUITES`.
        out: where the record goes; among the others, named by card and day, when None. Without a GPU nowhere then.
        resume: go on with the run whose journal lies beside `out`, or was written to last.
        earlier: the record of another run, to see whether the two agree.
        language: one of `l4guide.text.LANGUAGES`.
        tell: takes lines of progress.

    Raises:
        Problem: a file cannot be read or written, there is nothing to resume, or nothing can be measured.
    """
    before = None if earlier is None else read(earlier)
    cards = attached()
    if out is None and resume:
        out = latest_journal(home())
    elif out is None and cards:
        out = new_file(cards[0].catalogue_name or cards[0].name)
    record = benchmark(out, _teller(tell, language), suite=suite, resume=resume)
    parts = [record_table(record, language, before)]
    if out is not None:
        parts += [say("bench.wrote", language, path=out), _plots(record, out, language)]
        parts += [] if record.complete else [say("bench.go_on", language, path=out)]
    return _said(record, before), "\n\n".join(part for part in parts if part)


def shown(path: Path, *, earlier: Path | None, language: str) -> tuple[dict[str, Any], str]:
    """A record that was written before, as JSON and as text.

    Raises:
        Problem: a file cannot be read, or is not a record.
    """
    record, before = read(path), None if earlier is None else read(earlier)
    return _said(record, before), record_table(record, language, before)


def tuned(out: Path | None, *, language: str, tell: Tell) -> tuple[dict[str, Any], str]:
    """Time tiles on the attached GPU; what was found as JSON and as text.

    Raises:
        CannotDo: there is no GPU, or the file cannot be written.
    """
    found = tune(out, _teller(tell, language))
    return found.to_json(), found.say(language)


def _said(record: Record, before: Record | None) -> dict[str, Any]:
    """The record, and what the bars come to."""
    every = [*bars(record), *([agreement(record, before)] if before else [])]
    return {**record.to_json(), "bars": [bar.to_json() for bar in every]}


def _plots(record: Record, out: Path, language: str) -> str:
    """Draw the record beside it, where there is something to draw and something to draw it with."""
    if record.basis != "gpu":
        return ""
    try:
        from l4guide.plots.bench import write_plots

        page = write_plots(record, out.with_suffix(".html"), language)
    except ImportError as missing:
        return say("bench.no_plots", language, reason=missing)
    return say("bench.plots", language, path=page)


def _teller(tell: Tell, language: str) -> Callable[[Mapping[str, Any]], None]:
    def hear(event: Mapping[str, Any]) -> None:
        if "key" in event:
            tell(say(event["key"], language, **event.get("values", {})))

    return hear
