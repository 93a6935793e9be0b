"""A whole model priced: dollars, joules, runs and months follow from time, price and power."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide.catalogue import gpu
from l4guide.cost import Order, Question, Terms, Whole, order_of, terms_of, whole_of
from l4guide.errors import BadInput
from l4guide.model import preset
from l4guide.step import Plan
from l4guide.workload import Workload

TODAY = date(2026, 11, 22)


def question(
    task: str = "decode", *, name: str = "Llama-3.1-8B", batch: int = 4, context: int = 4096, **plan: object
) -> Question:
    """A preset under a plan."""
    workload = Workload(
        task=task,
        head_dim=128,
        head_dim_v=128,
        batch=batch,
        seqlen_kv=context,
        seqlen_q=1 if task == "decode" else context,
    )
    return Question(model=preset(name), plan=replace(Plan(task=task), **plan), workload=workload)  # type: ignore[arg-type]


def priced(
    asked: Question | None = None, card: str = "L4", order: Order | None = None, **terms: object
) -> Whole:
    """It on a card at a dollar an hour unless said."""
    return whole_of(gpu(card), asked or question(), terms_of({"price": 1.0, **terms}), order, today=TODAY)


def dollars(found: Whole) -> float:
    """The middle of the dollars per million tokens."""
    assert found.usd_per_million_tokens is not None
    return float(found.usd_per_million_tokens.value.item())


def test_dollars_are_price_over_throughput() -> None:
    """A dollar an hour buys 3600 seconds of tokens; twice the price costs twice as much."""
    found = priced()
    assert dollars(found) == pytest.approx(1e6 / 3600 / found.step.tokens_per_s.value.item())
    assert dollars(priced(price=2.0)) == pytest.approx(2 * dollars(found))


def test_every_card_of_a_copy_is_paid() -> None:
    """Eight cards that share a model are eight times the rent for less than eight times the speed."""
    one, eight = priced(card="H100 SXM"), priced(question(gpus=8), "H100 SXM")
    assert dollars(one) < dollars(eight)
    assert 8 == eight.to_json()["gpus"]


def test_a_load_for_a_month_and_a_run() -> None:
    """Copies are rounded up to hold the load, and a run takes its tokens over the speed."""
    order = order_of({"load": 1000, "run_tokens": 1e9})
    found = priced(order=order)
    speed = found.step.tokens_per_s.value.item()
    assert found.copies is not None
    assert (found.copies - 1) * speed < 1000 <= found.copies * speed
    assert found.copies * 730.0 == found.usd_per_month
    run = found.to_json()["run"]
    assert isinstance(run, dict)
    assert run["hours"] == pytest.approx(1e9 / speed / 3600)
    assert run["usd"] == pytest.approx(run["hours"])
    assert run["usd_low"] < run["usd"] < run["usd_high"]


def test_energy_is_power_over_throughput_at_a_tariff() -> None:
    """Joules per token are within what the board may draw; a tariff turns them into dollars."""
    found = priced(tariff=0.3)
    joules = found.joules_per_token
    assert joules is not None
    assert joules.high.item() <= 72 / found.step.tokens_per_s.low.item() * 1.001
    said = found.to_json()
    assert said["energy_usd_per_million_tokens"] == pytest.approx(joules.value.item() * 1e6 / 3.6e6 * 0.3)
    assert "energy_usd_per_million_tokens" not in priced().to_json()


@settings(max_examples=25, deadline=None)
@given(
    task=st.sampled_from(["prefill", "decode", "training"]),
    batch=st.integers(1, 64),
    context=st.integers(64, 8192),
    card=st.sampled_from(["L4", "A100-80GB-SXM", "H100 SXM", "T4"]),
)
def test_every_interval_is_in_order(task: str, batch: int, context: int, card: str) -> None:
    """Low, middle and high of every number that has them are in order and above zero."""
    asked = question(task, batch=batch, context=context, dtype="fp16", weights="fp16")
    said = priced(asked, card).to_json()
    named = [name.removesuffix("_low") for name in said if name.endswith("_low")]
    assert {"tokens_per_s", "step_ms", "joules_per_token", "mfu"} <= set(named)
    for name in named:
        low, value, high = (said[key] for key in (f"{name}_low", name, f"{name}_high"))
        assert isinstance(low, float)
        assert isinstance(value, float)
        assert isinstance(high, float)
        assert 0 < low <= value <= high
    assert said["low"] <= said["usd_per_million_tokens"] <= said["high"]  # type: ignore[operator]


def test_serving_says_first_and_next_token_training_neither() -> None:
    """A prompt takes longer than a token; a training step says how well the card is used instead."""
    said = priced().to_json()
    assert said["tpot_ms"] < said["ttft_ms"]  # type: ignore[operator]
    trained = priced(question("training")).to_json()
    assert not {"ttft_ms", "tpot_ms"} & trained.keys()
    assert 0.1 < trained["mfu"] < 0.6  # type: ignore[operator]


def test_a_published_price_says_whose_and_that_it_is_old() -> None:
    """Provider, date, age and source; months later it says that it is old."""
    found = whole_of(gpu("L4"), question(), Terms(), today=date(2027, 6, 1))
    assert found.rate is not None
    assert found.rate.is_old
    price = found.rate.to_json()
    assert {"provider", "as_of", "age_days", "source", "usd_per_hour"} <= price.keys()
    assert ("published", True) == (price["kind"], price["old"])


def test_a_card_that_nobody_prices_has_times_and_memory() -> None:
    """Without a price there are no dollars, and everything else stands."""
    said = whole_of(gpu("L20"), question(), Terms()).to_json()
    assert not {"usd_per_million_tokens", "price"} & said.keys()
    assert {"tokens_per_s", "joules_per_token"} <= said.keys()


def test_a_region_is_one_that_lists_the_card() -> None:
    """An unknown region lists the known ones."""
    with pytest.raises(BadInput, match="region"):
        whole_of(gpu("L4"), question(), terms_of({"region": "atlantis"}))


@pytest.mark.parametrize(
    "wrong",
    [{"load": 0}, {"load": -1}, {"run_tokens": "many"}, {"max_latency_ms": 0}, {"load": float("nan")}],
)
def test_orders_make_sense(wrong: dict[str, object]) -> None:
    """A load, a run and a latency are numbers above zero."""
    with pytest.raises(BadInput):
        order_of(wrong)


@pytest.mark.parametrize("wrong", [{"price": 0}, {"price": -1}, {"tariff": 0}, {"price": "nan"}])
def test_prices_and_tariffs_are_above_zero(wrong: dict[str, object]) -> None:
    """Nothing is free, and nobody pays the renter."""
    with pytest.raises(BadInput):
        terms_of(wrong)
