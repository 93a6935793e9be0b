"""Where the answer changes, drawn when it is asked for."""

from l4guide.widgets import Guide


def test_the_map_waits_to_be_asked_for_and_then_follows(guide: Guide) -> None:
    """Nothing is drawn before the button; after it the map follows the question, the axis and the language."""
    panel = guide.break_even
    assert (None, "none") == (guide.state.break_even, panel.panel.layout.display)
    guide.state.model = "Llama-3.2-1B"
    assert panel.panel.layout.display == "none"
    panel.draw.click()
    first = guide.state.break_even
    assert guide.state.error is None
    assert "context" == first.axis
    assert "Map of the cheapest GPU" in panel.panel.alt
    guide.state.language = "zh"
    assert "分布图" in panel.panel.alt
    guide.state.batch = "2"
    assert first is not guide.state.break_even


def test_a_chosen_model_says_its_memory_and_cost(guide: Guide) -> None:
    """A bare shape has no such lines; a model has, in the language of the page."""
    assert () == guide.state.advice.model_lines
    guide.state.task = "decode"
    guide.state.model = "Llama-3.1-8B"
    lines = [line.say("en") for line in guide.state.advice.model_lines]
    assert any("GiB" in line for line in lines)
    assert any("USD per million tokens" in line for line in lines)
