"""The support matrix: implementations by widths of a head, for each card and task that is asked about."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from l4guide.advise.own import LIBRARY
from l4guide.advise.question import ask_for
from l4guide.catalogue import Gpu, Source, find_gpu, gpus
from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.matrix.verdicts import library_name, library_names, release_name, verdict_of
from l4guide.support import Verdict, history
from l4guide.support.verdict import address
from l4guide.text import Sentence
from l4guide.workload import MAX_HEAD_DIM, TASKS, Workload, ask, one_of, whole_number

#: Widths that models use, and one on either side.
HEAD_DIMS = (32, 64, 72, 80, 96, 128, 192, 256, 512)
#: Training with dropout at this width is where libraries differ; it gets a column of its own.
DROPOUT_HEAD_DIM, DROPOUT = 256, 0.1
#: What a card, a task or a version may be called to mean every one.
ALL = "all"


@frozen
class Column:
    """What a column asks: the width of a head, and the dropout."""

    head_dim: int
    dropout: float


@frozen
class Cell:
    """One answer, and the question it answers."""

    column: Column
    verdict: Verdict

    @property
    def status(self) -> str:
        """ok, refused, unsafe or unknown."""
        return self.verdict.status

    @property
    def read_at(self) -> tuple[Source, str] | None:
        """Where the answer was read: its source and the place in it; None where nobody read it anywhere."""
        if self.verdict.source is not None:
            return self.verdict.source, self.verdict.place
        reason = self.verdict.met_first
        return None if reason is None or reason.source is None else (reason.source, reason.place)

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The cell as JSON: its question, and the verdict without what its row says already."""
        told = self.verdict.to_json(language)
        answer = {
            name: value for name, value in told.items() if name not in ("library", "version", "released")
        }
        if self.read_at is not None:
            answer["source"] = address(*self.read_at)
        return {"head_dim": self.column.head_dim, "dropout": self.column.dropout, **answer}


