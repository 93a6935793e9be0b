"""What would change the answer about a model: a price, a size, a type, a number of cards."""

from dataclasses import replace

from l4guide.advise.lighter import lighter
from l4guide.cost import Contender, Question, Whole, turning, whole_of
from l4guide.errors import Problem
from l4guide.text import Sentence, digits


def changes(whole: Whole, ranking: tuple[Contender, ...]) -> tuple[Sentence, ...]:
    """What would change the answer: a price, a size, a type, a number of cards."""
    found = lighter(whole)
    room, question = whole.memory, whole.question
    if room.fits == "no" and room.gpus_needed is not None:
        values = {"gpus": room.gpus_needed, "gpu": whole.gpu.name}
        found.append(Sentence("change.gpus", values))
    if room.fits != "no":
        batch, context = room.largest_batch, room.largest_context
        values = {"gpu": whole.gpu.name, "asked": question.context, "at": question.batch}
        values |= {"batch": batch.value, "batch_low": batch.low, "batch_high": batch.high}
        values |= {"context": context.value, "context_low": context.low, "context_high": context.high}
        found.append(Sentence("change.memory", values))
    found += _price_change(whole, ranking)
    found += _turning(whole, ranking)
    found += _variant(whole, "change.weights", _narrower(question))
    if room.fits == "no":
        return tuple(found)
    found += _variant(whole, "change.batch", _fuller(whole))
    return tuple(found)


def _price_change(whole: Whole, ranking: tuple[Contender, ...]) -> list[Sentence]:
    """At what price this card would be the cheapest, or stop being so."""
    mine = whole.usd_per_million_tokens
    others = [item for item in ranking if item.whole is not None and item.gpu.name != whole.gpu.name]
    priced = [
        item.whole for item in others if item.place != "out" and item.whole and item.whole.rate is not None
    ]
    if mine is None or whole.rate is None or not priced or whole.memory.fits == "no" or whole.late:
        return []
    best = min(priced, key=lambda item: _middle(item))
    level = whole.rate.usd_per_hour * _middle(best) / mine.value.item()
    key = "change.price_up" if level >= whole.rate.usd_per_hour else "change.price_down"
    values = {"gpu": whole.gpu.name, "other": best.gpu.name, "usd": digits(level)}
    return [Sentence(key, {**values, "now": digits(whole.rate.usd_per_hour)})]


def _turning(whole: Whole, ranking: tuple[Contender, ...]) -> list[Sentence]:
    """From which context on another card is the cheapest; the map behind it knows no latency target."""
    if whole.order.has_latency:
        return []
    able = [item.gpu for item in ranking if item.place != "out"]
    found = turning(whole.question, able, whole.terms)
    if found is None:
        return []
    context, offer = found
    values = {"context": context, "gpu": offer.gpu.name, "cards": offer.cards, "batch": whole.question.batch}
    return [Sentence("change.context", values)]


def _middle(whole: Whole) -> float:
    dollars = whole.usd_per_million_tokens
    return float("inf") if dollars is None else float(dollars.value.item())


def _narrower(question: Question) -> Question | None:
    """The same with weights of half the bits, where training does not need them."""
    narrower = {"fp32": "bf16", "bf16": "fp8", "fp16": "fp8", "fp8": "int4"}.get(question.plan.weights)
    if question.plan.trains or narrower is None:
        return None
    return replace(question, plan=replace(question.plan, weights=narrower))


def _fuller(whole: Whole) -> Question | None:
    """The same with the largest batch that has the memory."""
    largest = whole.memory.largest_batch.value
    if largest <= whole.question.batch:
        return None
    return replace(whole.question, workload=replace(whole.question.workload, batch=largest))


def _variant(whole: Whole, key: str, question: Question | None) -> list[Sentence]:
    """What another plan would make of tokens per second; nothing where it changes less than a tenth."""
    if question is None:
        return []
    try:
        other = whole_of(whole.gpu, question, whole.terms, whole.order)
    except Problem:
        return []
    ratio = other.step.tokens_per_s.value.item() / whole.step.tokens_per_s.value.item()
    if whole.memory.fits == other.memory.fits == "no":
        return []
    then_fits = other.memory.fits == "yes" != whole.memory.fits
    if abs(ratio - 1) < 0.1 and not then_fits:
        return []
    as_before = other.memory.fits == whole.memory.fits
    values = {
        "ratio": digits(ratio, 2),
        "weights": question.plan.weights,
        "batch": question.batch,
        "fits": "" if as_before else Sentence("change.then", {"fits": Sentence(f"fits.{other.memory.fits}")}),
        "latency": digits(other.latency_ms.value.item()),
    }
    return [Sentence(key, values)]
