"""The chapter on the kernels as a reader meets it: maths and source, a tile that moves, a softmax at work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import Lab, Visit

PATIENCE_MS = 60_000
COMPILE_PATIENCE_MS = 300_000
NOTEBOOK = "05-the-kernels-by-hand.ipynb"

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.compile]


@pytest.fixture(scope="module")
def notebook(lab: Lab, lasting_visit: Visit) -> Visit:
    """The chapter's notebook, open and not yet run."""
    lasting_visit.page.set_viewport_size({"width": 1700, "height": 1200})
    lasting_visit.open_notebook(lab, NOTEBOOK)
    return lasting_visit


@pytest.fixture
def page(lab: Lab, notebook: Visit) -> Iterator[Page]:
    """The chapter made anew; at the end it is sound."""
    notebook.run_all_cells()
    notebook.page.locator(".kernel-steps").wait_for(timeout=PATIENCE_MS)
    yield notebook.page
    notebook.assert_sound(lab)


def cell(page: Page, quantity: str) -> str:
    """What the table of changes says of a quantity now."""
    said: str = page.locator(f".kernel-moved .kernel-{quantity} .kernel-now").inner_text(timeout=PATIENCE_MS)
    return said


def choose(page: Page, field: str, value: str) -> None:
    """Choose from an input's list, named by its class."""
    page.locator(f".l4g-input-{field} select").select_option(value)


def test_the_reader_changes_a_tile_and_sees_the_numbers_move(page: Page) -> None:
    """The maths is typeset, bytes follow at once, the compiler fills in the rest, the table keeps both."""
    page.locator(".kernel-maths mjx-container").first.wait_for(timeout=PATIENCE_MS)
    assert page.locator(".kernel-step").count() == page.locator(".kernel-maths mjx-container").count()
    assert "softmax_step(scores, m_i, l_i, MASKED, " in page.locator(".kernel-step-softmax").inner_text()
    before = cell(page, "shared-bytes")
    page.locator(".kernel-published").click()
    page.locator(".kernel-moved .kernel-shared-bytes", has_text="57,344").wait_for(timeout=PATIENCE_MS)
    assert before in page.locator(".kernel-moved .kernel-shared-bytes").inner_text()
    choose(page, "block-n", "32")
    page.locator(".kernel-moved .kernel-registers .kernel-now", has_text="–").wait_for(timeout=PATIENCE_MS)
    page.locator(".kernel-compile").click()
    page.locator(".guide-status", has_text="Compiled for L4").wait_for(timeout=COMPILE_PATIENCE_MS)
    assert 0 < int(cell(page, "registers")) <= 255
    assert cell(page, "spill-bytes").replace(",", "").isdigit()
    assert "%" in cell(page, "tensor-percent")
    assert 3 == page.locator(".kernel-tried tbody tr").count()
    assert "compiled" in page.locator(".kernel-current").inner_text()


def test_the_reader_watches_the_softmax_go_from_block_to_block(page: Page) -> None:
    """One row in the interpreter, four blocks, beside the exact numbers; then in Chinese."""
    page.locator(".trace-run").click()
    page.locator(".trace-table").wait_for(timeout=COMPILE_PATIENCE_MS)
    assert 4 == page.locator(".trace-table tbody tr").count()
    assert page.locator(".trace-rescaled").count() >= 1
    page.locator(".guide-status", has_text="Done").wait_for(timeout=COMPILE_PATIENCE_MS)
    page.locator(".l4g-language").get_by_role("button", name="中文").click()
    page.locator(".trace-end", has_text="精确值").wait_for(timeout=PATIENCE_MS)
    page.locator(".kernel-step-softmax", has_text="在线 softmax").wait_for(timeout=PATIENCE_MS)
    page.locator(".kernel-maths mjx-container").first.wait_for(timeout=PATIENCE_MS)


def test_plain_keys_stay_on_the_page(page: Page, notebook: Visit) -> None:
    """JupyterLab's keys that edit cells do not reach it."""
    notebook.assert_plain_keys_stay(".kernel-published", ".l4g-title")
