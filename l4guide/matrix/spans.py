"""What a card could run, by release date: for each library, stretches of releases that answer alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby

from l4guide.advise.own import LIBRARY
from l4guide.advise.question import ask_for
from l4guide.catalogue import Gpu, find_gpu
from l4guide.frozen import frozen
from l4guide.matrix.verdicts import library_name, verdict_of
from l4guide.support import Release, Verdict, history, libraries
from l4guide.text import Sentence
from l4guide.workload import Workload


@frozen
class Span:
    """Consecutive releases of one library with one status.

    `since` and `until` are its oldest and newest release. `start` is the date of its oldest dated release (None
    where none has a date), `end` the start of the next span (None for what still holds). `verdict` is that of the
    newest release.
    """

    library: str
    status: str
    since: str
    until: str
    start: date | None
    end: date | None
    verdict: Verdict

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The span as JSON; what is not known is absent."""
        told = self.verdict.to_json(language)
        values = {
            "library": self.library,
            "status": self.status,
            "since": self.since,
            "until": self.until,
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
            "message": told["message"],
            "reasons": told["reasons"],
        }
        return {name: value for name, value in values.items() if value is not None}


@frozen
class Timeline:
    """The spans of every library for one question on one card; `known_until` is the newest release date known."""

    gpu: Gpu
    workload: Workload
    spans: tuple[Span, ...]
    known_until: date
    notes: tuple[Sentence, ...]

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The timeline as JSON."""
        asked = {"task": self.workload.task, "head_dim": self.workload.head_dim, "dtype": self.workload.dtype}
        return {
            "question": {"gpu": self.gpu.name, **asked, "dropout": self.workload.dropout},
            "notes": [note.say(language) for note in self.notes],
            "known_until": self.known_until.isoformat(),
            "spans": [span.to_json(language) for span in self.spans],
        }


def timeline(
    gpu: str = "L4", options: Mapping[str, object] | None = None, named: Sequence[str] | None = None
) -> Timeline:
    """When each library began, and ceased, to run a question on a card.

    Our own kernels are left out: they have no published releases yet.

    Args:
        gpu: a card's name, however written.
        options: what is said of the workload, by field of `Workload`.
        named: the libraries; None is every one.

    Raises:
        BadInput: the card, an option or a library is not known.
    """
    card, note = find_gpu(gpu)
    workload, _ = ask_for(card, dict(options or {}))
    names = libraries() if named is None else tuple(dict.fromkeys(map(library_name, named)))
    spans, dates = [], []
    for library in names:
        if library != LIBRARY:
            answers = history(workload, card, library)
            spans += _spans(answers, workload, card, library)
            dates += [release.date for release, _ in answers if release.date]
    return Timeline(
        gpu=card,
        workload=workload,
        spans=tuple(spans),
        known_until=max(dates, default=date.today()),
        notes=() if note is None else (note,),
    )


def _spans(answers: Sequence[tuple[Release, str]], workload: Workload, gpu: Gpu, library: str) -> list[Span]:
    """The spans of one library, oldest first."""
    found: list[Span] = []
    for status, stretch in groupby(answers, key=lambda answer: answer[1]):
        releases = [release for release, _ in stretch]
        newest = releases[-1].version
        start = min((release.date for release in releases if release.date), default=None)
        found.append(
            Span(
                library=library,
                status=status,
                since=releases[0].version,
                until=newest,
                start=start,
                end=None,
                verdict=verdict_of(workload, gpu, library, newest),
            )
        )
    return [replace(span, end=_next_start(found[place + 1 :])) for place, span in enumerate(found)]


def _next_start(later: Sequence[Span]) -> date | None:
    return next((span.start for span in later if span.start), None)
