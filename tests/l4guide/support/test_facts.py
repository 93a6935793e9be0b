"""The collected facts, row by row: what each release is known to do on each card, with the exact words."""

import csv
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from l4guide import support
from l4guide.catalogue import gpu
from l4guide.errors import BadInput
from l4guide.workload import ask

Check = Callable[..., support.Verdict]
#: Row 17 repeats others in the words of a README; row 26 is an unreleased branch.
TOLD_ELSEWHERE = {17, 26}
LAST_ROW = 77


def _rows() -> list[dict[str, str]]:
    path = Path(__file__).parent / "facts.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def _questions() -> Iterator[dict[str, str]]:
    """One question for each release, card and setting of a row; several stand between bars."""
    for row in _rows():
        for version, card, options in product(
            *(row[name].split("|") for name in ("version", "gpu", "options"))
        ):
            yield {**row, "version": version.strip(), "gpu": card.strip(), "options": options.strip()}


@pytest.mark.parametrize(
    "asked",
    list(_questions()),
    ids=lambda q: f"{q['row']} {q['library']} {q['version']} {q['gpu']} {q['options']}",
)
def test_a_fact_is_reproduced(check: Check, asked: dict[str, str]) -> None:
    """Status and words are those of the fact; where it is refused, the words are those of one of the reasons."""
    options = dict(pair.split("=") for pair in asked["options"].split())
    verdict = check(asked["library"], asked["version"] or None, asked["gpu"], **options)
    assert asked["status"] == verdict.status, str(verdict.message)
    told = [str(reason.text) for reason in verdict.reasons] or [str(verdict.message)]
    if asked["text"].startswith("= "):
        assert asked["text"].removeprefix("= ") in told
    else:
        assert any(asked["text"] in text for text in told), told


def test_every_row_is_asked_about() -> None:
    """No row of the facts is without a question, the table for L4 at one glance (0) included."""
    asked = {int(number) for row in _rows() for number in row["row"].split("+") if number.isdigit()}
    assert set(range(LAST_ROW + 1)) - TOLD_ELSEWHERE == asked


def test_what_is_not_released_has_no_release() -> None:
    """Row 26: a wider head on L4 is an open pull request, so that no release of flash-attn takes it."""
    verdict = support.check(ask({"head_dim": 512})[0], gpu("L4"), "flash-attn")
    assert (None, "refused") == (verdict.first_version, verdict.status)
    with pytest.raises(BadInput):
        support.find_release("flash-attn", "2.9.0")
