"""The support matrix: every cell is a verdict, and every format says the same."""

import csv
import io
import re
from itertools import chain, pairwise

import pytest

from l4guide import __version__, catalogue
from l4guide.advise.own import LIBRARY, own_verdict
from l4guide.catalogue import Gpu, gpus
from l4guide.errors import BadInput
from l4guide.matrix import (
    HEAD_DIMS,
    SYMBOLS,
    Matrix,
    Row,
    as_csv,
    as_markdown,
    as_table,
    library_names,
    support_matrix,
    verdicts,
)
from l4guide.support import Verdict, check, judge, libraries, releases
from l4guide.support.verdict import STATUSES
from l4guide.workload import Workload, ask


@pytest.fixture(scope="module")
def training() -> Matrix:
    """What the newest releases train on an L4."""
    return support_matrix()


def statuses(row: Row) -> list[str | None]:
    """The statuses of a row."""
    return [None if cell is None else cell.status for cell in row.cells]


def row_of(matrix: Matrix, library: str) -> Row:
    """The one row of a library."""
    (row,) = (row for row in matrix.rows if row.library == library)
    return row


def test_every_library_has_a_row_and_every_width_a_column(training: Matrix) -> None:
    """No list of libraries or widths is kept beside the data; dropout has a column where it matters."""
    assert [*libraries(), "l4guide"] == [row.library for row in training.rows] == list(library_names())
    assert [*HEAD_DIMS, 256] == [column.head_dim for column in training.columns]
    assert [0.0] * len(HEAD_DIMS) + [0.1] == [column.dropout for column in training.columns]
    assert {("L4", "training", "bf16")} == {(row.gpu.name, row.task, row.dtype) for row in training.rows}


def test_every_cell_is_the_verdict_on_its_question(training: Matrix) -> None:
    """The matrix adds and loses nothing: each cell is what `check` answers."""
    for row in training.rows:
        for cell in row.cells if row.library != "l4guide" else ():
            assert cell is not None
            said = {"task": "training", "head_dim": cell.column.head_dim, "dropout": cell.column.dropout}
            assert check(ask(said)[0], catalogue.gpu("L4"), row.library) == cell.verdict
            assert releases(row.library)[-1].version == row.version == cell.verdict.version


def test_flash_attn_on_l4() -> None:
    """The row that the guide exists for, with the first release that runs each width."""
    row = row_of(support_matrix(head_dims=(64, 128, 256, 512), libraries=["flash-attn"]), "flash-attn")
    assert ["ok", "ok", "ok", "refused", "unsafe"] == statuses(row)
    firsts = [cell.verdict.first_version for cell in row.cells[:3] if cell]
    assert ["0.2.1", "2.0.0", "2.5.5"] == firsts


def test_a_release_may_be_named() -> None:
    """The last release of the first generation refuses all but narrow heads."""
    matrix = support_matrix(head_dims=(64, 128), libraries=["Flash Attn"], version="1.0.9")
    assert ("1.0.9", "1.0.9") == (row_of(matrix, "flash-attn").since, row_of(matrix, "flash-attn").version)
    assert ["ok", "refused"] == statuses(row_of(matrix, "flash-attn"))


def test_all_releases_share_rows_where_they_agree() -> None:
    """The stretches cover every release once, in order, and neighbours differ."""
    rows = support_matrix(head_dims=(64, 128, 256), libraries=["flash-attn"], version="all").rows
    known = [release.version for release in releases("flash-attn")]
    stretches = [known[known.index(row.since) : known.index(row.version) + 1] for row in rows]
    assert known == list(chain.from_iterable(stretches))
    assert all(statuses(one) != statuses(next_one) for one, next_one in pairwise(rows))
    assert ("2.0.0", "2.5.4") in [(row.since, row.version) for row in rows]
    for row, versions in zip(rows, stretches, strict=True):
        workload = ask({"task": "training", "head_dim": 256})[0]
        found = {check(workload, row.gpu, "flash-attn", version).status for version in versions}
        assert {row.cells[2] and row.cells[2].status} == found


def test_cards_and_tasks_may_be_several() -> None:
    """Rows for each card and task; what only training asks is no cell of prefill."""
    matrix = support_matrix(
        ["L4", "H100"], ["prefill", "training"], head_dims=(256,), libraries=["flash-attn"]
    )
    found = {(row.gpu.name, row.task): statuses(row) for row in matrix.rows}
    assert {
        ("L4", "prefill"): ["ok", None],
        ("L4", "training"): ["ok", "unsafe"],
        ("H100 SXM", "prefill"): ["ok", None],
        ("H100 SXM", "training"): ["ok", "ok"],
    } == found
    assert "H100" in matrix.notes[0].say()
    assert "H100 SXM" in as_table(matrix)


@pytest.mark.parametrize("task", ["prefill", "decode", "training"])
def test_all_cards_are_answered(task: str) -> None:
    """No card of the catalogue, whoever made it, ends in an error."""
    matrix = support_matrix(["all"], [task], head_dims=(128,), libraries=["flash-attn", "l4guide"])
    assert [gpu.name for gpu in catalogue.gpus() for _ in range(2)] == [row.gpu.name for row in matrix.rows]
    assert set(STATUSES) >= {status for row in matrix.rows for status in statuses(row)}


def test_options_hold_for_every_cell() -> None:
    """A dropout that is said is asked everywhere, and needs no column of its own."""
    matrix = support_matrix(options={"dropout": "0.1", "dtype": "fp16"}, libraries=["flash-attn"])
    assert {0.1} == {column.dropout for column in matrix.columns}
    assert len(HEAD_DIMS) == len(matrix.columns)
    assert "unsafe" == statuses(matrix.rows[0])[HEAD_DIMS.index(256)]
    assert "fp16" == matrix.rows[0].dtype


