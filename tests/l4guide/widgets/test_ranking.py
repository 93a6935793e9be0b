"""Every card with its reason, and the whole model's figures where there is one."""

from l4guide.widgets.markup import render
from l4guide.widgets.page import Guide
from l4guide.widgets.ranking import ranking_panel


def test_a_model_is_compared_as_a_whole(guide: Guide) -> None:
    """A row for every card with its reason, the asked one marked; the card above recommends by the same ranking."""
    guide.state.task, guide.state.model = "decode", "Llama-3.3-70B"
    html = ranking_panel(guide.state).view.value
    model = guide.state.advice.model
    assert len(model.ranking) == html.count('<th scope="row">')
    assert 1 == html.count("l4g-asked-card")
    assert "8 × L4" in html
    assert "Even 8 of these GPUs" in html
    verdict = guide.verdict.answer.view.value
    assert model.recommendation.say().split(":")[0] in verdict
    assert "does not fit" in verdict
    guide.state.language = "zh"
    assert "整个模型" in ranking_panel(guide.state).view.value


def test_a_bare_shape_says_why_not_the_others(guide: Guide) -> None:
    """A reason for every other card, and no figures of a model."""
    html = ranking_panel(guide.state).view.value
    assert len(guide.state.advice.alternatives) == html.count("<li>")
    assert "guide-ranking" not in html
    assert html == render("other_cards", "en", lost=guide.state.advice.lost)
