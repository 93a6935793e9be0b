"""The chapter on what runs where, in JupyterLab and headless Chromium: filter, point, click, switch the language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.browser.conftest import Lab, Visit

NOTEBOOK = "02-what-runs-where.ipynb"
SMALLEST_PLOT_PX = 200
#: Changes arrive in a moment; a machine that is busy with other tests may take a hundred times longer.
PATIENCE_MS = 60_000

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def choose(page: Page, field: str, value: str) -> None:
    """Choose from a filter, named by its class."""
    page.locator(f".l4g-input-{field} select").select_option(label=value)


def cell(page: Page, library: str, column: int) -> Locator:
    """The answer of a library (or card) in a column, counted from 0."""
    row = page.locator(".l4g-matrix tbody tr", has=page.get_by_role("rowheader", name=library, exact=True))
    return row.locator(".l4g-cell").nth(column)


def await_caption(page: Page, pattern: str) -> None:
    """Come back when the table is about what was chosen."""
    page.locator(".l4g-matrix caption", has_text=re.compile(pattern)).wait_for(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def notebook(lab: Lab, lasting_visit: Visit) -> Visit:
    """The chapter's notebook, open and not yet run."""
    lasting_visit.page.set_viewport_size({"width": 1400, "height": 1100})
    lasting_visit.open_notebook(lab, NOTEBOOK)
    return lasting_visit


@pytest.fixture
def page(lab: Lab, notebook: Visit) -> Iterator[Page]:
    """A matrix made anew; at the end it has thrown nothing and asked nobody outside."""
    notebook.run_all_cells()
    await_caption(notebook.page, "L4.*training")
    notebook.page.locator(".guide-plot-timeline .main-svg").first.wait_for(timeout=PATIENCE_MS)
    yield notebook.page
    notebook.assert_sound(lab)


def test_a_cell_says_its_status_in_words_and_its_reason_when_pointed_at(page: Page) -> None:
    """The unsafe cell is no colour alone; the pointer and the keyboard both bring its reason, Escape sends it away."""
    unsafe = cell(page, "flash-attn", 9)
    assert "unsafe" in unsafe.inner_text()
    unsafe.hover()
    reason = page.locator(".l4g-float")
    reason.get_by_text("launches no backward kernel").wait_for(timeout=PATIENCE_MS)
    page.mouse.move(5, 5)
    reason.wait_for(state="hidden", timeout=PATIENCE_MS)
    unsafe.focus()
    reason.get_by_text("launches no backward kernel").wait_for(timeout=PATIENCE_MS)
    described = unsafe.get_attribute("aria-describedby")
    assert "launches no backward kernel" in (page.locator(f"#{described}").text_content() or "")
    page.keyboard.press("Escape")
    reason.wait_for(state="hidden", timeout=PATIENCE_MS)


def test_a_click_opens_the_source(page: Page, notebook: Visit) -> None:
    """A cell leads to the line that it was read from, in a page of its own."""
    address = cell(page, "flash-attn", 8).get_attribute("href") or ""
    assert re.match(r"https://github\.com/Dao-AILab/flash-attention/blob/.+#L\d+", address)
    page.context.route(address.split("#")[0], lambda route: route.fulfill(body="the source"))
    with page.context.expect_page(timeout=PATIENCE_MS) as opened:
        cell(page, "flash-attn", 8).click()
    assert address == opened.value.url
    opened.value.close()


def test_filters_reach_the_table_and_the_timeline(page: Page) -> None:
    """Card, task, library and release each change what is shown; one library on every card has no timeline."""
    choose(page, "gpu", "A100-80GB-SXM")
    await_caption(page, "A100-80GB-SXM")
    page.locator(".guide-plot-timeline .gtitle", has_text="A100-80GB-SXM").wait_for(timeout=PATIENCE_MS)
    assert "2.0.0" in cell(page, "flash-attn", 9).inner_text()
    choose(page, "gpu", "L4")
    choose(page, "library", "flash-attn")
    choose(page, "version", "1.0.9")
    page.locator(".l4g-matrix .l4g-release", has_text=re.compile(r"^1\.0\.9$")).wait_for(timeout=PATIENCE_MS)
    assert "refused" in cell(page, "flash-attn", 5).inner_text()
    choose(page, "version", "every release")
    page.locator(".l4g-matrix .l4g-release", has_text="0.2.1 – 1.0.9").wait_for(timeout=PATIENCE_MS)
    choose(page, "version", "newest")
    choose(page, "gpu", "every GPU")
    await_caption(page, "flash-attn")
    for card in ("T4", "L4", "H100 SXM", "MI300X"):
        assert cell(page, card, 0).is_visible()
    page.locator(".guide-plot-timeline").wait_for(state="hidden", timeout=PATIENCE_MS)


def test_the_timeline_is_drawn_and_written(page: Page) -> None:
    """The figure has a height and says in words what it shows; the table beneath opens."""
    box = page.locator(".guide-plot-timeline .js-plotly-plot").bounding_box(timeout=PATIENCE_MS)
    assert box is not None
    assert SMALLEST_PLOT_PX < box["height"]
    assert "2.5.5" in (page.locator(".guide-plot-timeline [role=img]").get_attribute("aria-label") or "")
    page.locator(".l4g-spans summary").click()
    assert page.locator(".guide-spans").get_by_text("A100/A800").first.is_visible()
    page.locator(".l4g-input-head-dim").get_by_role("button", name="128", exact=True).click()
    page.locator(".guide-plot-timeline .gtitle", has_text="head_dim 128").wait_for(timeout=PATIENCE_MS)


def test_a_mistake_stands_beside_its_filter(page: Page) -> None:
    """A dropout that is no number is explained where it was typed, and the table stays."""
    entry = page.locator(".l4g-input-dropout input")
    entry.fill("abc")
    entry.press("Enter")
    page.locator(".guide-problem", has_text="abc").wait_for(timeout=PATIENCE_MS)
    await_caption(page, "L4")


def test_chinese_replaces_every_sentence(page: Page) -> None:
    """Caption, filters and reasons change with the language."""
    page.locator(".l4g-input-language").get_by_role("button", name="中文", exact=True).click()
    await_caption(page, "训练")
    cell(page, "flash-attn", 9).hover()
    page.locator(".l4g-float", has_text="不报错").wait_for(timeout=PATIENCE_MS)


def test_plain_keys_stay_on_the_page(page: Page, notebook: Visit) -> None:
    """JupyterLab's keys that edit cells do not reach it."""
    notebook.assert_plain_keys_stay(".l4g-input-task button", ".l4g-matrix caption")
