"""Other cards for the same workload, and the recommendation: stay, or take another, because."""

from collections.abc import Mapping

from l4guide.advise.records import Alternative, Question
from l4guide.catalogue import Gpu, gpus
from l4guide.errors import CannotDo, Problem
from l4guide.estimate import Cost, Estimate, attention_time, best_implementation, cost_of
from l4guide.support import check
from l4guide.text import Sentence
from l4guide.workload import Workload, real_number, whole_number

#: In the order in which a user would reach for them.
CANDIDATES = ("flash-attn", "torch/flash", "torch/efficient")
MAX_GPUS = 1024
MAX_USD_PER_HOUR = 10_000


def price_options(options: Mapping[str, object]) -> dict[str, object]:
    """What was said of the price, as `cost_of` takes it.

    Raises:
        BadInput: a price or count that makes no sense.
    """
    found: dict[str, object] = {"spot": bool(options.get("spot"))}
    if options.get("gpus") is not None:
        found["gpus"] = whole_number("gpus", options["gpus"], at_most=MAX_GPUS)
    if options.get("price") is not None:
        found["usd_per_hour"] = real_number("price", options["price"], at_least=0.0, below=MAX_USD_PER_HOUR)
    if options.get("provider") is not None:
        found["provider"] = str(options["provider"])
    return found


def alternatives_to(
    question: Question, estimate: Estimate | None, cost: Cost | None, pricing: Mapping[str, object]
) -> tuple[Alternative, ...]:
    """Every other card, cheapest per token first, then those without a price, then those that cannot do it.

    The user's own price and chosen provider are for the asked card; the others take the cheapest published price.
    """
    common = {name: pricing[name] for name in ("spot", "gpus") if name in pricing} | {"layers": question.layers}
    found = [
        _alternative(gpu, question.workload, estimate, cost, common)
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
    gpu: Gpu, workload: Workload, mine: Estimate | None, my_cost: Cost | None, common: Mapping[str, object]
) -> Alternative:
    verdicts = [check(workload, gpu, library) for library in CANDIDATES]
    runner = next((verdict for verdict in verdicts if verdict.status == "ok"), verdicts[0])
    estimate, cost, gap = None, None, None
    if runner.status == "ok":
        estimate, cost, gap = _figures(gpu, workload, common)
    return Alternative(
        gpu=gpu,
        status=runner.status,
        implementation=estimate.implementation if estimate else None,
        estimate=estimate,
        cost=cost,
        reason=_reason(runner.status, runner.message, estimate, cost, mine, my_cost, gap),
    )


def _figures(
    gpu: Gpu, workload: Workload, common: Mapping[str, object]
) -> tuple[Estimate | None, Cost | None, Sentence | None]:
    implementation = best_implementation(workload, gpu)
    if implementation is None:
        return None, None, Sentence("alternative.no_estimate")
    try:
        estimate = attention_time(workload, gpu, implementation)
    except CannotDo as problem:
        return None, None, problem.sentence
    try:
        return estimate, cost_of(estimate, workload, gpu, **common), None  # type: ignore[arg-type]
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
    values = {"speed": f"{speed:.2g}", "slower": f"{1 / speed:.2g}"}
    pace = "faster" if estimate.high_ms < mine.low_ms else "slower" if estimate.low_ms > mine.high_ms else "alike"
    if cost is None or my_cost is None:
        return Sentence(f"alternative.unpriced_{pace}", values)
    ratio = cost.usd_per_million_tokens / my_cost.usd_per_million_tokens
    price = "cheaper" if cost.high_usd < my_cost.low_usd else "dearer" if cost.low_usd > my_cost.high_usd else "even"
    return Sentence(
        f"alternative.{price}",
        {"ratio": f"{ratio:.2g}", "pace": Sentence(f"alternative.pace_{pace}", values)},
    )


def recommend(
    question: Question, answer: str, cost: Cost | None, alternatives: tuple[Alternative, ...]
) -> Sentence:
    """Stay, or take another card, because."""
    values: dict[str, object] = {"gpu": question.gpu.name}
    priced = [item for item in alternatives if item.cost is not None]
    best = priced[0] if priced else None
    if answer == "no":
        return Sentence("recommend.take_other", {**values, **_named(best)}) if best else Sentence("recommend.nothing", values)
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
        "usd": f"{cost.usd_per_million_tokens:.3g}",
        "low": f"{cost.low_usd:.3g}",
        "high": f"{cost.high_usd:.3g}",
        "hourly": f"{cost.usd_per_hour:.3g}",
        "provider": cost.provider,
    }


def _named(item: Alternative | None) -> dict[str, object]:
    if item is None or item.cost is None:
        return {}
    return {"other": item.gpu.name, **{f"other_{name}": value for name, value in _figures_of(item.cost).items()}}
