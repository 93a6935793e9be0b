"""Where a model is known, answer, headline, recommendation and alternatives are of all of it."""

import pytest

from l4guide.advise import advise, model_answer
from l4guide.errors import BadInput

DECODE = {"model": "Llama-3.1-8B", "task": "decode"}


@pytest.mark.parametrize(
    ("options", "answer", "key"),
    [
        (DECODE, "yes", "headline.model_yes_timed"),
        ({**DECODE, "batch": 22}, "yes", "headline.model_tight"),
        ({**DECODE, "model": "Llama-3.3-70B"}, "depends", "headline.model_needs"),
        ({**DECODE, "model": "Kimi-K2-Thinking", "weights": "bf16"}, "no", "headline.model_too_large"),
    ],
)
def test_memory_decides(options: dict[str, object], answer: str, key: str) -> None:
    """What fits is a yes, what more cards hold depends, and what eight do not hold is a no; the headline says which."""
    advice = advise("L4", options)
    assert (answer, key) == (advice.answer, advice.headline.key)
    assert all(advice.headline.say(language) for language in ("en", "zh"))


@pytest.mark.parametrize(
    ("limit", "answer"), [({"tpot_ms": 1000}, "yes"), ({"tpot_ms": 5}, "no"), ({"ttft_ms": 600}, "depends")]
)
def test_a_latency_target_decides(limit: dict[str, object], answer: str) -> None:
    """A target inside the interval depends on a run; one below its low end is missed, and the card is out."""
    advice = advise("L4", {**DECODE, **limit})
    assert answer == advice.answer
    late = answer != "yes"
    assert late == advice.headline.key.startswith("headline.model_late")
    assert late == ("recommend.model_take" == advice.recommendation.key)


def test_alternatives_are_the_ranking_of_cost() -> None:
    """One ranking: `advise` names the same cards, dollars and reasons as `cost`, but for the card that was asked."""
    said, cost = advise("L4", DECODE).to_json(), model_answer("L4", DECODE).to_json()
    ranking = [item for item in cost["ranking"] if item["gpu"] != "L4"]  # type: ignore[attr-defined]
    assert [{"of": "model", **item} for item in ranking] == said["alternatives"]
    assert cost["recommendation"] == said["recommendation"]
    assert cost["what_would_change"] == said["what_would_change"]


def test_every_card_that_is_not_taken_says_why() -> None:
    """Cheapest, fastest and lost cards are all of the catalogue; for a bare shape every alternative has its reason."""
    found = advise("L4", DECODE)
    assert found.model is not None
    taken = [item for item in found.model.ranking if item.place in ("cheapest", "fastest", "both")]
    assert len(found.model.ranking) == len(taken) + 1 + len(found.lost)
    bare = advise("L4", {"task": "decode"})
    assert len(bare.alternatives) == len(bare.lost)
    assert all(line.say(language) for line in (*found.lost, *bare.lost) for language in ("en", "zh"))


@pytest.mark.parametrize(
    ("card", "extra", "key"),
    [
        ("L4", {"price": 0.05}, "recommend.model_stay_cheapest"),
        ("L4", {"price": 0.08}, "recommend.model_stay_within"),
        ("L4", {"price": 5}, "recommend.model_take_cheaper"),
        ("H20", {}, "recommend.model_unpriced_but"),
        ("L4", {"model": "Kimi-K2-Thinking", "weights": "bf16"}, "recommend.model_take"),
        ("L4", {"model": "Kimi-K2-Thinking", "weights": "fp32"}, "recommend.model_nobody"),
    ],
)
def test_the_recommendation_follows_the_ranking(card: str, extra: dict[str, object], key: str) -> None:
    """The user's own price is of the asked card alone, and decides whether to stay; who cannot is told what can."""
    said = advise(card, {**DECODE, **extra}).recommendation
    assert key == said.key
    assert all(said.say(language) for language in ("en", "zh"))


@pytest.mark.parametrize("name", ["weights", "load", "run_tokens", "max_latency_ms", "ttft_ms", "tpot_ms"])
def test_what_only_a_model_has_needs_one(name: str) -> None:
    """A shape has no weights and no first token, and says how to name a model."""
    with pytest.raises(BadInput, match="--model"):
        advise("L4", {"task": "decode", name: "fp8" if name == "weights" else 10})


def test_training_has_no_first_token() -> None:
    """A serving latency of a training step is bad input."""
    with pytest.raises(BadInput, match="ttft-ms"):
        advise("L4", {"model": "Llama-3.2-1B", "task": "training", "ttft_ms": 10})
