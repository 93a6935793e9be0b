"""What every page of widgets stands in: one frame, and colours that can be read."""

import re
from collections.abc import Callable
from pathlib import Path

import ipywidgets
import pytest

from l4guide import report, widgets
from l4guide.plots.history import LOOKS
from l4guide.widgets.frame import PageAssets
from l4guide.widgets.markup import asset

PAGES = (widgets.guide, widgets.matrix, widgets.ledger, widgets.chapter, widgets.kernel)
REPORT = (Path(report.__file__).parent / "report.css").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
def test_every_page_brings_what_keeps_its_keys(page: Callable[[], ipywidgets.VBox]) -> None:
    """The class that the script looks for, and the script."""
    shown = page()
    assert "l4g-page" in shown._dom_classes
    assert any(isinstance(part, PageAssets) for part in shown.children)


def contrast_to_white(colour: str) -> float:
    """By WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


@pytest.mark.parametrize("sheet", [asset("guide.css"), REPORT], ids=["guide", "report"])
def test_unsafe_is_white_on_red_stripes_that_are_read(sheet: str) -> None:
    """Both colours of the stripes stand 4.5 to 1 from the word on them, which either theme leaves as they are."""
    stripes = re.findall(r"#[0-9a-f]{6}", next(line for line in sheet.splitlines() if "-gradient" in line))
    assert stripes
    assert all(contrast_to_white(colour) >= 4.5 for colour in stripes)


def test_unsafe_has_a_look_of_its_own_in_a_figure() -> None:
    """Neither its colour nor its hatch is another status's."""
    others = [look for status, look in LOOKS.items() if status != "unsafe"]
    for mine, theirs in zip(LOOKS["unsafe"], zip(*others, strict=True), strict=True):
        assert mine not in theirs
    assert contrast_to_white(LOOKS["unsafe"][0]) >= 4.5
