"""The chapter on the estimates' errors, whose figures JupyterLab draws itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from l4guide.text import say

if TYPE_CHECKING:
    from tests.browser.conftest import Lab, Visit

PHASES = ("prefill", "decode", "encoder")

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_its_figures_are_drawn_without_a_tool_bar(lab: Lab, visit: Visit) -> None:
    """A figure for each phase, none of which offers to be uploaded."""
    visit.open_notebook(lab, "06-how-good-are-the-estimates.ipynb")
    visit.run_all_cells()
    for phase in PHASES:
        visit.page.locator(".js-plotly-plot .gtitle", has_text=say(f"score.{phase}")).wait_for()
    visit.assert_sound(lab)
