"""Cost: a dated price times an estimated time."""

from datetime import date

import pytest

from l4guide.catalogue import gpu
from l4guide.cost import Cost, Terms, cost_of, offers_for, terms_of
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate import Estimate, attention_time
from l4guide.workload import Workload, ask

TODAY = date(2026, 11, 22)


def asked(task: str = "prefill") -> tuple[Workload, Estimate]:
    """A workload on L4 and its time."""
    workload, _ = ask({"task": task, "seqlen": 4096})
    return workload, attention_time(workload, gpu("L4"))


def priced(*, layers: int = 1, **options: object) -> Cost:
    """The cost of it on the terms among `options`."""
    workload, estimate = asked()
    return cost_of(estimate, workload, gpu("L4"), terms=terms_of(options), layers=layers, today=TODAY)


def test_cost_is_price_over_throughput() -> None:
    """At one dollar an hour, dollars per million tokens are what the tokens per second say."""
    cost = priced(price=1.0)
    workload, estimate = asked()
    assert cost.tokens_per_s == pytest.approx(workload.tokens / (estimate.latency_ms / 1e3))
    assert cost.usd_per_million_tokens == pytest.approx(1e6 / 3600 / cost.tokens_per_s)
    assert cost.low_usd < cost.usd_per_million_tokens < cost.high_usd


def test_layers_and_gpus_scale_as_they_should() -> None:
    """Twice the layers cost twice as much; two cards are twice as fast at the same cost per token."""
    one, deep, wide = (
        priced(price=1.0),
        priced(price=1.0, layers=2),
        priced(price=1.0, gpus=2),
    )
    assert deep.usd_per_million_tokens == pytest.approx(2 * one.usd_per_million_tokens)
    assert wide.tokens_per_s == pytest.approx(2 * one.tokens_per_s)
    assert wide.usd_per_million_tokens == pytest.approx(one.usd_per_million_tokens)


def test_a_published_price_says_whose_and_how_old_it_is() -> None:
    """Provider, date, age and source come with it; the cheapest on-demand offer is taken."""
    cost = priced()
    assert cost.as_of is not None
    assert (TODAY - cost.as_of).days == cost.age_days
    assert cost.source
    assert min(offer.usd_per_hour for offer in offers_for(gpu("L4"))) == cost.usd_per_hour
    assert "on-demand" == cost.pricing


def test_marketplace_asks_are_never_the_default() -> None:
    """A marketplace's cheapest ask is not a price that one can count on."""
    assert all(offer.pricing == "on-demand" for offer in offers_for(gpu("L4")))


def test_an_unknown_provider_lists_the_known_ones() -> None:
    """The message names the providers that do list the card."""
    with pytest.raises(BadInput, match="AWS"):
        priced(provider="nobody")


def test_no_price_asks_for_one() -> None:
    """A card that nobody rents out by spot says how to go on."""
    workload, estimate = asked()
    with pytest.raises(CannotDo, match="--price"):
        cost_of(estimate, workload, gpu("RTX 4090"), terms=Terms(spot=True))


@pytest.mark.parametrize("price", [0, -1, "free", float("inf")])
def test_a_price_that_is_none_is_refused(price: object) -> None:
    """No, negative, wordy and endless prices are bad input."""
    with pytest.raises(BadInput, match="price"):
        priced(price=price)
