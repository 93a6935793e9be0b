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
    return str(page.diagnosis.answer.view.value)


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
    assert english != page.diagnosis.answer.view.value


def test_a_dropped_file_is_read_like_a_paste(page: Guide) -> None:
    """Bytes in any encoding; the panel shows the same finding."""
    page.diagnosis.explain(TEXT.encode("utf-16"))
    assert "131,074" in str(page.diagnosis.answer.view.value)


def test_a_finding_asks_the_question_that_it_implies(page: Guide) -> None:
    """Card, head_dim and task of the paste go into the inputs, and the library's verdict says why not."""
    text = (
        "NVIDIA GeForce RTX 3090\n"
        '  File "train.py", line 3, in step\n    loss.backward()\n'
        '  File "flash_attn/flash_attn_interface.py", line 40, in _flash_attn_backward\n    q.shape = (2, 128, 8, 96)\n'
        "RuntimeError: FlashAttention backward for head dim > 64 requires A100 or H100 GPUs"
    )
    explain(page, text)
    assert page.diagnosis.ask.layout.display is None
    assert "RTX 3090" in page.diagnosis.ask.description
    page.diagnosis.ask.click()
    assert page.state.error is None
    assert ("RTX 3090", "training", "96") == (page.state.gpu, page.state.task, page.state.head_dim)
    assert "flash-attn" in str(page.diagnosis.why_not.view.value)


def test_a_finding_without_a_question_offers_none(page: Guide) -> None:
    """A button that would change nothing is not shown."""
    explain(page, "CUDA error: misaligned address")
    assert page.diagnosis.ask.layout.display == "none"
