"""Other cards for the same workload, and the recommendation: stay, or take another, because."""

from collections.abc import Iterable

from l4guide.advise.model import provider_of
from l4guide.advise.records import FIRST, Alternative, Question
from l4guide.catalogue import Gpu, gpus
from l4guide.cost import Cost, Terms, cost_of
from l4guide.errors import CannotDo, Problem
from l4guide.estimate import Estimate, LiveEstimator
from l4guide.support import Verdict, check
from l4guide.text import Sentence, digits

#: PyTorch's fallback keeps the score matrix in memory; it always runs, and never counts as support. Its default
#: is one of the backends that are asked on their own. SageAttention rounds to 8 bits, which is nobody's default.
NOT_COUNTED = ("torch/math", "torch/sdpa", "sageattention")
#: In the order in which a user would reach for them.
CANDIDATES = ("flash-attn", "torch/flash", "torch/efficient")
#: Those whose kernels the estimator has measured rows of.
MEASURED = ("flash-attn", "torch/flash")


def alternatives_to(
    question: Question,
    estimate: Estimate | None,
    cost: Cost | None,
    terms: Terms,
    estimator: LiveEstimator,
) -> tuple[Alternative, ...]:
    """Every other card for the attention, cheapest per token first, then without a price, then without a verdict.

    The user's own price and chosen provider are for the asked card; others take the cheapest published price.
    """
    published = Terms(gpus=terms.gpus, spot=terms.spot)
    found = [
        _alternative(gpu, question, estimate, cost, published, estimator)
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
    gpu: Gpu,
    question: Question,
    mine: Estimate | None,
    my_cost: Cost | None,
    terms: Terms,
    estimator: LiveEstimator,
) -> Alternative:
    verdicts = [check(question.workload, gpu, CANDIDATES[0])]
    for library in CANDIDATES[1:]:
        if verdicts[-1].status != "ok":
            verdicts.append(check(question.workload, gpu, library))
    runner = verdicts[-1] if verdicts[-1].status == "ok" else verdicts[0]
    estimate: Estimate | None = None
    cost: Cost | None = None
    gap: Sentence | None = Sentence("alternative.no_estimate")
    if runner.library in MEASURED and runner.status == "ok":
        estimate, cost, gap = _figures(gpu, question, terms, estimator)
    return Alternative(
        gpu=gpu,
        status=runner.status,
        implementation=estimate.implementation if estimate else None,
        estimate=estimate,
        cost=cost,
        reason=_reason(runner.status, runner.message, estimate, cost, mine, my_cost, gap),
    )


def _figures(
    gpu: Gpu, question: Question, terms: Terms, estimator: LiveEstimator
) -> tuple[Estimate | None, Cost | None, Sentence | None]:
    implementation = estimator.best_implementation(question.workload, gpu)
    if implementation is None:
        return None, None, Sentence("alternative.no_estimate")
    try:
        estimate = estimator.attention_time(question.workload, gpu, implementation)
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
    question: Question, verdicts: Iterable[Verdict], cost: Cost | None, alternatives: tuple[Alternative, ...]
) -> Sentence:
    """Stay, or take another card, because."""
    counted = [verdict for verdict in verdicts if verdict.library not in NOT_COUNTED]
    statuses = {v.status for v in counted if v.library in FIRST or v.status == "ok"}
    values: dict[str, object] = {"gpu": question.gpu.name, **_figures_of(cost)}
    priced = [item for item in alternatives if item.cost is not None]
    best = priced[0] if priced else None
    values |= _named(best)
    if "ok" not in statuses:
        asked = "unknown" if "unknown" in statuses else "refused"
        return Sentence(f"recommend.{asked}_take" if best else f"recommend.{asked}_alone", values)
    if cost is None:
        running = next(verdict for verdict in counted if verdict.status == "ok")
        return Sentence(
            "recommend.unpriced", {**values, "library": running.library, "version": running.version}
        )
    if best is None or best.cost is None:
        return Sentence("recommend.stay_alone", values)
    if best.cost.usd_per_million_tokens >= cost.usd_per_million_tokens:
        return Sentence("recommend.stay_cheapest", values)
    apart = best.cost.high_usd < cost.low_usd
    return Sentence("recommend.take_cheaper" if apart else "recommend.stay_within", values)


def _figures_of(cost: Cost | None) -> dict[str, object]:
    if cost is None:
        return {}
    return {
        "usd": digits(cost.usd_per_million_tokens),
        "low": digits(cost.low_usd),
        "high": digits(cost.high_usd),
        "hourly": digits(cost.usd_per_hour),
        "provider": provider_of(cost.rate),
    }


def _named(item: Alternative | None) -> dict[str, object]:
    if item is None:
        return {}
    figures = {f"other_{name}": value for name, value in _figures_of(item.cost).items()}
    return {"other": item.gpu.name, **figures}
