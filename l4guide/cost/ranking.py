"""Which card to take for a model: the cheapest and the fastest that hold it in time, and why each other lost."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from l4guide.catalogue import Gpu
from l4guide.cost.price import Terms
from l4guide.cost.whole import Order, Question, Whole, whole_of
from l4guide.errors import Problem
from l4guide.frozen import frozen
from l4guide.memory import gpus_needed
from l4guide.text import Sentence, digits

#: More cards than one machine holds are another project.
MOST_CARDS = 8


@frozen
class Contender:
    """A card with its place, or the reason why it has none.

    `place` is cheapest, fastest, both, behind (it would do, another does better) or out (it cannot).
    """

    gpu: Gpu
    place: str
    cards: int | None
    whole: Whole | None
    reason: Sentence

    def to_json(self, language: str = "en") -> dict[str, object]:
        """Keys are absent where the part is not known."""
        said: dict[str, object] = {
            "gpu": self.gpu.name,
            "place": self.place,
            "reason": self.reason.say(language),
        }
        if self.cards is not None:
            said["gpus"] = self.cards
        if self.whole is None:
            return said
        said["fits"] = self.whole.memory.fits
        said["latency_ms"] = self.whole.latency_ms.value.item()
        said["tokens_per_s"] = self.whole.step.tokens_per_s.value.item()
        if self.whole.encodes:
            said["sequences_per_s"] = self.whole.sequences_per_s.value.item()
        if (dollars := self.whole.usd_per_million_tokens) is not None:
            low, value, high = dollars.ends()
            said |= {"usd_per_million_tokens": value, "low": low, "high": high}
        if self.whole.step.runs:
            said["runs_on_this_card"] = self.whole.step.runs
        return said


def rank(
    question: Question,
    gpus: Iterable[Gpu],
    terms: Terms,
    order: Order,
    refused: Callable[[Gpu], Sentence | None] = lambda _: None,
    asked: Gpu | None = None,
) -> tuple[Contender, ...]:
    """Every card, cheapest per token first, then those without a price, then those that cannot do it.

    Each card takes as many of its kind as hold the model, up to `MOST_CARDS`.

    Args:
        question: the model and how it runs.
        gpus: the cards.
        terms: on which they are rented; an own price or provider is for the asked card alone.
        order: holds the latency targets.
        refused: why the attention itself does not run on a card; None where it does.
        asked: the card that the question is about.
    """
    published = replace(terms, usd_per_hour=None, provider=None, region=None)
    entered = [_enter(gpu, question, terms if gpu == asked else published, order, refused) for gpu in gpus]
    able = [whole for _, _, whole, reason in entered if whole is not None and reason is None]
    priced = [whole for whole in able if whole.rate is not None]
    cheapest = min(priced, key=_dollars, default=None)
    fastest = min(able, key=lambda whole: whole.latency_ms.value.item(), default=None)
    placed = [_place(*entry, cheapest, fastest) for entry in entered]
    return tuple(sorted(placed, key=_order))


def _dollars(whole: Whole) -> float:
    found = whole.usd_per_million_tokens
    return float("inf") if found is None else float(found.value.item())


def _order(item: Contender) -> tuple[int, float]:
    if item.place == "out" or item.whole is None:
        return (2, 0.0)
    if item.whole.rate is not None:
        return (0, _dollars(item.whole))
    return (1, item.whole.latency_ms.value.item())


def _enter(
    gpu: Gpu, question: Question, terms: Terms, order: Order, refused: Callable[[Gpu], Sentence | None]
) -> tuple[Gpu, int | None, Whole | None, Sentence | None]:
    """The card with what it does, and why it is out; None where it is not."""
    reason = refused(gpu)
    if reason is not None:
        return gpu, None, None, reason
    question = suited(question, gpu)
    cards = gpus_needed(question.model, question.plan, gpu, question.batch, question.context)
    if cards is None or cards > MOST_CARDS:
        return (
            gpu,
            cards,
            None,
            Sentence("contender.memory", {"cards": MOST_CARDS, "gb": f"{gpu.memory_gb:g}"}),
        )
    cards = max(cards, question.plan.gpus)
    try:
        whole = whole_of(gpu, replace(question, plan=replace(question.plan, gpus=cards)), terms, order)
    except Problem as problem:
        return gpu, cards, None, problem.sentence
    return gpu, cards, whole, lateness(whole)


def lateness(whole: Whole) -> Sentence | None:
    """Which latency target a card misses, and by how much; None where it misses none."""
    if whole.late is None:
        return None
    name, taken, limit = whole.late
    low, value, high = (digits(end) for end in taken.ends())
    values = {"latency": value, "low": low, "high": high, "limit": digits(limit)}
    return Sentence("contender.late", {"what": Sentence(f"contender.{name}"), **values})


def suited(question: Question, gpu: Gpu) -> Question:
    """The same question in fp16 where a card has no tensor cores for bf16; both take two bytes."""
    if gpu.bf16_tensor_cores or question.plan.dtype != "bf16":
        return question
    weights = "fp16" if question.plan.weights == "bf16" else question.plan.weights
    return replace(
        question,
        plan=replace(question.plan, dtype="fp16", weights=weights),
        workload=replace(question.workload, dtype="fp16"),
    )


def _place(
    gpu: Gpu,
    cards: int | None,
    whole: Whole | None,
    reason: Sentence | None,
    cheapest: Whole | None,
    fastest: Whole | None,
) -> Contender:
    if reason is not None or whole is None or fastest is None:
        out = reason or Sentence("contender.unknown")
        return Contender(gpu=gpu, place="out", cards=cards, whole=whole, reason=out)
    first, quick = whole is cheapest, whole is fastest
    place = "both" if first and quick else "cheapest" if first else "fastest" if quick else "behind"
    return Contender(
        gpu=gpu, place=place, cards=cards, whole=whole, reason=_why(whole, place, cheapest, fastest)
    )


def _why(whole: Whole, place: str, cheapest: Whole | None, fastest: Whole) -> Sentence:
    slower = whole.latency_ms.value.item() / fastest.latency_ms.value.item()
    values: dict[str, object] = {"slower": digits(slower, 2), "fastest": fastest.gpu.name}
    mine = whole.usd_per_million_tokens
    best = cheapest.usd_per_million_tokens if cheapest is not None else None
    if mine is None or best is None or cheapest is None:
        return Sentence("contender.fastest_unpriced" if place == "fastest" else "contender.unpriced", values)
    ratio = mine.value.item() / best.value.item()
    values |= {"ratio": digits(ratio, 2), "cheapest": cheapest.gpu.name, "usd": digits(mine.value.item())}
    if place != "behind":
        return Sentence(f"contender.{place}", values)
    apart = mine.low.item() > best.high.item()
    return Sentence("contender.dearer" if apart else "contender.perhaps_dearer", values)
