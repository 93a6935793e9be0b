"""The package itself: what it offers, and what it says where widgets are not installed."""

import sys

import pytest

from l4guide import widgets
from l4guide.errors import CannotDo


def test_the_notebook_gets_a_widget_to_show() -> None:
    """`guide()` gives the page of a `Guide` with the inputs that were passed."""
    page = widgets.guide(gpu="A100-80GB-SXM", language="zh")
    assert "l4g-page" in page._dom_classes


@pytest.mark.parametrize("missing", ["ipywidgets", "anywidget"])
def test_missing_widgets_are_one_line_with_the_way_out(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a widget library the import says which one and how to install it."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(CannotDo) as refusal:
        widgets.guide()
    assert missing in str(refusal.value)
    assert "pip install" in str(refusal.value)


def test_other_names_are_not_there() -> None:
    """A mistyped name is the usual error."""
    with pytest.raises(AttributeError, match="gude"):
        widgets.gude  # noqa: B018
