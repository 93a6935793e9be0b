"""The chapter as a reader meets it: run the evidence, read the verdict, switch the language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import Lab, Visit

PATIENCE_MS = 60_000
NOTEBOOK = "04-the-article-claim-by-claim.ipynb"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def notebook(lab: Lab, lasting_visit: Visit) -> Visit:
    """The chapter's notebook, open and not yet run."""
    lasting_visit.page.set_viewport_size({"width": 1400, "height": 1000})
    lasting_visit.open_notebook(lab, NOTEBOOK)
    return lasting_visit


@pytest.fixture
def page(lab: Lab, notebook: Visit) -> Iterator[Page]:
    """The chapter made anew; at the end it has thrown nothing and asked nobody outside."""
    notebook.run_all_cells()
    notebook.page.locator(".claims-card").first.wait_for(timeout=PATIENCE_MS)
    yield notebook.page
    notebook.assert_sound(lab)


def verdict(page: Page, claim: str, pattern: str) -> None:
    """Come back when the claim's badge says so."""
    badge = page.locator(f".claims-{claim} .claims-verdict", has_text=re.compile(pattern))
    badge.wait_for(timeout=PATIENCE_MS)


def test_the_evidence_is_run_and_the_verdict_follows(page: Page) -> None:
    """One press gives the verdict, the releases behind it with links, and what to do instead."""
    verdict(page, "no-training", "^not run yet$")
    page.locator(".claims-no-training button").click()
    verdict(page, "no-training", r"^true until flash-attn 1\.0\.9")
    card = page.locator(".claims-no-training")
    card.locator(".claims-table").wait_for(timeout=PATIENCE_MS)
    assert "0.2.1 to 1.0.9" in card.inner_text()
    assert "What to do instead" in card.inner_text()
    assert card.locator("a[href^='https://']").count() >= 3
    verdict(page, "memory", "^not run yet$")


def test_everything_runs_at_once_and_speaks_chinese(page: Page) -> None:
    """All claims get a verdict; the switch changes claims, verdicts and tables alike."""
    page.locator(".claims-run-all").click()
    verdict(page, "memory", "^wrong cause$")
    verdict(page, "turing-unfused", "^false$")
    page.locator(".claims-turing-unfused .claims-table").wait_for(timeout=PATIENCE_MS)
    assert 0 == page.locator(".claims-verdict", has_text="not run yet").count()
    page.locator(".l4g-input-language").get_by_role("button", name="中文", exact=True).click()
    verdict(page, "memory", "^原因有误$")
    page.locator(".claims-told", has_text="应改为").wait_for(timeout=PATIENCE_MS)
    page.locator(".claims-paths", has_text="Tensor Core").first.wait_for(timeout=PATIENCE_MS)


def test_plain_keys_stay_on_the_page(page: Page, notebook: Visit) -> None:
    """JupyterLab's keys that edit cells do not reach it."""
    notebook.assert_plain_keys_stay(".claims-run", ".l4g-h1")
