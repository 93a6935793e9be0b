"""The matrix and the timeline as text: a table for a terminal, Markdown, CSV."""

import csv
import io

from l4guide.matrix.cells import Cell, Column, Matrix, Row
from l4guide.matrix.spans import Timeline
from l4guide.support.verdict import STATUSES
from l4guide.text import say
from l4guide.text.columns import aligned

#: A sign for each status, so that none is told by colour alone.
SYMBOLS = {"ok": "✓", "refused": "✕", "unsafe": "☠", "unknown": "?"}


def status_name(status: str, language: str = "en") -> str:
    """A status by its sign and its word."""
    return f"{SYMBOLS[status]} {say(f'matrix.word_{status}', language)}"


def column_name(column: Column, language: str = "en") -> str:
    """What stands above a column."""
    if column.dropout == 0:
        return str(column.head_dim)
    return say("matrix.column_dropout", language, head_dim=column.head_dim, dropout=f"{column.dropout:g}")


def release_names(row: Row) -> str:
    """The release that a row is about, or the first and the last of several."""
    return row.version if row.since == row.version else f"{row.since} – {row.version}"


def legend(language: str = "en") -> str:
    """What the signs mean."""
    words = {status: say(f"matrix.status_{status}", language) for status in STATUSES}
    signs = " · ".join(f"{SYMBOLS[status]} {word}" for status, word in words.items())
    return say("matrix.legend", language, signs=signs)


def blocks(matrix: Matrix) -> list[tuple[Row, ...]]:
    """The rows by card and task, in their order: each block is a table."""
    keys = dict.fromkeys((row.gpu.name, row.task) for row in matrix.rows)
    return [tuple(row for row in matrix.rows if (row.gpu.name, row.task) == key) for key in keys]


def caption(rows: tuple[Row, ...], language: str = "en") -> str:
    """What a block of rows is about: one card, or one release on several."""
    first = rows[0]
    cards = {row.gpu.name for row in rows}
    about = first.gpu.name if len(cards) == 1 else f"{first.library} {release_names(first)}"
    task = say(f"matrix.task_{first.task}", language)
    return say("matrix.caption", language, about=about, task=task, dtype=first.dtype)


def _heading(matrix: Matrix, language: str) -> list[str]:
    names = [column_name(column, language) for column in matrix.columns]
    return [say("matrix.library", language), say("matrix.version", language), *names]


def _sign(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return f"{SYMBOLS[cell.status]} {_first(cell)}".strip()


def _word(cell: Cell | None, language: str) -> str:
    if cell is None:
        return ""
    word = say(f"matrix.word_{cell.status}", language)
    return f"{SYMBOLS[cell.status]} {_first(cell) or word}"


def _first(cell: Cell) -> str:
    """The first release that answers ok, beside an ok."""
    return (cell.verdict.first_version or "") if cell.status == "ok" else ""


def as_table(matrix: Matrix, language: str = "en") -> str:
    """Columns for a terminal; a sign in each cell, with the first release that works beside an ok."""
    parts = []
    for rows in blocks(matrix):
        lines = [_heading(matrix, language)]
        lines += [[row.library, release_names(row), *map(_sign, row.cells)] for row in rows]
        parts.append("\n".join([caption(rows, language), *aligned(lines)]))
    notes = [note.say(language) for note in matrix.notes]
    return "\n\n".join([*parts, "\n".join([*notes, legend(language)])])


def as_markdown(matrix: Matrix, language: str = "en") -> str:
    """One Markdown table for each card and task, its caption above and the legend below the last."""
    parts = []
    for rows in blocks(matrix):
        lines = [_heading(matrix, language), ["---"] * (2 + len(matrix.columns))]
        lines += [
            [row.library, release_names(row), *(_word(cell, language) for cell in row.cells)] for row in rows
        ]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"{caption(rows, language)}\n\n{table}")
    return "\n\n".join([*parts, legend(language)])


#: Columns of the CSV, one line a cell.
CSV_COLUMNS = (
    *("gpu", "task", "dtype", "library", "since", "version", "head_dim", "dropout", "status"),
    *("first_version", "first_version_date", "last_refused", "code", "evidence", "message", "source"),
)


def as_csv(matrix: Matrix, language: str = "en") -> str:
    """One line a cell, with the reason and where it was read."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in matrix.rows:
        told = row.to_json(language)
        for cell, answer in zip((c for c in row.cells if c), told.pop("cells"), strict=True):  # type: ignore[call-overload]
            reason = cell.verdict.met_first
            found = {"code": reason.code, "evidence": reason.evidence} if reason else {}
            writer.writerow({**told, **found, **answer})
    return buffer.getvalue().rstrip("\n")


def timeline_table(found: Timeline, language: str = "en") -> str:
    """One line a span: library, releases, dates, status and why."""
    now = say("timeline.still", language)
    lines = [
        [
            span.library,
            span.since if span.since == span.until else f"{span.since} – {span.until}",
            f"{span.start or say('timeline.undated', language)} – {span.end or now}",
            status_name(span.status, language),
            "" if span.status == "ok" else str(span.to_json(language)["message"]),
        ]
        for span in found.spans
    ]
    values = {"gpu": found.gpu.name, "head_dim": found.workload.head_dim, "date": found.known_until}
    task = say(f"matrix.task_{found.workload.task}", language)
    heading = say("timeline.caption", language, **values, task=task, dtype=found.workload.dtype)
    notes = [note.say(language) for note in found.notes]
    return "\n".join([heading, *(aligned(lines) if lines else []), *notes])
