"""The record of a type from a study of it: what it may answer for, and what it may not."""

from typing import Any

import pytest

from l4guide.tracing.expressions import evaluated
from l4guide.tracing.fitting.fit import NoFit
from l4guide.tracing.fitting.recording import line_of, stands
from l4guide.tracing.resolution import Resolution

WIDTHS = [(64, 100), (128, 100), (192, 300), (64, 200), (128, 400), (256, 100), (192, 200), (320, 300)]


def one(hidden: int, wide: int, other: int, extra: int = 0) -> dict[str, Any]:
    """A configuration of three fields, and what it was seen to be made of: a matrix, and convolutions."""

    def held(path: str, places: list[int], shape: list[int]) -> list[Any]:
        said = {"kind": "mlp", "looked_up": False, "shape": shape, "experts": None, "taken": None}
        return [path, places, said]

    convolutions = [held("tower.*.weight", [place], [axis]) for place, axis in enumerate((7, 512, 3))]
    fields = {"hidden": hidden, "wide": wide, "other": other}
    return {
        "raw": {"model_type": "made", **fields},
        "resolved": fields,
        "class": "Made",
        "two_stacks": False,
        "unsaid": "",
        "parameters": [held("up.weight", [], [hidden, wide]), *convolutions, held("bias", [], [50 + extra])],
        "calls": [],
        "kept": [],
    }


def study(seen: list[dict[str, Any]]) -> dict[str, Any]:
    """A study of these configurations."""
    fields = dict(seen[0]["resolved"])
    alone: dict[str, Any] = {"parts": {}, "derived": [], "legacy": [], "aliases": {}, "said": fields}
    return {"model_type": "made", "fields": fields, "seen": seen, **alone}


def test_layers_without_a_pattern_are_recorded_one_by_one() -> None:
    """As a tower's convolutions are, where there are always as many."""
    line = line_of(study([one(h, w, 16 * n + 16) for n, (h, w) in enumerate(WIDTHS)]), "-")
    fields = Resolution(line, {"model_type": "made", "hidden": 384, "wide": 500, "other": 1})
    assert evaluated(line, fields).parameters == 384 * 500 + 7 + 512 + 3 + 50


def test_fields_that_were_never_apart_are_not_told_apart() -> None:
    """A configuration where they differ is refused: nothing says which of them is meant."""
    line = line_of(study([one(h, w, h) for h, w in WIDTHS]), "-")
    assert not Resolution(line, {"model_type": "made", "hidden": 384, "other": 384}).outside()
    assert Resolution(line, {"model_type": "made", "hidden": 384, "other": 128}).outside()


def test_a_record_may_be_off_by_little_and_not_by_more() -> None:
    """What nothing explains is left where it is small."""
    few = [one(h, w, 16 * n + 16, extra=(n == len(WIDTHS) - 1)) for n, (h, w) in enumerate(WIDTHS)]
    line = line_of(study(few), "-")
    assert stands(line, few)
    many = [one(h, w, 16 * n + 16, extra=999 * (n % 3) ** 4) for n, (h, w) in enumerate(WIDTHS)]
    assert not stands(line, many)
    with pytest.raises(NoFit):
        line_of(study(many), "-")


def test_a_record_that_hardly_ever_answers_does_not_stand() -> None:
    """It is right where it answers, and answers too seldom."""
    line = line_of(study([one(h, w, 16) for h, w in WIDTHS]), "-")
    assert not stands(line, [one(64, 100, other) for other in (16, 32, 48)])
