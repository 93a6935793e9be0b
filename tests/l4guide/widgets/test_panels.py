"""What is shown: the verdict, its evidence, the plots, and nothing that was not escaped."""

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from l4guide.text import Sentence
from l4guide.widgets.evidence import evidence_table, resources_table
from l4guide.widgets.page import Guide

CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Links(HTMLParser):
    """Collects the attributes of every link."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keep those of `a`."""
        if tag == "a":
            self.found.append(dict(attributes))


def test_the_verdict_says_all_that_a_user_acts_on(guide: Guide) -> None:
    """Answer in words, headline, first version with its date, limit in bytes, recommendation, lines to copy."""
    html = guide.verdict.answer.view.value
    advice = guide.state.advice
    assert "✓ Yes" in html
    for part in ("2.0.0", "2023-07-17", "101,376", str(advice.recommendation.say()).split(":")[0]):
        assert part in html
    assert advice.install == guide.verdict.install.code
    assert advice.snippet.strip() == guide.verdict.snippet.code


def test_a_mistake_marks_the_verdict_as_the_one_before(guide: Guide) -> None:
    """While the question is wrong nobody may take the old answer for its answer."""
    assert "l4g-stale-note" not in guide.verdict.answer.view.value
    guide.state.head_dim = "abc"
    assert "l4g-stale-note" in guide.verdict.answer.view.value


def test_lines_to_copy_are_hidden_where_there_are_none(guide: Guide) -> None:
    """A question that nothing answers offers nothing to install."""
    guide.state.gpu = "MI300X"
    assert guide.state.advice.install is None
    assert ("", "none") == (guide.verdict.install.code, guide.verdict.install.layout.display)
    assert guide.state.error is None


def test_every_reason_has_its_text_and_a_link_that_opens_beside(guide: Guide) -> None:
    """The evidence names each implementation and each reason; links leave the notebook alone."""
    guide.state.head_dim, guide.state.dropout = "256", "0.1"
    html = evidence_table(guide.state).view.value
    for verdict in guide.state.advice.implementations:
        assert verdict.library in html
        for reason in verdict.reasons:
            assert reason.code in html
    assert 'class="l4g-badge l4g-unsafe"' in html
    links = Links()
    links.feed(html)
    assert links.found
    for link in links.found:
        assert ("_blank", "noopener noreferrer") == (link["target"], link["rel"])
        assert str(link["href"]).startswith("https://")


def test_resources_name_their_kind_and_the_limit(guide: Guide) -> None:
    """Every kernel of the task has a row with bytes, the card's limit and where the figures come from."""
    html = resources_table(guide.state).view.value
    for item in guide.state.advice.tiles:
        assert f"{item.shared_bytes:,}" in html
        assert item.kernel in html
    assert html.count("l4g-kind") == len(guide.state.advice.tiles)


def test_the_plots_follow_the_question_and_the_language(guide: Guide) -> None:
    """Each figure and its words change with the card, and its title with the language."""
    guide.state.model, guide.state.task = "Llama-3.1-8B", "decode"
    before = [(panel.figure, panel.alt) for panel in guide.figures.panels]
    assert all(figure and alt for figure, alt in before)
    guide.state.gpu = "A100-80GB-SXM"
    after = [(panel.figure, panel.alt) for panel in guide.figures.panels]
    assert all(old != new for old, new in zip(before, after, strict=True))
    guide.state.language = "zh"
    for panel in guide.figures.panels:
        assert CHINESE.search(json.loads(panel.figure)["layout"]["title"]["text"])
        assert CHINESE.search(panel.alt)
        assert float(panel.layout.min_height.removesuffix("px")) > 200


def test_one_switch_says_everything_in_chinese(guide: Guide) -> None:
    """No panel is left behind in English, and none fails."""
    guide.state.language = "zh"
    html = unescape(guide.verdict.answer.view.value)
    assert "✓ 可以" in html
    assert guide.state.advice.headline.say("zh") in html
    assert "导出" in guide.export.html.description
    assert "停止" == guide.live.stop.description
    assert "复制" == guide.verdict.install.label
    assert guide.state.error is None


@pytest.mark.parametrize("gpu", ["T4", "V100-SXM2-16GB", "MI300X", "B200 SXM", "H100 SXM", "RTX 5090"])
@pytest.mark.parametrize("task", ["prefill", "decode", "training"])
def test_every_card_and_task_is_shown_without_an_error(guide: Guide, gpu: str, task: str) -> None:
    """Cards that our kernels cannot serve get a reasoned answer like any other."""
    guide.state.gpu, guide.state.task = gpu, task
    assert (None, None) == (guide.state.error, guide.state.problem)
    assert gpu in guide.verdict.answer.view.value


def test_models_with_several_components_show_each_of_them(guide: Guide) -> None:
    """The verdict of every component is on the card, and its evidence in the table."""
    guide.state.model = "HunyuanOCR"
    assert (None, None) == (guide.state.error, guide.state.problem)
    html = guide.verdict.answer.view.value
    assert 1 < len(guide.state.advice.parts)
    for part in guide.state.advice.parts:
        assert f"{part.component}, head_dim {part.workload.head_dim}" in html


def test_an_error_is_an_alert_with_its_text_escaped(guide: Guide) -> None:
    """What went wrong is announced, and cannot smuggle markup into the page."""
    guide.state.error = Sentence("guide.unexpected", {"kind": "E", "reason": "<img src=x onerror=alert(1)>"})
    (shown,) = [child for child in guide.view.children if "l4g-error" in child._dom_classes]
    assert 'role="alert"' in shown.value
    assert "<img" not in shown.value
    guide.state.error = None
    assert ("", "none") == (shown.value, shown.layout.display)
