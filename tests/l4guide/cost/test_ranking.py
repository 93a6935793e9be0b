"""Every card has a place or a reason."""

from dataclasses import replace

import pytest

from l4guide.catalogue import Gpu, gpu, gpus
from l4guide.cost import Contender, Order, Question, Terms, rank
from l4guide.model import preset
from l4guide.step import Plan
from l4guide.text import Sentence
from l4guide.workload import Workload

CARDS = tuple(gpu(name) for name in ("L4", "T4", "RTX 4090", "A100-80GB-SXM", "H100 SXM", "B200 SXM", "L20"))


def question(name: str = "Llama-3.1-8B", batch: int = 1) -> Question:
    """Decode of a preset."""
    workload = Workload(task="decode", head_dim=128, head_dim_v=128, batch=batch, seqlen_q=1, seqlen_kv=4096)
    return Question(model=preset(name), plan=Plan(), workload=workload)


def ranked(asked: Question | None = None, limit_ms: float | None = None) -> dict[str, Contender]:
    """The contenders by card."""
    found = rank(asked or question(), CARDS, Terms(), Order(max_latency_ms=limit_ms))
    return {item.gpu.name: item for item in found}


def test_one_is_cheapest_one_is_fastest_and_the_others_say_why_not() -> None:
    """Exactly one of each; dollars and milliseconds agree; every reason is a sentence in both languages."""
    found = ranked()
    assert len(CARDS) == len(found)
    places = [item.place for item in found.values()]
    assert 1 == places.count("cheapest") + places.count("both")
    assert 1 == places.count("fastest") + places.count("both")
    first = next(item for item in found.values() if item.place in ("cheapest", "both"))
    priced = [item.to_json() for item in found.values() if "usd_per_million_tokens" in item.to_json()]
    assert min(item["usd_per_million_tokens"] for item in priced) == first.to_json()["usd_per_million_tokens"]  # type: ignore[type-var]
    quick = next(item for item in found.values() if item.place in ("fastest", "both"))
    assert quick.whole is not None
    assert all(
        quick.whole.latency_ms.value.item() <= item.whole.latency_ms.value.item()
        for item in found.values()
        if item.whole is not None
    )
    assert all(item.reason.say("en") and item.reason.say("zh") for item in found.values())


def test_cheapest_comes_first_and_what_cannot_comes_last() -> None:
    """Priced cards by dollars, then those without a price, then those that are out."""
    order = [item.place for item in rank(question(), CARDS, Terms(), Order(max_latency_ms=20))]
    assert order[0] in ("cheapest", "both")
    assert "out" in order
    assert all(place == "out" for place in order[order.index("out") :])


def test_a_latency_target_puts_slow_cards_out() -> None:
    """Under 20 ms a token neither L4 nor T4 will do; the reason names both times."""
    found = ranked(limit_ms=20)
    for name in ("L4", "T4"):
        assert ("out", "contender.late") == (found[name].place, found[name].reason.key)
    assert "20" in found["L4"].reason.say("en")
    assert found["H100 SXM"].place != "out"


@pytest.mark.parametrize("order", [Order(ttft_ms=300), Order(tpot_ms=20)])
def test_serving_targets_put_slow_cards_out(order: Order) -> None:
    """The first token of a request and each one after have limits of their own, whatever step was asked about."""
    found = {item.gpu.name: item for item in rank(question(), CARDS, Terms(), order)}
    assert ("out", "contender.late") == (found["L4"].place, found["L4"].reason.key)
    assert found["H100 SXM"].place != "out"
    assert all(item.reason.say(language) for item in found.values() for language in ("en", "zh"))


def test_an_own_price_is_of_the_asked_card_alone() -> None:
    """It makes that card the cheapest, and leaves every other at its published price."""
    own = Terms(usd_per_hour=0.01)
    plain = {item.gpu.name: item for item in rank(question(), CARDS, Terms(), Order())}
    found = {item.gpu.name: item for item in rank(question(), CARDS, own, Order(), asked=gpu("L4"))}
    assert ("behind", "cheapest") == (plain["L4"].place, found["L4"].place)
    usd = "usd_per_million_tokens"
    assert plain["H100 SXM"].to_json()[usd] == found["H100 SXM"].to_json()[usd]


def test_a_model_takes_as_many_cards_as_hold_it() -> None:
    """70 billion weights take 8 L4s, 2 H100s or one B200; a trillion fits no eight of any here but the largest."""
    found = ranked(question("Llama-3.3-70B"))
    assert (8, 2, 1) == tuple(found[name].cards for name in ("L4", "H100 SXM", "B200 SXM"))
    huge = ranked(replace(question("Kimi-K2-Thinking"), plan=Plan(weights="int4")))
    assert ("out", "contender.memory") == (huge["L4"].place, huge["L4"].reason.key)


def test_what_does_not_run_is_out_with_the_reason_of_the_rules() -> None:
    """A card that the rules refuse keeps their words."""

    def refused(card: Gpu) -> Sentence | None:
        return Sentence("contender.refused", {"text": "no such kernel"}) if card.name == "T4" else None

    found = {item.gpu.name: item for item in rank(question(), CARDS, Terms(), Order(), refused)}
    assert ("out", None) == (found["T4"].place, found["T4"].whole)
    assert "no such kernel" in found["T4"].reason.say("en")


def test_every_card_of_the_catalogue_is_answered() -> None:
    """No card, however old, ends in an error."""
    found = rank(question("HunyuanOCR"), gpus(), Terms(), Order())
    assert {card.name for card in gpus()} == {item.gpu.name for item in found}
