"""One card under a load: how many of it, what it does, what that costs, and where it stands among others."""

from dataclasses import replace
from math import ceil

import numpy as np

from l4guide.catalogue import Gpu
from l4guide.cost import Rate
from l4guide.cost.whole import HOURS_PER_MONTH, MILLION, SECONDS_PER_HOUR
from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers
from l4guide.plan.asked import Asked, Demand
from l4guide.serving.batch import SEQUENCES, step_times
from l4guide.serving.calibration import factors, spread
from l4guide.serving.capacity import Granted, granted
from l4guide.serving.load import Latencies
from l4guide.serving.steady import Balance, Server, balance
from l4guide.step.rates import share


@frozen
class Point:
    """What so many copies do together at a load, with 80 % intervals.

    `ttft_ms` and `tpot_ms` are of the percentile that was asked for, `user_tokens_per_s` what one request gets.
    Dollars are None where no price is known, joules where the card's power is not.
    """

    concurrency: Interval
    output_tokens_per_s: Interval
    requests_per_s: Interval
    ttft_ms: Interval
    tpot_ms: Interval
    user_tokens_per_s: Interval
    usd_per_million_output_tokens: Interval | None
    joules_per_token: Interval | None

    @property
    def tokens_per_usd(self) -> Interval | None:
        """What a dollar of rent buys; None where no price is known."""
        dollars = self.usd_per_million_output_tokens
        return None if dollars is None else dollars.inverse(MILLION)

    def at(self, place: int) -> "Point":
        """The point at one of the places of its arrays."""

        def one(found: Interval | None) -> Interval | None:
            return None if found is None else found.map(lambda end: np.atleast_1d(end)[place : place + 1])

        return Point(**{name: one(getattr(self, name)) for name in POINT})  # type: ignore[arg-type]


POINT = tuple(Point.__dataclass_fields__)


@frozen
class Card:
    """A card that serves, `cards` of it for one copy, and `copies` for the load.

    `best` is one copy at the largest load that keeps the targets, `point` all copies at the asked load (where none was
    asked for, `best` again), `frontier` one copy from one request to full. `limited_by` is what keeps it from more.
    """

    gpu: Gpu
    cards: int
    copies: int
    room: Granted
    rate: Rate | None
    point: Point
    best: Point
    frontier: Point
    limited_by: str
    #: The load over that of `best`: copies before they are made whole.
    copies_exact: float = 1.0

    @property
    def usd_per_month(self) -> float | None:
        """Rent of all copies."""
        if self.rate is None:
            return None
        return self.copies * self.cards * self.rate.usd_per_hour * HOURS_PER_MONTH


@frozen
class Late:
    """A card that keeps no target: at one request its latency, in ms, and which target that misses."""

    gpu: Gpu
    cards: int
    name: str
    taken: Interval
    limit: float


@frozen
class Copy:
    """One copy of the model on a card, in balance; `scale` are the ends over the middle of what is predicted."""

    gpu: Gpu
    asked: Asked
    room: Granted
    rate: Rate | None
    state: Balance
    scale: dict[str, tuple[float, float]]

    def latencies(self, demand: Demand, amounts: Numbers) -> Latencies:
        """What requests find at parts of a load, at the percentile that was asked for."""
        return demand.latencies(self.state, amounts, self.asked.targets.percentile / 100)

    def point(self, demand: Demand, found: Latencies, copies: int = 1) -> Point:
        """What so many copies do together whose requests each find this."""
        cards = copies * self.room.plan.gpus
        ended = self._ended(demand, found).times(copies)
        tokens = ended.times(float(self.asked.shape.output_tokens))
        watts = None if self.gpu.tdp_w is None else share("power").times(float(self.gpu.tdp_w * cards))
        return Point(
            concurrency=Interval.exactly(copies * found.in_flight),
            output_tokens_per_s=tokens,
            requests_per_s=ended,
            ttft_ms=_scaled(1e3 * found.ttft_late, self.scale["ttft"]),
            tpot_ms=_scaled(1e3 * found.tpot_late, self.scale["tpot"]),
            user_tokens_per_s=_scaled(1e3 * found.tpot, self.scale["tpot"]).inverse(1e3),
            usd_per_million_output_tokens=None
            if self.rate is None
            else tokens.inverse(cards * self.rate.usd_per_hour / SECONDS_PER_HOUR * MILLION),
            joules_per_token=None if watts is None else _over(watts, tokens),
        )

    def _ended(self, demand: Demand, found: Latencies) -> Interval:
        """Requests that end in a second: as many as come where that is borne; of users as many as do not pause."""
        low, high = self.scale["throughput"]
        middle, most = found.requests_per_s, float(self.state.requests_per_s[-1])
        if demand.kind == "requests_per_s":
            return Interval.of(*(np.minimum(middle, most * end) for end in (low, high, high)))
        if demand.kind == "users" and demand.think_s > 0:
            stay, pause = found.in_flight / middle, demand.think_s
            slow, quick = (middle * (stay + pause) / (stay / end + pause) for end in (low, high))
            return Interval.of(slow, middle, quick)
        return Interval.of(middle * low, middle, middle * high)