def test_a_card_without_bf16_is_asked_in_fp16() -> None:
    """The type that was not said is one that the card has, and the row says which."""
    assert {"fp16"} == {row.dtype for row in support_matrix(["T4"], head_dims=(64,)).rows}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"version": "1.0.9"}, "--library"),
        ({"libraries": ["flash-attn"], "version": "2.5.99"}, "2.8.3"),
        ({"libraries": ["l4guide"], "version": "9.9"}, __version__),
        ({"libraries": ["flash-atn"]}, "flash-attn"),
        ({"cards": ["L5"]}, "L4"),
        ({"tasks": ["training", "sleep"]}, "prefill"),
        ({"head_dims": ["64", "x"]}, "head-dims"),
        ({"head_dims": [0]}, "head-dims"),
        ({"options": {"dropout": "2"}}, "dropout"),
    ],
)
def test_what_cannot_be_asked_is_explained(arguments: dict[str, object], word: str) -> None:
    """One line names the value and the way out."""
    with pytest.raises(BadInput, match=re.escape(word)):
        support_matrix(**arguments)  # type: ignore[arg-type]


def test_every_answer_says_where_it_was_read(training: Matrix) -> None:
    """A cell of a library has a source unless nobody knows; its JSON gives the address."""
    for row in training.rows:
        for cell in row.cells if row.library != "l4guide" else ():
            assert cell is not None
            assert (cell.read_at is None) == (cell.status == "unknown")
            assert cell.status == "unknown" or str(cell.to_json()["source"]).startswith("https://")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_table_has_a_line_for_each_row(training: Matrix, language: str) -> None:
    """Caption, heading, rows, legend; the signs are explained."""
    lines = as_table(training, language).splitlines()
    assert len(training.rows) + 4 == len(lines)
    assert all(sign in lines[-1] for sign in SYMBOLS.values())
    flash = next(line for line in lines if line.startswith("flash-attn "))
    assert "✓ 2.5.5" in flash
    assert flash.endswith("☠")


def test_markdown_says_the_statuses_in_words(training: Matrix) -> None:
    """Every row has as many cells as the heading; a refusal is a word, not a sign alone."""
    lines = [line for line in as_markdown(training).splitlines() if line.startswith("|")]
    assert {lines[0].count("|")} == {line.count("|") for line in lines}
    assert any("✕ refused | ☠ unsafe |" in line for line in lines)


def test_csv_is_one_line_a_cell(training: Matrix) -> None:
    """It reads back with the reason, its rule and its source."""
    rows = list(csv.DictReader(io.StringIO(as_csv(training))))
    assert len(training.rows) * len(training.columns) == len(rows)
    unsafe = next(row for row in rows if row["status"] == "unsafe")
    assert ("flash-attn", "256", "0.1") == (unsafe["library"], unsafe["head_dim"], unsafe["dropout"])
    assert unsafe["source"].startswith("https://github.com/Dao-AILab/")
    assert all((unsafe["code"], unsafe["evidence"], unsafe["message"]))


def test_json_holds_question_columns_and_rows(training: Matrix) -> None:
    """What is said by the row is not repeated in its cells."""
    said = training.to_json()
    assert ["question", "notes", "columns", "rows"] == list(said)
    rows = said["rows"]
    assert isinstance(rows, list)
    assert ["gpu", "task", "dtype", "library", "since", "version", "cells"] == list(rows[0])
    flash = next(row for row in rows if row["library"] == "flash-attn")
    assert ("ok", "2.0.0") == tuple(flash["cells"][5][name] for name in ("status", "first_version"))
    assert "library" not in rows[0]["cells"][0]


def test_cards_that_the_rules_cannot_tell_apart_share_their_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every card at once asks the rules, and our own kernels, once for each kind of chip."""
    asked: list[tuple[object, ...]] = []
    own: list[tuple[object, ...]] = []
    read = judge._read

    def counted(workload: Workload, card: Gpu, library: str, *rest: object) -> object:
        asked.append((workload, card.name))
        return read(workload, card, library, *rest)  # type: ignore[arg-type]

    def own_counted(workload: Workload, card: Gpu) -> Verdict:
        own.append((workload, card.name))
        return own_verdict(workload, card)

    for cached in (judge._answers, judge._answer, judge._verdict, verdicts.verdict_of, verdicts._own):
        cached.cache_clear()
    monkeypatch.setattr(judge, "_read", counted)
    monkeypatch.setattr(verdicts, "own_verdict", own_counted)
    support_matrix(["all"], head_dims=[88], libraries=["flash-attn-4", LIBRARY])
    nvidia = {(card.capability, card.shared_bytes_per_block) for card in gpus() if card.vendor == "NVIDIA"}
    assert {card for _, card in asked} <= {card.name for card in gpus() if card.vendor == "NVIDIA"}
    assert len(nvidia) >= len({card for _, card in asked})
    assert len({card.name for card in gpus()}) > 2 * len(nvidia)
    assert len(set(own)) == len(own) < len(gpus()) / 2


def test_a_shared_answer_names_the_card_that_was_asked_about() -> None:
    """What was answered for one card of a kind is said of the others by their own names."""
    names = [card.name for card in gpus() if card.capability == "8.9"]
    matrix = support_matrix(names, head_dims=[64], libraries=["flash-attn", "torch/sdpa"])
    for row in matrix.rows:
        cell = row.cells[0]
        assert cell is not None
        for language in ("en", "zh"):
            assert f" {row.gpu.name}" in str(cell.verdict.to_json(language)["message"])
