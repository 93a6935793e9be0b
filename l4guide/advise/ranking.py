"""Other cards for the same workload, and the recommendation: stay, or take another, because."""

from l4guide.advise.records import Alternative, Question
from l4guide.catalogue import Gpu, gpus
from l4guide.errors import CannotDo, Problem
from l4guide.estimate import Cost, Estimate, Terms, attention_time, best_implementation, cost_of
from l4guide.support import check
from l4guide.text import Sentence, digits

#: In the order in which a user would reach for them.
CANDIDATES = ("flash-attn", "torch/flash", "torch/efficient")


def alternatives_to(
    question: Question, estimate: Estimate | None, cost: Cost | None, terms: Terms
) -> tuple[Alternative, ...]:
    """Every other card, cheapest per token first, then those without a price, then those that cannot do it.

    The user's own price and chosen provider are for the asked card; others take the cheapest published price.
    """
    published = Terms(gpus=terms.gpus, spot=terms.spot)
    found = [
        _alternative(gpu, question, estimate, cost, published)
        for gpu in gpus()
        if gpu.name != question.gpu.name
    ]
    return tuple(sorted(found, key=_order))


def _order(item: Alternative) -> tuple[int, float]:
    if item.status != "ok":
        return (2, 0.0)
    if item.cost is not None:
        return (0, item.cost.usd_per_million_tokens)
    return (1, item.estimate.latency_ms if item.estimate else float("inf"))


def _alternative(
    gpu: Gpu, question: Question, mine: Estimate | None, my_cost: Cost | None, terms: Terms
) -> Alternative:
    verdicts = [check(question.workload, gpu, library) for library in CANDIDATES]
    runner = next((verdict for verdict in verdicts if verdict.status == "ok"), verdicts[0])
    estimate, cost, gap = None, None, None
    if runner.status == "ok":
        estimate, cost, gap = _figures(gpu, question, terms)
    return Alternative(
        gpu=gpu,
        status=runner.status,
        implementation=estimate.implementation if estimate else None,
        estimate=estimate,
        cost=cost,
        reason=_reason(runner.status, runner.message, estimate, cost, mine, my_cost, gap),
    )


def _figures(
    gpu: Gpu, question: Question, terms: Terms
) -> tuple[Estimate | None, Cost | None, Sentence | None]:
    implementation = best_implementation(question.workload, gpu)
    if implementation is None:
        return None, None, Sentence("alternative.no_estimate")
    try:
        estimate = attention_time(question.workload, gpu, implementation)
    except CannotDo as problem:
        return None, None, problem.sentence
    try:
        return estimate, cost_of(estimate, question.workload, gpu, terms=terms, layers=question.layers), None
    except Problem as problem:
        return estimate, None, problem.sentence


def _reason(
    status: str,
    message: Sentence | str,
    estimate: Estimate | None,
    cost: Cost | None,
    mine: Estimate | None,
    my_cost: Cost | None,
    gap: Sentence | None,
) -> Sentence:
    if status != "ok":
        return Sentence(f"alternative.{status}", {"text": message})
    if estimate is None or mine is None:
        return gap or Sentence("alternative.no_comparison")
    speed = mine.latency_ms / estimate.latency_ms
    values = {"speed": digits(speed, 2), "slower": digits(1 / speed, 2)}
    pace = (
        "faster"
        if estimate.high_ms < mine.low_ms
        else "slower"
        if estimate.low_ms > mine.high_ms
        else "alike"
    )
    if cost is None or my_cost is None:
        return Sentence(f"alternative.unpriced_{pace}", values)
    ratio = cost.usd_per_million_tokens / my_cost.usd_per_million_tokens
    price = (
        "cheaper"
        if cost.high_usd < my_cost.low_usd
        else "dearer"
        if cost.low_usd > my_cost.high_usd
        else "even"
    )
    return Sentence(
        f"alternative.{price}",
        {"ratio": digits(ratio, 2), "pace": Sentence(f"alternative.pace_{pace}", values)},
    )


def recommend(
    question: Question, answer: str, cost: Cost | None, alternatives: tuple[Alternative, ...]
) -> Sentence:
    """Stay, or take another card, because."""
    values: dict[str, object] = {"gpu": question.gpu.name}
    priced = [item for item in alternatives if item.cost is not None]
    best = priced[0] if priced else None
    if answer == "no":
        return (
            Sentence("recommend.take_other", {**values, **_named(best)})
            if best
            else Sentence("recommend.nothing", values)
        )
    if cost is None:
        return Sentence("recommend.unpriced", values)
    values |= _figures_of(cost)
    if best is None or best.cost is None:
        return Sentence("recommend.stay_alone", values)
    if best.cost.usd_per_million_tokens >= cost.usd_per_million_tokens:
        return Sentence("recommend.stay_cheapest", {**values, **_named(best)})
    if best.cost.high_usd >= cost.low_usd:
        return Sentence("recommend.stay_within", {**values, **_named(best)})
    return Sentence("recommend.take_cheaper", {**values, **_named(best)})


def _figures_of(cost: Cost) -> dict[str, object]:
    return {
        "usd": digits(cost.usd_per_million_tokens),
        "low": digits(cost.low_usd),
        "high": digits(cost.high_usd),
        "hourly": digits(cost.usd_per_hour),
        "provider": cost.provider,
    }


def _named(item: Alternative | None) -> dict[str, object]:
    if item is None or item.cost is None:
        return {}
    return {
        "other": item.gpu.name,
        **{f"other_{name}": value for name, value in _figures_of(item.cost).items()},
    }
