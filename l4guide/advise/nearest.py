"""Which few of all cards stand beside the asked one: those that a reader would weigh it against."""

import math
from collections.abc import Sequence

from l4guide.advise.records import Alternative
from l4guide.catalogue import Gpu, all_prices
from l4guide.cost import Contender
from l4guide.estimate import Estimate

#: How many cards stand beside the asked one.
BESIDE = 5


def nearest_in_time(alternatives: Sequence[Alternative], mine: Estimate | None) -> tuple[Alternative, ...]:
    """For attention alone: of the cards that run it, the five whose time is nearest by ratio, the fastest first.

    Cards that somebody rents out come before those that can only be bought. Where the asked card has no time, or too
    few others have one, the first of the comparison fill up.
    """
    if mine is None:
        return tuple(alternatives[:BESIDE])

    rented = {price.gpu for price in all_prices()}

    def apart(item: Alternative) -> tuple[bool, float]:
        if item.estimate is None:
            return True, math.inf
        return item.gpu.name not in rented, abs(math.log(item.estimate.latency_ms / mine.latency_ms))

    chosen = sorted(alternatives, key=apart)[:BESIDE]
    return tuple(item for item in alternatives if item in chosen)


def nearest_in_rank(ranking: Sequence[Contender], asked: Gpu) -> tuple[Contender, ...]:
    """For a whole model: the asked card, the cheapest, the fastest, and its neighbours in the ranking, in its order.

    Where the asked card cannot do it, its neighbours are the best of those that can. Cards that cannot fill up, those
    that come nearest to a latency target first.
    """
    place = next(number for number, item in enumerate(ranking) if item.gpu == asked)
    centre = 0 if ranking[place].place == "out" else place
    able = [number for number, item in enumerate(ranking) if item.place != "out"]
    best = [number for number in able if ranking[number].place != "behind"]
    near = sorted(able, key=lambda number: (abs(number - centre), number))
    late = sorted(
        set(range(len(ranking))) - set(able), key=lambda number: (_seconds(ranking[number]), number)
    )
    beside = [number for number in dict.fromkeys([*best, *near, *late]) if number != place][:BESIDE]
    return tuple(ranking[number] for number in sorted([place, *beside]))


def _seconds(item: Contender) -> float:
    return math.inf if item.whole is None else float(item.whole.step.seconds.value.item())