@frozen
class Row:
    """One implementation on one card: a cell for each column, None where the task has no such question.

    `version` is the newest release that the row is about and `since` the oldest: a row of `support_matrix` with
    `version="all"` stands for all releases between them, which give the same statuses.
    """

    gpu: Gpu
    task: str
    dtype: str
    library: str
    since: str
    version: str
    cells: tuple[Cell | None, ...]

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The row as JSON."""
        cells = [cell.to_json(language) for cell in self.cells if cell is not None]
        names = ("task", "dtype", "library", "since", "version")
        return {"gpu": self.gpu.name, **{name: getattr(self, name) for name in names}, "cells": cells}


@frozen
class Matrix:
    """The whole matrix. `said` are the options that hold for every cell, `notes` what was assumed of the cards."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    said: Mapping[str, object]
    notes: tuple[Sentence, ...]

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The matrix as JSON."""
        return {
            "question": dict(self.said),
            "notes": [note.say(language) for note in self.notes],
            "columns": [{"head_dim": c.head_dim, "dropout": c.dropout} for c in self.columns],
            "rows": [row.to_json(language) for row in self.rows],
        }


def support_matrix(
    cards: Sequence[str] = ("L4",),
    tasks: Sequence[str] = ("training",),
    options: Mapping[str, object] | None = None,
    *,
    head_dims: Iterable[object] = HEAD_DIMS,
    libraries: Sequence[str] | None = None,
    version: str | None = None,
) -> Matrix:
    """Ask every implementation about every width.

    Args:
        cards: names of cards, however written; "all" is every card known.
        tasks: prefill, decode, training; "all" is the three.
        options: what else is said of the workload, by field of `Workload`; holds for every cell.
        head_dims: the widths of a head, one column each.
        libraries: the implementations; None is every one.
        version: a release of the one implementation named; None is the newest known of each, "all" is every
            release, consecutive ones that give the same statuses in one row.

    Raises:
        BadInput: a card, task, option, library or version is not known; or a release is named without its library.
    """
    said = {name: value for name, value in (options or {}).items() if value is not None}
    names = library_names() if libraries is None else tuple(dict.fromkeys(map(library_name, libraries)))
    if version not in (None, ALL) and len(names) != 1:
        raise BadInput("error.matrix_version", version=version, all=ALL)
    found = [find_gpu(name) for name in _every(cards, tuple(gpu.name for gpu in gpus()))]
    asked = tuple(one_of("task", task, TASKS) for task in _every(tasks, TASKS))
    columns = _columns(head_dims, asked, said)
    # A card changes the questions only by the type that is assumed for it.
    questions = {
        (gpu.bf16_tensor_cores, task): _questions(gpu, task, columns, said)
        for gpu in {gpu.bf16_tensor_cores: gpu for gpu, _ in found}.values()
        for task in asked
    }
    rows = [
        row
        for gpu, _ in found
        for task in asked
        for name in names
        for row in _rows(questions[gpu.bf16_tensor_cores, task], columns, gpu, name, version)
    ]
    notes = tuple(note for _, note in found if note is not None)
    return Matrix(columns=columns, rows=tuple(rows), said=said, notes=notes)


def _every(names: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """`names`, or all that are known where one of them says so."""
    return known if any(name.strip().lower() == ALL for name in names) else tuple(names)


def _columns(
    head_dims: Iterable[object], tasks: tuple[str, ...], said: Mapping[str, object]
) -> tuple[Column, ...]:
    """A column for each width, and the one with dropout where a task trains and no dropout was said."""
    widths = tuple(
        dict.fromkeys(whole_number("head-dims", width, at_most=MAX_HEAD_DIM) for width in head_dims)
    )
    dropout = ask({"dropout": said.get("dropout")})[0].dropout
    columns = tuple(Column(head_dim=width, dropout=dropout) for width in widths)
    if "training" in tasks and "dropout" not in said and DROPOUT_HEAD_DIM in widths:
        columns += (Column(head_dim=DROPOUT_HEAD_DIM, dropout=DROPOUT),)
    return columns


def _questions(
    gpu: Gpu, task: str, columns: tuple[Column, ...], said: Mapping[str, object]
) -> tuple[Workload | None, ...]:
    """What each column asks of a card; None where only training has the question."""
    return tuple(
        None
        if task != "training" and column.dropout > 0 and "dropout" not in said
        else ask_for(gpu, {**said, "task": task, "head_dim": column.head_dim, "dropout": column.dropout})[0]
        for column in columns
    )


def _rows(
    questions: tuple[Workload | None, ...],
    columns: tuple[Column, ...],
    gpu: Gpu,
    library: str,
    version: str | None,
) -> Iterable[Row]:
    """The rows of one implementation: one, or one for each stretch of releases that are alike."""
    if version != ALL or library == LIBRARY:
        named = release_name(library, None if version == ALL else version)
        stretches = [(named, named)]
    else:
        stretches = _stretches(questions, gpu, library)
    asked = next(workload for workload in questions if workload is not None)
    for since, newest in stretches:
        cells = tuple(
            None
            if workload is None
            else Cell(column=column, verdict=verdict_of(workload, gpu, library, newest))
            for workload, column in zip(questions, columns, strict=True)
        )
        yield Row(
            gpu=gpu,
            task=asked.task,
            dtype=asked.dtype,
            library=library,
            since=since,
            version=newest,
            cells=cells,
        )


def _stretches(questions: tuple[Workload | None, ...], gpu: Gpu, library: str) -> list[tuple[str, str]]:
    """The oldest and the newest release of each stretch that gives the same statuses in every column."""
    every = zip(*(history(workload, gpu, library) for workload in questions if workload), strict=True)
    alike = groupby(every, key=lambda answers: tuple(status for _, status in answers))
    found = [[answers[0][0].version for answers in stretch] for _, stretch in alike]
    return [(versions[0], versions[-1]) for versions in found]
