"""Since when: the spans of each library, and the figure that shows them."""

from datetime import date
from itertools import pairwise

import pytest

from l4guide import plots
from l4guide.errors import BadInput
from l4guide.matrix import Timeline, timeline, timeline_table
from l4guide.support import libraries, releases
from l4guide.text import say


@pytest.fixture(scope="module")
def wide() -> Timeline:
    """Since when an L4 trains heads of 256."""
    return timeline("L4", {"task": "training", "head_dim": 256})


def test_flash_attn_trains_wide_heads_since_2_5_5(wide: Timeline) -> None:
    """Refused until the day before, ok from the release's own date on."""
    spans = [span for span in wide.spans if span.library == "flash-attn"]
    assert ("ok", "2.5.5", None) == (spans[-1].status, spans[-1].since, spans[-1].end)
    dates = {release.version: release.date for release in releases("flash-attn")}
    assert dates["2.5.5"] == spans[-1].start == spans[-2].end
    assert ("refused", "2.5.4") == (spans[-2].status, spans[-2].until)
    assert "A100" in str(spans[-2].to_json()["message"])


@pytest.mark.parametrize("library", libraries())
def test_the_spans_cover_every_release_once(wide: Timeline, library: str) -> None:
    """From the first to the last, with no hole, neighbours of different status, only the last still open."""
    known = [release.version for release in releases(library)]
    spans = [span for span in wide.spans if span.library == library]
    assert known[0] == spans[0].since
    assert known[-1] == spans[-1].until
    for span, later in pairwise(spans):
        assert known.index(span.until) + 1 == known.index(later.since)
        assert span.status != later.status
    assert spans[-1].end is None


def test_dropout_is_part_of_the_question() -> None:
    """With dropout the newest releases are unsafe, and the release that dropped the check is named."""
    found = timeline("L4", {"head_dim": 256, "dropout": 0.1}, ["flash-attn"])
    assert ("unsafe", "2.7.3") == (found.spans[-1].status, found.spans[-1].since)


def test_our_kernels_have_no_history_yet() -> None:
    """Nothing is said of releases that were never published; a wrong name is explained."""
    assert () == timeline("L4", {}, ["l4guide"]).spans
    with pytest.raises(BadInput, match="flash-attn"):
        timeline("L4", {}, ["flsh-attn"])


def test_what_is_known_has_a_date(wide: Timeline) -> None:
    """The newest release date of any library, not today's."""
    dates = [release.date for library in libraries() for release in releases(library) if release.date]
    assert max(dates) == wide.known_until


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_has_a_line_a_span(wide: Timeline, language: str) -> None:
    """With both dates, and the reason where it does not run."""
    lines = timeline_table(wide, language).splitlines()
    assert len(wide.spans) + 1 == len(lines)
    assert any("0.2.1 – 2.5.4" in line and "A100/A800" in line for line in lines)


def test_the_figure_has_a_bar_a_span(wide: Timeline) -> None:
    """Bars begin on the release date and last until the next; each status has colour, hatch and sign of its own."""
    figure = plots.timeline_figure(wide)
    assert len([span for span in wide.spans if span.start]) == sum(len(bars.y) for bars in figure.data)
    looks = [(bars.marker.color, bars.marker.pattern.shape, bars.name[0]) for bars in figure.data]
    assert all(len(looks) == len(set(column)) for column in zip(*looks, strict=True))
    ok = next(bars for bars in figure.data if bars.name.startswith("✓"))
    place = list(ok.y).index("flash-attn")
    start = next(span.start for span in wide.spans if span.library == "flash-attn" and span.status == "ok")
    assert str(start) == ok.base[place]
    assert "2.5.5" in ok.text[place]
    assert "2.5.5" in ok.customdata[place]
    assert (wide.known_until - (start or date.max)).days * 86_400_000 <= ok.x[place]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_figure_is_told_in_words(wide: Timeline, language: str) -> None:
    """Every library is named with the release since which its status holds."""
    alt = plots.timeline_alt(wide, language)
    assert all(library in alt for library in libraries())
    assert "2.5.5" in alt


def test_a_figure_without_dates_says_so() -> None:
    """Nothing to draw is a sentence, not an empty frame."""
    figure = plots.timeline_figure(timeline("L4", {}, ["l4guide"]))
    assert [say("timeline.none")] == [" ".join(one.text.split("<br>")) for one in figure.layout.annotations]
