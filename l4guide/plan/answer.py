"""The answer of `l4guide plan`: the asked card under the load, every card ranked, and how to start the server."""

from collections.abc import Iterator
from math import ceil

from l4guide.catalogue import Gpu
from l4guide.frozen import frozen
from l4guide.interval import Interval
from l4guide.plan.asked import Asked
from l4guide.plan.card import POINT, Card, Point
from l4guide.plan.launch import launch
from l4guide.plan.ranking import Place, named
from l4guide.serving.engine import GIB
from l4guide.text import Sentence, digits

#: Numbers of a place in the ranking that are told with their interval.
RANKED = (
    *("output_tokens_per_s", "requests_per_s", "ttft_ms", "tpot_ms"),
    *("usd_per_million_output_tokens", "joules_per_token"),
)


@frozen
class PlanAnswer:
    """A card under a load among all others.

    `line` repeats the question, `assumed` names what was filled in, `remarks` are what puts the numbers in doubt.
    """

    gpu: Gpu
    asked: Asked
    ranking: tuple[Place, ...]
    line: Sentence
    assumed: tuple[str, ...]
    remarks: tuple[Sentence, ...] = ()

    @property
    def mine(self) -> Place:
        """The asked card's place."""
        return next(item for item in self.ranking if item.gpu == self.gpu)

    @property
    def cheapest(self) -> Card | None:
        """The card that leads by dollars; None where no card that serves has a price."""
        return next((item.card for item in self.ranking if "cheapest" in item.places), None)

    @property
    def headline(self) -> Sentence:
        """What the asked card does, in one sentence."""
        card = self.mine.card
        if card is None:
            return Sentence(
                "plan.headline_out", {"gpu": self.gpu.name, "model": self.asked.question.model.name}
            )
        values: dict[str, object] = {"cards": named(card), "load": load_of(self.asked)}
        values["tpot"] = digits(card.point.tpot_ms.value.item(), 2)
        month = card.usd_per_month
        if month is None:
            return Sentence("plan.headline_unpriced", values)
        return Sentence("plan.headline", {**values, "usd": f"{month:,.0f}"})

    @property
    def recommendation(self) -> Sentence:
        """Which card to take, because."""
        best, card = self.cheapest, self.mine.card
        if best is None:
            return Sentence("plan.take_unpriced" if card is not None else "plan.take_none")
        values = {"cards": named(best), "load": load_of(self.asked), **_money(best)}
        if card is best:
            return Sentence("plan.stay", values)
        dollars = None if card is None else card.point.usd_per_million_output_tokens
        theirs = best.point.usd_per_million_output_tokens
        if card is None or dollars is None or theirs is None:
            return Sentence("plan.take", {**values, "gpu": self.gpu.name, "reason": self.mine.reason})
        apart = theirs.high.item() < dollars.low.item()
        ratio = digits(dollars.value.item() / theirs.value.item(), 2)
        mine = {"mine": named(card), "ratio": ratio}
        return Sentence("plan.take_cheaper" if apart else "plan.stay_within", {**values, **mine})

    def lines(self) -> Iterator[Sentence]:
        """The answer in sentences: what to take, then what the asked card does and what keeps it from more."""
        yield self.recommendation
        yield from self.remarks
        card = self.mine.card
        if card is None:
            yield Sentence("plan.out", {"gpu": self.gpu.name, "reason": self.mine.reason})
            return
        yield _memory(card)
        yield _speed(card, self.asked)
        yield _largest(card, self.asked)
        if card.usd_per_month is not None and card.rate is not None:
            yield _price(card)
        yield Sentence("plan.launch", {"line": launch(card, self.asked)})

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The keys of `l4guide plan`; what is not known is absent."""
        asked, card = self.asked, self.mine.card
        said: dict[str, object] = {
            "gpu": self.gpu.name,
            "model": asked.question.model.name,
            "question": {"line": self.line.say(language), **_question(asked)},
            "headline": self.headline.say(language),
            "recommendation": self.recommendation.say(language),
            "fits": "no" if card is None else _fits(card),
            "reason": self.mine.reason.say(language),
        }
        if card is not None:
            said |= _told(card, asked)
            said |= {"frontier": _frontier(card), "launch": launch(card, asked)}
        said["ranking"] = [_ranked(item, asked, language) for item in self.ranking]
        said |= {"assumed": list(self.assumed), "kind": "estimated"}
        return said | {"remarks": [sentence.say(language) for sentence in self.remarks]}


def load_of(asked: Asked) -> Sentence:
    """The load in words."""
    demand = asked.demand
    amount = digits(demand.amount, 6)
    if demand.kind is None:
        return Sentence("plan.load_best")
    if demand.kind == "users" and demand.think_s > 0:
        return Sentence("plan.load_thinking", {"amount": amount, "think": digits(demand.think_s)})
    return Sentence(f"plan.load_{demand.kind}", {"amount": amount})


def _fits(card: Card) -> str:
    """Whether the cards hold a copy with its longest sequence for certain, or perhaps."""
    return "yes" if card.room.sequences(float(card.room.max_model_len)).low.item() >= 1 else "tight"


def _ends(found: Interval) -> dict[str, float]:
    low, value, high = found.ends()
    return {"value": value, "low": low, "high": high}


def _point(point: Point) -> dict[str, object]:
    found = ((name, getattr(point, name)) for name in POINT)
    return {name: _ends(interval) for name, interval in found if interval is not None}


def _told(card: Card, asked: Asked) -> dict[str, object]:
    said: dict[str, object] = {
        "gpus": card.cards * card.copies,
        "gpus_per_copy": card.cards,
        "copies": card.copies,
        **_point(card.point),
        "kv_cache_tokens": _ends(card.room.tokens()),
        "limited_by": card.limited_by,
        "best": _point(card.best),
        "memory_gib": {name: _ends(part.times(1 / GIB)) for name, part in card.room.parts.items()},
        "engine": {"name": asked.engine.name, "release": asked.engine.release},
    }
    month = card.usd_per_month
    if card.rate is not None and month is not None:
        low, high = copies_between(card, asked)
        each = month / card.copies
        said["usd_per_month"] = {"value": month, "low": low * each, "high": high * each}
        said["price"] = card.rate.to_json()
    return said


def copies_between(card: Card, asked: Asked) -> tuple[int, int]:
    """The fewest and the most copies that the interval of throughput leaves open."""
    if asked.demand.kind is None:
        return card.copies, card.copies
    low, value, high = card.best.output_tokens_per_s.ends()
    slow, quick = low / value, max(high / value, 1.0)
    exact = card.copies_exact
    return max(1, ceil(exact / quick - 1e-9)), max(card.copies, ceil(exact / slow - 1e-9))


def _frontier(card: Card) -> list[dict[str, object]]:
    """One copy from one request to full: what a request gets against what a dollar buys."""
    found = card.frontier
    points: list[dict[str, object]] = []
    for place in range(len(found.requests_per_s.value)):
        point = found.at(place)
        told: dict[str, object] = {
            "concurrency": point.concurrency.value.item(),
            "user_tokens_per_s": _ends(point.user_tokens_per_s),
            "output_tokens_per_s": _ends(point.output_tokens_per_s),
        }
        if (bought := point.tokens_per_usd) is not None:
            told["tokens_per_usd"] = _ends(bought)
        points.append(told)
    return points


def _ranked(item: Place, asked: Asked, language: str) -> dict[str, object]:
    said: dict[str, object] = {"gpu": item.gpu.name, "reason": item.reason.say(language)}
    card = item.card
    if card is None:
        return {**said, "place": "out", "places": []}
    said |= {"place": item.places[0] if item.places else "behind", "places": list(item.places)}
    said |= {"gpus": card.cards * card.copies, "copies": card.copies, "fits": _fits(card)}
    told = ((name, getattr(card.point, name)) for name in RANKED)
    said |= {name: _ends(found) for name, found in told if found is not None}
    if card.usd_per_month is not None:
        said["usd_per_month"] = card.usd_per_month
    said["best"] = _point(card.best)
    return {**said, "limited_by": card.limited_by, "frontier": _frontier(card)}


def _question(asked: Asked) -> dict[str, object]:
    demand, targets = asked.demand, asked.targets
    said: dict[str, object] = {
        "prompt_tokens": asked.shape.prompt_tokens,
        "output_tokens": asked.shape.output_tokens,
        "prefix_share": asked.shape.prefix_share,
        "percentile": targets.percentile,
        "weights": asked.question.plan.weights,
        "kv_dtype": asked.question.plan.kv_dtype,
    }
    if demand.kind is not None:
        said[demand.kind] = demand.amount
    if demand.think_s:
        said["think_s"] = demand.think_s
    limits = {name: getattr(targets, name) for name in ("ttft_ms", "tpot_ms")}
    return said | {name: limit for name, limit in limits.items() if limit is not None}


def _money(card: Card) -> dict[str, object]:
    dollars = card.point.usd_per_million_output_tokens
    if dollars is None or card.usd_per_month is None:
        return {"usd": "–", "low": "–", "high": "–", "month": "–"}
    low, value, high = (digits(end) for end in dollars.ends())
    return {"usd": value, "low": low, "high": high, "month": f"{card.usd_per_month:,.0f}"}


def _memory(card: Card) -> Sentence:
    low, value, high = (f"{end:,.0f}" for end in card.room.tokens().ends())
    weights = digits(card.room.parts["weights"].value.item() / GIB)
    left = digits(max(card.room.cache.value.item(), 0.0) / GIB)
    values = {"weights": weights, "left": left, "tokens": value, "low": low, "high": high}
    return Sentence("plan.memory", {**values, "cards": card.cards, "share": digits(card.room.utilization)})


def _speed(card: Card, asked: Asked) -> Sentence:
    rate, first, each = (
        tuple(digits(end) for end in found.ends())
        for found in (card.point.output_tokens_per_s, card.point.ttft_ms, card.point.tpot_ms)
    )
    values = {"rate": rate[1], "rate_low": rate[0], "rate_high": rate[2]}
    values |= {"ttft": first[1], "ttft_low": first[0], "ttft_high": first[2]}
    values |= {"tpot": each[1], "tpot_low": each[0], "tpot_high": each[2]}
    return Sentence(
        "plan.speed", {**values, "percentile": f"{asked.targets.percentile:g}", "cards": named(card)}
    )


def _largest(card: Card, asked: Asked) -> Sentence:
    """The largest load of one copy, and what limits it."""
    values: dict[str, object] = {
        "concurrency": digits(card.best.concurrency.value.item()),
        "rate": digits(card.best.output_tokens_per_s.value.item()),
        "limit": Sentence(f"plan.limit_{card.limited_by}"),
    }
    return Sentence("plan.largest_targets" if asked.targets.any else "plan.largest", values)


def _price(card: Card) -> Sentence:
    values = {**_money(card), "cards": named(card)}
    if card.rate is None or card.rate.as_of is None:
        return Sentence("plan.cost_own", values)
    values["hourly"] = digits(card.rate.usd_per_hour)
    dated = {"provider": card.rate.provider, "as_of": card.rate.as_of.isoformat()}
    return Sentence("plan.cost", {**values, **dated})
