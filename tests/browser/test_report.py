"""The report opened from disk with the network blocked, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from l4guide.advise import advise
from l4guide.report import write

if TYPE_CHECKING:
    from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser

PLOT = ".js-plotly-plot"
PLOTS = ("shared-memory", "throughput")
#: A figure that is in the document but has collapsed is not a figure.
LEAST_HEIGHT_PX = 200


@pytest.fixture(scope="module")
def page_on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the flagship question."""
    folder = tmp_path_factory.mktemp("report")
    return write(advise("L4", {"task": "training", "head_dim": 128}), folder / "report.html")[0]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_opens_with_the_network_blocked(
    offline_visit: Visit, page_on_disk: Path, width: int
) -> None:
    """Every plot is drawn at full height and in the page's width, no request leaves, nothing is logged."""
    page = offline_visit.page
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(page_on_disk.as_uri())
    page.locator(f"{PLOT} .main-svg").last.wait_for()
    boxes = [page.locator(f"#figure-{name}{PLOT}").bounding_box() for name in PLOTS]
    for box in boxes:
        assert box is not None
        assert box["height"] > LEAST_HEIGHT_PX
        assert box["x"] + box["width"] <= width
    assert width >= page.evaluate("document.documentElement.scrollWidth")
    assert [] == offline_visit.requests_beyond(page_on_disk.as_uri())
    assert [] == offline_visit.console
    assert [] == page.locator(".modebar-btn").all()


def test_hovering_shows_the_numbers_of_a_bar(offline_visit: Visit, page_on_disk: Path) -> None:
    """The plots are alive: a hover text appears."""
    page = offline_visit.page
    page.goto(page_on_disk.as_uri())
    page.locator("#figure-shared-memory .main-svg").first.wait_for()
    page.locator("#figure-shared-memory .bars .point").first.hover(force=True)
    label = page.locator("#figure-shared-memory .hovertext", has_text="101,376")
    label.wait_for()
    assert label.is_visible()


def test_the_policy_stops_a_request(offline_visit: Visit, page_on_disk: Path) -> None:
    """Even a script in the page cannot reach out: the content-security policy refuses it."""
    page = offline_visit.page
    page.goto(page_on_disk.as_uri())
    refused = page.evaluate("fetch('https://example.org/').then(() => false, () => true)")
    assert refused
    assert any("Content Security Policy" in line for line in offline_visit.console)


def test_the_report_reads_without_scripts(offline_visit: Visit, page_on_disk: Path) -> None:
    """With scripts off the verdict and the tables are there, and a note says why the plots are not."""
    context = offline_visit.page.context.browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(page_on_disk.as_uri())
    assert page.locator("#verdict .headline").is_visible()
    assert page.locator("#speed table").first.is_visible()
    assert page.locator("noscript").is_visible()
    assert not page.locator("figure.plot").first.is_visible()
    context.close()
