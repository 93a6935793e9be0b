"""Six cards stand on a screen: the asked one and those that a reader would weigh it against."""

import pytest

from l4guide.advise import advise, model_answer
from l4guide.advise.nearest import BESIDE, nearest_in_rank, nearest_in_time
from l4guide.catalogue import all_prices, gpu

DECODE = {"model": "Llama-3.1-8B", "task": "decode"}


def prices_of(name: str) -> bool:
    """Whether somebody rents out a card."""
    return any(price.gpu == name for price in all_prices())


def test_attention_is_compared_with_the_cards_nearest_in_time() -> None:
    """No rented card that was left out is nearer by ratio than one that was chosen; the fastest stands first."""
    advice = advise("L4", {"task": "prefill"})
    assert advice.estimate is not None
    mine = advice.estimate.latency_ms
    chosen = nearest_in_time(advice.alternatives, advice.estimate)
    ratio = {
        item.gpu.name: max(mine / item.estimate.latency_ms, item.estimate.latency_ms / mine)
        for item in advice.alternatives
        if item.estimate is not None and prices_of(item.gpu.name)
    }
    inside = [ratio[item.gpu.name] for item in chosen]
    outside = [value for name, value in ratio.items() if name not in {item.gpu.name for item in chosen}]
    assert BESIDE == len(chosen)
    assert max(inside) <= min(outside)
    times = [item.estimate.latency_ms for item in chosen if item.estimate is not None]
    assert sorted(times) == times


def test_without_a_time_the_fastest_stand() -> None:
    """A card that nobody measured is set beside the first of the comparison."""
    advice = advise("MI300X", {"task": "prefill"})
    assert advice.alternatives[:BESIDE] == nearest_in_time(advice.alternatives, advice.estimate)


@pytest.mark.parametrize(
    ("card", "extra"),
    [("L4", {}), ("H100 SXM", {}), ("MI300X", {}), ("H100 SXM", {"ttft_ms": 1}), ("L4", {"price": 0.01})],
)
def test_a_model_is_compared_with_the_best_and_its_neighbours(card: str, extra: dict[str, object]) -> None:
    """The asked card, the cheapest and the fastest always stand, in the order of the ranking."""
    ranking = model_answer(card, {**DECODE, **extra}).ranking
    chosen = nearest_in_rank(ranking, gpu(card))
    assert BESIDE + 1 == len(chosen)
    assert [item for item in ranking if item in chosen] == list(chosen)
    names = {item.gpu.name for item in chosen}
    assert {card} | {
        item.gpu.name for item in ranking if item.place in ("cheapest", "fastest", "both")
    } <= names
    able = [item for item in ranking if item.place != "out"]
    assert all(item.place != "out" or item.gpu.name == card for item in chosen) or len(able) < BESIDE + 1
