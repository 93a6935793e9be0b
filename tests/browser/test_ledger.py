"""The chapter on shared memory as a reader meets it: bars, buffers, fixes from the compiler, issue slots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from l4guide.text import say

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import Lab, Visit

PATIENCE_MS = 60_000
COMPILE_PATIENCE_MS = 300_000
PLOT = ".guide-plot-ledger"

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.compile]


def choose(page: Page, field: str, value: str) -> None:
    """Choose from an input's list, named by its class."""
    page.locator(f".l4g-input-{field} select").select_option(value)


def await_alt(page: Page, pattern: str) -> str:
    """What the figure says in words, once it matches."""
    plot = page.locator(f"{PLOT} [role=img]")
    for _ in range(PATIENCE_MS // 200):
        said = plot.get_attribute("aria-label", timeout=PATIENCE_MS) or ""
        if re.search(pattern, said):
            return said
        page.wait_for_timeout(200)
    raise AssertionError(f"{pattern} is not in: {said}")


@pytest.fixture(scope="module")
def notebook(lab: Lab, lasting_visit: Visit) -> Visit:
    """The chapter's notebook, open and not yet run."""
    lasting_visit.page.set_viewport_size({"width": 1400, "height": 1600})
    lasting_visit.open_notebook(lab, "03-why-shared-memory.ipynb")
    return lasting_visit


@pytest.fixture
def page(lab: Lab, notebook: Visit) -> Iterator[Page]:
    """The chapter made anew; at the end it is sound."""
    notebook.run_all_cells()
    notebook.page.locator(f"{PLOT} .main-svg").first.wait_for(timeout=PATIENCE_MS)
    yield notebook.page
    notebook.assert_sound(lab)


def test_the_reader_sees_why_and_has_the_compiler_find_a_way_out(page: Page) -> None:
    """FlashAttention-1's tile does not fit, ours does; in its shape ours does not, and what fits is compiled."""
    said = await_alt(page, "155,648 bytes, does not fit")
    assert "65,536" in said
    assert "81,920 bytes, fits" in said
    box = page.locator(f"{PLOT} .js-plotly-plot").bounding_box(timeout=PATIENCE_MS)
    assert box is not None
    assert box["height"] > 300
    assert say("mix.tensor") in page.locator(".guide-mix tbody th").all_inner_texts()
    page.locator(".l4g-input-causal input").uncheck()
    page.locator(".l4g-note", has_text="Our kernels use the same tile for both").wait_for(timeout=PATIENCE_MS)
    page.locator(".l4g-input-causal input").check()
    page.locator(".ledger-first").click()
    await_alt(page, "132,096 bytes, does not fit")
    page.locator(".ledger-compile").click()
    page.locator(".ledger-stop:not([disabled])").click()
    page.locator(".guide-status", has_text="Stopped").wait_for(timeout=PATIENCE_MS)
    assert page.locator(".ledger-stop").is_disabled()
    page.locator(".ledger-compile").click()
    page.locator(".guide-status", has_text="Compiled for L4").wait_for(timeout=COMPILE_PATIENCE_MS)
    fixes = page.locator(".ledger-fixes li")
    fixes.first.wait_for(timeout=PATIENCE_MS)
    for fix in fixes.all_inner_texts():
        assert "compiled:" in fix
        assert "0 bytes spilled" in fix
    choose(page, "gpu", "A100-80GB-SXM")
    await_alt(page, "166,912 bytes on A100-80GB-SXM.*155,648 bytes, fits")
    page.locator(".l4g-language").get_by_role("button", name="中文").click()
    await_alt(page, "放得下")


def test_plain_keys_stay_on_the_page(page: Page, notebook: Visit) -> None:
    """JupyterLab's keys that edit cells do not reach it."""
    notebook.assert_plain_keys_stay(".ledger-default", ".l4g-title")
