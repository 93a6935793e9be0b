"""The matrix' page without a browser: filters, the table's markup, the timeline, what is wrong."""

import re

import pytest

from l4guide import catalogue
from l4guide.errors import BadInput
from l4guide.matrix import library_names, support_matrix
from l4guide.support import releases
from l4guide.text import Sentence
from l4guide.widgets import MatrixPage, matrix
from l4guide.widgets.matrix_page import read_at, table_markup


@pytest.fixture
def page() -> MatrixPage:
    """A page that has answered without an error."""
    page = MatrixPage()
    assert (None, None) == (page.state.error, page.state.problem)
    return page


def rows(page: MatrixPage) -> list[str]:
    """What stands at the head of each row."""
    return re.findall(r'<th scope="row">(.*?)</th>', page.table.markup.replace("<wbr>", ""))


def test_every_library_is_shown_at_first(page: MatrixPage) -> None:
    """One row each, for training on L4, and a timeline beneath."""
    assert list(library_names()) == rows(page)
    assert "L4, training" in page.table.markup
    assert "L4" in page.figure.alt
    assert None is page.history.layout.display


def test_every_filter_changes_the_table(page: MatrixPage) -> None:
    """Task, card, type and dropout each reach the cells."""
    for name, value in (("task", "decode"), ("gpu", "H100 SXM"), ("dtype", "fp16"), ("dropout", "0.1")):
        before = page.table.markup
        page.fields[name].widget.value = value
        assert before != page.table.markup, name
    assert (None, None) == (page.state.error, page.state.problem)


def test_a_library_brings_its_releases(page: MatrixPage) -> None:
    """Newest, every and each; a release that another library has not got is let go."""
    assert [""] == [value for _, value in page.fields["version"].widget.options]
    page.fields["library"].widget.value = "flash-attn"
    offered = [value for _, value in page.fields["version"].widget.options]
    assert ["", "all", *(release.version for release in reversed(releases("flash-attn")))] == offered
    page.fields["version"].widget.value = "1.0.9"
    assert "1.0.9" in page.table.markup
    page.fields["version"].widget.value = "all"
    assert 1 < len(rows(page))
    page.state.version = "1.0.9"
    page.fields["library"].widget.value = "torch/math"
    assert ("", "") == (page.state.version, page.fields["version"].widget.value)


def test_every_card_is_for_one_library(page: MatrixPage) -> None:
    """All cards choose a library, all libraries a card; the timeline is for one card alone."""
    page.fields["gpu"].widget.value = "all"
    assert "flash-attn" == page.state.library == page.fields["library"].widget.value
    assert [gpu.name for gpu in catalogue.gpus()] == rows(page)
    assert "none" == page.history.layout.display
    page.fields["library"].widget.value = "all"
    assert "L4" == page.state.gpu
    assert None is page.history.layout.display


def test_a_cell_carries_its_reason_and_its_source(page: MatrixPage) -> None:
    """The reason is in the page before anybody points at it; the link opens elsewhere, at the line."""
    cell = re.search(
        r'<a class="l4g-cell l4g-is-unsafe" href="(.*?)" target="_blank".*?</td>', page.table.markup, re.S
    )
    assert cell is not None
    assert re.search(r"github\.com/Dao-AILab/flash-attention/blob/.*#L\d+", cell[1])
    assert "launches no backward kernel" in cell[0]
    assert "unsafe" in cell[0]
    own = re.search(r">l4guide</th>.*", page.table.markup, re.S)
    assert own is not None
    assert '<span class="l4g-cell l4g-is-ok" tabindex="0">' in own[0]
    assert "data/resources" in own[0]


def test_a_mistake_leaves_the_last_matrix(page: MatrixPage) -> None:
    """The message stands beside the filter, escaped, and goes when it is put right."""
    before = page.table.markup
    page.fields["dropout"].widget.value = "<b>"
    assert "&lt;b&gt;" in page.fields["dropout"].view.children[1].value
    assert before == page.table.markup
    page.fields["dropout"].widget.value = "0"
    assert None is page.state.problem


def test_a_failure_is_shown_not_swallowed(page: MatrixPage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a callback reaches the page."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("l4guide.widgets.matrix_state.support_matrix", fail)
    page.state.task = "decode"
    assert page.state.error == Sentence(
        "guide.unexpected", {"kind": "RuntimeError", "reason": "out of order"}
    )


def test_the_timeline_follows_its_head_dim(page: MatrixPage) -> None:
    """The widths are those of the matrix."""
    page.fields["head_dim"].widget.value = "128"
    assert "128" in page.figure.alt
    assert "2.0.0" in page.figure.alt


def test_everything_is_said_in_chinese(page: MatrixPage) -> None:
    """Labels, table and figure change; the answers stay."""
    page.state.language = "zh"
    assert "训练" in page.table.markup
    assert "2.5.5" in page.table.markup
    assert "时间线" in page.figure.alt
    assert "库" == page.fields["library"].widget.description


def test_first_filters_may_be_given() -> None:
    """However the card is written; one that does not exist is explained."""
    assert "H100 SXM" == MatrixPage(gpu="h100 sxm").state.gpu
    assert matrix(library="flash-attn", version="all") is not None
    with pytest.raises(BadInput):
        MatrixPage(gpu="L5")


def test_a_hostile_name_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in data does not become markup."""
    found = support_matrix(libraries=["flash-attn"], head_dims=(512,))
    monkeypatch.setattr("l4guide.widgets.matrix_page.caption", lambda *_: "<script>alert(1)</script>")
    assert "<script>" not in table_markup(found)


def test_a_place_is_named_once() -> None:
    """The path that a source's title gives is not repeated before the line."""
    source = catalogue.sources()[0]
    assert source.title == read_at(source, "")
    assert f"{source.title}, page 3" == read_at(source, "page 3")
    name = source.title.split()[-1]
    assert f"{source.title}:5" == read_at(source, f"{name}:5")