def card_of(gpu: Gpu, asked: Asked, room: Granted, rate: Rate | None) -> Card | Late:
    """A card whose memory was granted, at the load and at its best.

    Raises:
        CannotDo: the card has no rate for the type, or no known link joins several.
    """
    state = _state(gpu, asked, room)
    copy = Copy(gpu=gpu, asked=asked, room=room, rate=rate, state=state, scale=_scale(state))
    demand, targets = asked.demand, asked.targets
    amounts = demand.amounts(state)
    found = copy.latencies(demand, amounts)
    kept = targets.kept(found)
    if not kept[0]:
        return _late(gpu, asked, room, found)
    last = int(np.argmin(kept)) - 1 if not kept.all() else len(amounts) - 1
    most = _between(copy, amounts, last)
    best = copy.point(demand, copy.latencies(demand, np.array([most])))
    # As many copies as let no request wait for another to end.
    exact = 1.0 if demand.kind is None else demand.amount / most
    copies = max(1, ceil(exact * (1 - 1e-9)))
    point = best
    if demand.kind is not None:
        each = copy.latencies(demand, np.array([demand.amount / copies]))
        point = copy.point(demand, each, copies)
    alone = Demand()
    along = found if demand.is_closed else copy.latencies(alone, alone.amounts(state))
    return Card(
        gpu=gpu,
        cards=room.plan.gpus,
        copies=copies,
        room=room,
        rate=rate,
        point=point,
        best=best,
        frontier=copy.point(alone, along.every(2)),
        limited_by=state.limited_by if kept.all() else _missed(asked, found, last + 1),
        copies_exact=exact,
    )


def _state(gpu: Gpu, asked: Asked, room: Granted) -> Balance:
    """One copy in balance."""
    shape, question = asked.shape, asked.question
    kept = shape.output_tokens / (1 if room.engine.defaults.whole_answers else 2)
    slots = room.sequences(shape.fresh_tokens + kept, shape.prompt_tokens - shape.fresh_tokens)
    server = Server(
        times=step_times(gpu, question.model, room.plan, question.workload, shape, question.estimator),
        shape=shape,
        factors=factors(room.engine.name),
        slots=max(slots.value.item(), 1.0),
        sequences_at_most=room.sequences_at_most,
        batched_tokens=room.batched_tokens,
        eager=asked.request.eager,
        puts_off=not room.engine.defaults.whole_answers,
    )
    return balance(server)


def _between(copy: Copy, amounts: Numbers, last: int) -> float:
    """The largest load that keeps the targets, between two that were looked at."""
    demand, targets = copy.asked.demand, copy.asked.targets
    amount = float(amounts[last])
    if last + 1 < len(amounts):
        finer = np.geomspace(amount, amounts[last + 1], 16)
        kept = targets.kept(copy.latencies(demand, finer))
        amount = float(finer[-1 if kept.all() else max(int(np.argmin(kept)) - 1, 0)])
    # Requests and users are whole ones; a rate need not be.
    return amount if demand.kind == "requests_per_s" else max(1.0, float(np.floor(amount + 1e-9)))


def _scale(state: Balance) -> dict[str, tuple[float, float]]:
    """Ends over the middle of what is predicted: of servers left out of the fit, or wider where the step itself is."""
    times = state.server.times
    slow = float(np.interp(np.log(max(state.writing[-1], 1.0)), np.log(SEQUENCES), times.high))
    quick = float(np.interp(np.log(max(state.writing[-1], 1.0)), np.log(SEQUENCES), times.low))
    rate, first, each = (spread(name) for name in ("throughput", "ttft", "tpot"))
    return {
        "throughput": (min(rate.low, 1 / slow), max(rate.high, 1 / quick)),
        "ttft": (min(first.low, quick), max(first.high, slow)),
        "tpot": (min(each.low, quick), max(each.high, slow)),
    }


def _scaled(middle: Numbers, ends: tuple[float, float]) -> Interval:
    return Interval.of(middle * ends[0], middle, middle * ends[1])


def _over(watts: Interval, tokens: Interval) -> Interval:
    return Interval.of(watts.low / tokens.high, watts.value / tokens.value, watts.high / tokens.low)


def _missed(asked: Asked, found: Latencies, place: int) -> str:
    """Which target is missed at a place."""
    limit = asked.targets.ttft_ms
    return "ttft" if limit is not None and 1e3 * found.ttft_late[place] > limit else "tpot"


def _late(gpu: Gpu, asked: Asked, room: Granted, found: Latencies) -> Late:
    name = _missed(asked, found, 0)
    taken = 1e3 * getattr(found, f"{name}_late")[:1]
    ends = spread(name)
    limit = getattr(asked.targets, f"{name}_ms")
    return Late(
        gpu=gpu, cards=room.plan.gpus, name=name, taken=_scaled(taken, (ends.low, ends.high)), limit=limit
    )


def granted_cards(gpu: Gpu, asked: Asked, most: int) -> Granted | None:
    """The memory on as few cards as hold a copy and its longest sequence, or on those given; None if too few."""
    question = asked.question
    shape = asked.shape
    numbers = [asked.gpus] if asked.gpus else [2**power for power in range(most.bit_length())]
    for number in numbers:
        if number > 1 and not (gpu.nvlink_gb_per_s or gpu.pcie_gen):
            return None
        room = granted(gpu, question.model, replace(question.plan, gpus=number), asked.engine, asked.request)
        longest = float(max(room.max_model_len, shape.prompt_tokens + shape.output_tokens))
        if room.cache.value.item() > 0 and room.sequences(longest).value.item() >= 1:
            return room
    return None
