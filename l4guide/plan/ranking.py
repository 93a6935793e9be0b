"""Which card to take for a load: by dollars, by latency and by energy, each as many as bear it; why the others lost."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from l4guide.catalogue import Gpu
from l4guide.cost import MOST_CARDS, Rate, Terms
from l4guide.cost.price import rate_of
from l4guide.cost.ranking import suited
from l4guide.errors import CannotDo, Problem
from l4guide.frozen import frozen
from l4guide.interval import Interval
from l4guide.plan.asked import Asked
from l4guide.plan.card import Card, Late, card_of, granted_cards
from l4guide.text import Sentence, digits

#: The orders that cards are ranked in, and the number of a point that each goes by.
ORDERS = {
    "cheapest": "usd_per_million_output_tokens",
    "fastest": "tpot_ms",
    "thriftiest": "joules_per_token",
}


@frozen
class Place:
    """A card among all: the orders that it leads, and the reason why it stands where it does.

    `places` is empty where another card does better in every order; `card` is None where it cannot serve at all.
    """

    gpu: Gpu
    card: Card | None
    places: tuple[str, ...]
    reason: Sentence
    late: Late | None = None

    @property
    def serves(self) -> bool:
        """Whether it keeps the targets."""
        return self.card is not None


def rank_plans(
    asked: Asked,
    gpus: Iterable[Gpu],
    refused: Callable[[Gpu], Sentence | None] = lambda _: None,
    mine: Gpu | None = None,
) -> tuple[Place, ...]:
    """Every card: those that serve by dollars per million tokens, then those without a price, then those that cannot.

    Args:
        asked: the whole question.
        gpus: the cards.
        refused: why a library does not run the model's attention on a card; None where one does.
        mine: the card that the question is about; an own price or provider is for it alone.
    """
    published = replace(asked.terms, usd_per_hour=None, provider=None, region=None)
    entered = [(gpu, _enter(gpu, asked, asked.terms if gpu == mine else published, refused)) for gpu in gpus]
    able = [found for _, found in entered if isinstance(found, Card)]
    leaders = {name: _leader(able, of, asked) for name, of in ORDERS.items()}
    return tuple(sorted((_placed(gpu, found, leaders, asked) for gpu, found in entered), key=_order))


def _enter(
    gpu: Gpu, asked: Asked, terms: Terms, refused: Callable[[Gpu], Sentence | None]
) -> Card | Late | Sentence:
    """A card that serves, one that is late, or why it does neither."""
    reason = refused(gpu)
    if reason is not None:
        return reason
    mine = replace(asked, question=suited(asked.question, gpu))
    try:
        room = granted_cards(gpu, mine, MOST_CARDS)
        if room is None:
            cards = asked.gpus or MOST_CARDS
            return Sentence("plan.no_room", {"cards": cards, "gb": f"{gpu.memory_gb:g}"})
        return card_of(gpu, mine, room, _rate(gpu, terms))
    except Problem as problem:
        return problem.sentence


def _rate(gpu: Gpu, terms: Terms) -> Rate | None:
    try:
        return rate_of(gpu, terms)
    except CannotDo:
        return None


def _number(card: Card, of: str) -> float | None:
    found: Interval | None = getattr(card.point, of)
    return None if found is None else float(found.value.item())


def _compared(card: Card, of: str, asked: Asked) -> float | None:
    """What an order goes by: at the load, but without one latencies are those of a single request.

    Each card's largest load is another, so that latencies there say nothing of which is faster.
    """
    if asked.demand.kind is None and of == ORDERS["fastest"]:
        return float(card.frontier.tpot_ms.value[0])
    return _number(card, of)


def _leader(able: list[Card], of: str, asked: Asked) -> Card | None:
    found = ((_compared(card, of, asked), place) for place, card in enumerate(able))
    known = [(number, place) for number, place in found if number is not None]
    return able[min(known)[1]] if known else None


def _order(item: Place) -> tuple[int, float]:
    if item.card is None:
        return (2, 0.0)
    dollars = _number(item.card, "usd_per_million_output_tokens")
    return (1, _number(item.card, "tpot_ms") or 0.0) if dollars is None else (0, dollars)


def _placed(gpu: Gpu, found: Card | Late | Sentence, leaders: dict[str, Card | None], asked: Asked) -> Place:
    if isinstance(found, Sentence):
        return Place(gpu=gpu, card=None, places=(), reason=found)
    if isinstance(found, Late):
        return Place(gpu=gpu, card=None, places=(), reason=late_sentence(found, asked), late=found)
    places = tuple(name for name, leader in leaders.items() if leader is found)
    return Place(gpu=gpu, card=found, places=places, reason=_why(found, places, leaders))


def late_sentence(found: Late, asked: Asked) -> Sentence:
    """Which target a card misses even for one request, and by how much."""
    low, value, high = (digits(end) for end in found.taken.ends())
    values = {"latency": value, "low": low, "high": high, "limit": digits(found.limit)}
    what = Sentence(f"contender.{found.name}_ms")
    return Sentence("plan.late", {"what": what, "percentile": f"{asked.targets.percentile:g}", **values})


def _why(card: Card, places: tuple[str, ...], leaders: dict[str, Card | None]) -> Sentence:
    cheapest, fastest = leaders["cheapest"], leaders["fastest"]
    if places:
        return Sentence(f"plan.place_{places[0]}", _beside(card, cheapest))
    mine, best = card.point.usd_per_million_output_tokens, None
    if cheapest is not None:
        best = cheapest.point.usd_per_million_output_tokens
    if mine is None or best is None or cheapest is None:
        slower = (_number(card, "tpot_ms") or 1.0) / (
            (_number(fastest, "tpot_ms") if fastest else None) or 1.0
        )
        return Sentence(
            "plan.unpriced",
            {"slower": digits(slower, 2), "fastest": "" if fastest is None else fastest.gpu.name},
        )
    apart = mine.low.item() > best.high.item()
    values = {"ratio": digits(mine.value.item() / best.value.item(), 2), "cheapest": named(cheapest)}
    return Sentence("plan.dearer" if apart else "plan.perhaps_dearer", {**values, **_used(card)})


def _beside(card: Card, cheapest: Card | None) -> dict[str, object]:
    mine = _number(card, "usd_per_million_output_tokens")
    best = None if cheapest is None else _number(cheapest, "usd_per_million_output_tokens")
    ratio = digits(mine / best, 2) if mine is not None and best else "–"
    return {"ratio": ratio, "cheapest": "" if cheapest is None else named(cheapest)}


def _used(card: Card) -> dict[str, object]:
    """How much of what it bears a card is asked for: a large one is mostly idle under a small load."""
    share = card.point.output_tokens_per_s.value.item() / (
        card.copies * card.best.output_tokens_per_s.value.item()
    )
    return {"used": digits(100 * min(share, 1.0), 2)}


def named(card: Card) -> str:
    """A card with how many of it serve."""
    number = card.cards * card.copies
    return card.gpu.name if number == 1 else f"{number} × {card.gpu.name}"
