"""Where nothing found a type to be read right, every answer says so before its numbers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from public_configs import PUBLIC

from l4guide.advise import advise, break_even, model_answer
from l4guide.advise.figures import whole_estimate
from l4guide.advise.model import caveats
from l4guide.report import render
from l4guide.screen import of_advice, of_cost, of_whole
from l4guide.tracing.comparison import HELD as HELD_OUTCOMES
from l4guide.tracing.comparison import outcomes
from l4guide.widgets.ranking import ranking_panel
from l4guide.widgets.state import GuideState

HELD: Mapping[str, Any] = PUBLIC[0].config
#: A model that would be read right, of a type that nobody has heard of.
UNKNOWN: Mapping[str, Any] = {
    "model_type": "unheard_of",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "head_dim": 512,
}
WAY_OUT = "l4guide trace --config FILE"
WORDS = {"en": "Read, not compared", "zh": "只读取，未经比对"}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("card", ["L4", "H200"])
def test_every_answer_says_that_nothing_compared_it(language: str, card: str) -> None:
    """On the first screen of each command, in the report, the guide's panel and the JSON, with what to do."""
    options = {"config": UNKNOWN, "task": "decode"}
    advice, answer = advise(card, options), model_answer(card, options)
    whole, runs = whole_estimate(card, options)
    state = GuideState()
    state.set_trait("advice", advice)
    state.language = language
    told = {
        "advise": of_advice(advice).say(language),
        "cost": of_cost(answer).say(language),
        "estimate": of_whole(whole, answer.inputs, runs).say(language),
        "map": "\n".join(line.say(language) for line in break_even(card, options, cells=4).lines()),
        "report": render(advice, language),
        "guide": ranking_panel(state).view.value,
        "advise JSON": str(advice.to_json(language)["gaps"]),
        "cost JSON": str(answer.to_json(language)["remarks"]),
        "map JSON": str(break_even(card, options, cells=4).to_json(language)["remarks"]),
    }
    assert {} == {name: text for name, text in told.items() if WORDS[language] not in text}
    assert {} == {name: text for name, text in told.items() if WAY_OUT not in text}
    once = {name: told[name].count(WORDS[language]) for name in ("advise", "cost", "estimate", "map")}
    assert dict.fromkeys(once, 1) == once
    assert False is whole.to_json()["model_compared"]


def test_a_type_that_was_found_right_has_no_caveat() -> None:
    """Neither a configuration of such a type nor a preset, whose numbers its makers published."""
    for options in ({"config": HELD}, {"model": "Llama-3.1-8B"}):
        found = model_answer("H200", {**options, "task": "decode"})
        assert () == found.caveats
        assert WORDS["en"] not in of_cost(found).say()


def test_a_configuration_without_a_type_is_compared_with_nothing() -> None:
    """It says to add the type."""
    untyped = {name: value for name, value in UNKNOWN.items() if name != "model_type"}
    (said,) = model_answer("H200", {"config": untyped}).caveats
    assert ("model_trace.no_type", True) == (said.key, "add model_type" in said.say())


@pytest.mark.parametrize("named", ["a\nb {c}", ["x"], {"y": 1}, "z" * 10_000, 7])
def test_a_strange_type_is_named_in_one_line(named: object) -> None:
    """Whatever stands there, the sentence is one line of moderate length."""
    (said,) = model_answer("H200", {"config": {**UNKNOWN, "model_type": named}}).caveats
    assert (1, True) == (len(said.say().splitlines()), len(said.say()) < 300)


def test_both_configurations_must_have_been_right() -> None:
    """One type whose structure was right at one of them alone is not held; what expressions answer for it is."""
    half = next(name for name, (*_, alone) in outcomes().items() if alone not in HELD_OUTCOMES)
    model = model_answer("H200", {"config": HELD}).whole.question.model
    assert ["model_trace.not_compared"] == [line.key for line in caveats(replace(model, model_type=half))]


def test_numbers_that_nothing_read_are_listed() -> None:
    """A count that no reader knows stands in the JSON and in a sentence of cost and of advise; a threshold does not."""
    text = {**HELD["text_config"], "num_unheard_of_layers": 7, "unheard_of_eps": 1e-6}
    options = {"config": {**HELD, "text_config": text}, "task": "decode"}
    found = model_answer("L4", options)
    assert ["num_unheard_of_layers"] == found.whole.to_json()["unread_fields"]
    assert "num_unheard_of_layers" in str(found.to_json()["remarks"])
    assert "num_unheard_of_layers" in str(advise("L4", options).to_json()["gaps"])


def test_a_sentence_names_a_dozen_fields_at_most() -> None:
    """The JSON has them all; the sentence says that there are more."""
    many = {f"count_{number}": 7 for number in range(40)}
    found = model_answer("L4", {"config": {**HELD, "text_config": {**HELD["text_config"], **many}}})
    assert 40 == len(found.whole.to_json()["unread_fields"])  # type: ignore[arg-type]
    (line,) = [remark for remark in found.remarks if remark.key == "model_trace.unread"]
    assert ("count_11, …", False) == (str(line.values["fields"])[-11:], "count_12" in line.say())
