"""An error pasted into the guide is explained there, or said to be unknown."""

import pytest

from l4guide.widgets import Guide

TEXT = (
    "triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 131074, "
    "Hardware limit: 101376. Reducing block sizes or `num_stages` may help. <script>alert(1)</script>"
)


@pytest.fixture
def page() -> Guide:
    """A guide."""
    return Guide()


def explain(page: Guide, text: str) -> str:
    """Paste `text`, press the button, and read what is shown."""
    page.diagnosis.pasted.value = text
    page.diagnosis.read.click()
    assert page.state.error is None
    return str(page.diagnosis.view.children[-1].value)


def test_a_known_error_is_explained_with_its_numbers_and_ways_out(page: Guide) -> None:
    """Required and available bytes, the cause, fixes with their cost, and a link that opens beside."""
    shown = explain(page, TEXT)
    assert "131,074" in shown
    assert "101,376" in shown
    assert "not GPU memory (VRAM)" in shown
    assert "<ol><li>" in shown
    assert 'rel="noopener"' in shown
    assert "<script>" not in shown


def test_an_unknown_error_is_said_to_be_unknown(page: Guide) -> None:
    """No guess is made."""
    assert "No known error message" in explain(page, "ValueError: the moon is full")


def test_an_empty_paste_asks_for_text_and_the_language_follows(page: Guide) -> None:
    """What is missing is said in one line, in the language of the page."""
    english = explain(page, "")
    assert "guide-problem" in english
    page.state.language = "zh"
    assert english != page.diagnosis.view.children[-1].value
