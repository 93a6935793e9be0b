"""`l4guide plan` on one screen: what to take, what the asked card does under the load, and a few cards beside it."""

from l4guide.advise import cards_of
from l4guide.plan import Place, PlanAnswer
from l4guide.plan.ranking import named
from l4guide.screen import NOTHING, Screen, Table
from l4guide.text import Sentence, digits

#: How many cards stand beside the asked one.
BESIDE = 6


def of_plan(answer: PlanAnswer, *, every: bool = False) -> Screen:
    """The screen of `l4guide plan`."""
    shown = answer.ranking if every else _beside(answer)
    return Screen(
        headline=answer.headline,
        question=answer.line,
        why=tuple(answer.lines()),
        table=Table(
            heading=("card", "ttft_ms", "tpot_ms", "output_per_s", "usd_output", "usd_month", "compared"),
            rows=tuple(_row(item, answer) for item in shown),
            more=len(answer.ranking) - len(shown),
        ),
    )


def _beside(answer: PlanAnswer) -> tuple[Place, ...]:
    """The asked card, those that lead an order, and its neighbours among those that serve."""
    ranking = answer.ranking
    place = ranking.index(answer.mine)
    able = [number for number, item in enumerate(ranking) if item.serves]
    leading = [number for number in able if ranking[number].places]
    centre = place if ranking[place].serves else 0
    near = sorted(able, key=lambda number: (abs(number - centre), number))
    others = [number for number in range(len(ranking)) if number not in able]
    chosen = [number for number in dict.fromkeys([*leading, *near, *others]) if number != place][:BESIDE]
    return tuple(ranking[number] for number in sorted([place, *chosen]))


def _row(item: Place, answer: PlanAnswer) -> tuple[str | Sentence, ...]:
    asked = item.gpu == answer.gpu
    card = item.card
    if card is None:
        reason: str | Sentence = item.reason
        if asked:
            reason = Sentence("screen.asked_and", {"reason": reason})
        number = 1 if item.late is None else item.late.cards
        return (cards_of(item.gpu, number), *(NOTHING for _ in range(5)), reason)
    told = Sentence(f"screen.{item.places[0]}") if item.places else None
    compared: str | Sentence = "" if told is None else told
    if asked:
        compared = (
            Sentence("screen.asked") if told is None else Sentence("screen.asked_and", {"reason": told})
        )
    dollars = card.point.usd_per_million_output_tokens
    return (
        named(card),
        digits(card.point.ttft_ms.value.item()),
        digits(card.point.tpot_ms.value.item()),
        digits(card.point.output_tokens_per_s.value.item()),
        NOTHING if dollars is None else digits(dollars.value.item()),
        NOTHING if card.usd_per_month is None else f"{card.usd_per_month:,.0f}",
        compared,
    )
