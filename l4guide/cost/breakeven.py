"""Break-even maps: over two sizes of the question, which card yields tokens at the lowest price."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from l4guide.catalogue import Gpu
from l4guide.cost.price import Rate, Terms, rate_of
from l4guide.cost.ranking import MOST_CARDS, suited
from l4guide.cost.whole import MILLION, SECONDS_PER_HOUR, Question
from l4guide.errors import Problem
from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers
from l4guide.memory import gpus_needed, sizes, usable
from l4guide.model import Architecture, Mixer
from l4guide.step import step
from l4guide.step.attention import AttentionTime, attention_of_many
from l4guide.step.forward import NOTHING_KNOWN, kinds
from l4guide.text import Sentence, digits

CELLS = 40
#: How many times as many numbers are tried for so many different whole ones.
DRAWN_AT_MOST = 3
LARGEST_BATCH = 256
#: The context of a map where the model does not say how far it reads.
LONGEST_CONTEXT = 131_072
SHORTEST_CONTEXT = 128
#: Widths that models have or kernels are made for.
HEAD_DIMS = (32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 160, 192, 224, 256)
NOBODY = -1


@frozen
class Offer:
    """A card on a map: how many of them make one copy, and at what price."""

    gpu: Gpu
    cards: int
    rate: Rate


@frozen
class BreakEven:
    """Who is cheapest where.

    `across` is a length or a width, named by `axis` (context or head_dim); `batches` goes up. `winner` numbers
    `offers`, `NOBODY` where none has the memory; `uncertain` where another's interval reaches below the winner's high
    end. Arrays are `(batches, across)`; `usd` holds the winner's dollars per million tokens. `put_right` names the
    cards whose times were put right by runs on them; `caveats` put the model's numbers in doubt.
    """

    axis: str
    across: NDArray[np.int64]
    batches: NDArray[np.int64]
    offers: tuple[Offer, ...]
    winner: NDArray[np.int64]
    uncertain: NDArray[np.bool_]
    usd: Interval
    put_right: tuple[str, ...] = ()
    caveats: tuple[Sentence, ...] = ()

    @property
    def winners(self) -> tuple[Offer, ...]:
        """The offers that win somewhere, by how much of the map they win."""
        numbers, cells = np.unique(self.winner[self.winner != NOBODY], return_counts=True)
        return tuple(self.offers[number] for number in numbers[np.argsort(-cells)])

    def lines(self) -> tuple[Sentence, ...]:
        """The map in sentences: what puts it in doubt, what each winner has of it, and how much is uncertain."""
        cells = self.winner.size
        said = [
            Sentence(
                "breakeven.winner",
                {
                    "gpu": offer.gpu.name,
                    "cards": offer.cards,
                    "share": digits(100 * float((self.winner == self.offers.index(offer)).mean())),
                },
            )
            for offer in self.winners
        ]
        if not said:
            return (*self.caveats, Sentence("breakeven.nobody"))
        percent = digits(100 * float(self.uncertain.sum()) / cells)
        if self.put_right:
            said.append(Sentence("breakeven.put_right", {"gpus": ", ".join(self.put_right)}))
        return (*self.caveats, *said, Sentence("breakeven.uncertain", {"share": percent}))

    def say(self, language: str = "en") -> str:
        """The same sentences as text."""
        return "\n".join(line.say(language) for line in self.lines())

    def to_json(self, language: str = "en") -> dict[str, object]:
        """Axes, names and one row a batch; null where no card has the memory."""
        names = [offer.gpu.name for offer in self.offers]
        return {
            "axis": self.axis,
            self.axis: self.across.tolist(),
            "batch": self.batches.tolist(),
            "winner": [[None if n == NOBODY else names[n] for n in row] for row in self.winner],
            "uncertain": self.uncertain.tolist(),
            "usd_per_million_tokens": [
                [v if np.isfinite(v) else None for v in row] for row in self.usd.value
            ],
            "kind": "estimated",
            "put_right_by_runs": list(self.put_right),
            "remarks": [sentence.say(language) for sentence in self.caveats],
        }


def offers_of(question: Question, gpus: Iterable[Gpu], terms: Terms) -> tuple[Offer, ...]:
    """The priced cards with as many of each as hold the model at its smallest; cheapest per copy first."""
    published = replace(terms, usd_per_hour=None, provider=None, region=None)
    found = []
    for gpu in gpus:
        try:
            rate = rate_of(gpu, published)
        except Problem:
            continue
        cards = gpus_needed(question.model, question.plan, gpu, 1, SHORTEST_CONTEXT)
        if cards is not None and cards <= MOST_CARDS:
            found.append(Offer(gpu=gpu, cards=max(cards, question.plan.gpus), rate=rate))
    return tuple(sorted(found, key=lambda offer: offer.cards * offer.rate.usd_per_hour))


def by_context(
    question: Question, gpus: Iterable[Gpu], terms: Terms | None = None, *, cells: int = CELLS
) -> BreakEven:
    """Context across, batch up: a model as it is asked about."""
    longest = min(question.model.max_context or LONGEST_CONTEXT, LONGEST_CONTEXT)
    contexts = _steps(min(SHORTEST_CONTEXT, longest), longest, cells)
    batches = _steps(1, LARGEST_BATCH, cells)
    offers = offers_of(question, gpus, terms or Terms())
    batch, context = (grid.astype(float) for grid in np.meshgrid(batches, contexts, indexing="ij"))
    dollars = [_dollars(question, offer, batch, context) for offer in offers]
    return _put_right(_map("context", contexts, batches, offers, dollars), question)


def _put_right(found: BreakEven, question: Question) -> BreakEven:
    run = question.estimator.cards
    return replace(found, put_right=tuple(o.gpu.name for o in found.offers if o.gpu.name in run))


def turning(
    question: Question, gpus: Iterable[Gpu], terms: Terms, cells: int = CELLS
) -> tuple[int, Offer] | None:
    """From which context on another card is the cheapest than at the asked one; None where none is."""
    longest = min(question.model.max_context or LONGEST_CONTEXT, LONGEST_CONTEXT)
    if question.context >= longest:
        return None
    contexts = _steps(question.context, longest, cells)
    offers = offers_of(question, gpus, terms)
    batch = np.full((1, len(contexts)), float(question.batch))
    along = contexts.astype(float)[None]
    dollars = [_dollars(question, offer, batch, along) for offer in offers]
    found = _map("context", contexts, np.array([question.batch]), offers, dollars)
    winners = found.winner[0]
    other = np.flatnonzero((winners != winners[0]) & (winners != NOBODY))
    if winners[0] == NOBODY or not len(other):
        return None
    return int(contexts[other[0]]), offers[winners[other[0]]]


def by_head_dim(
    question: Question,
    gpus: Iterable[Gpu],
    terms: Terms | None = None,
    *,
    head_dims: Sequence[int] = HEAD_DIMS,
    cells: int = CELLS,
) -> BreakEven:
    """Width of a head across, batch up: the same model with other heads, at the asked context."""
    batches = _steps(1, LARGEST_BATCH, cells)
    offers = offers_of(question, gpus, terms or Terms())
    batch, context = batches.astype(float), np.full(len(batches), float(question.context))
    models = [with_head_dim(question.model, wide) for wide in head_dims]
    dollars = []
    for offer in offers:
        known = _attention(question, offer, models, batch, context)
        columns = [_dollars(replace(question, model=model), offer, batch, context, known) for model in models]
        ends = (np.stack([getattr(c, end) for c in columns], axis=1) for end in ("low", "value", "high"))
        dollars.append(Interval.of(*ends))
    return _put_right(_map("head_dim", np.array(head_dims), batches, offers, dollars), question)


def _attention(
    question: Question, offer: Offer, models: Sequence[Architecture], batch: Numbers, context: Numbers
) -> Mapping[Mixer, AttentionTime]:
    """Attention of all the models on one card, timed at once."""
    if question.plan.trains or question.implementation is not None or question.model.has_encoder:
        return NOTHING_KNOWN
    workload = suited(question, offer.gpu).workload
    mixers = list(dict.fromkeys(mixer for model in models for mixer in kinds(model, offer.cards)))
    if not mixers:
        return NOTHING_KNOWN
    return attention_of_many(offer.gpu, mixers, workload, batch, context, question.estimator)


def with_head_dim(model: Architecture, head_dim: int) -> Architecture:
    """The same model with heads of another width, which nobody traced; latent and linear layers keep theirs."""
    layers = tuple(
        replace(group, mixer=replace(group.mixer, head_dim=head_dim, head_dim_v=head_dim, kept_columns=None))
        if group.mixer.attends and not group.mixer.latent_rank
        else group
        for group in model.layers
    )
    return replace(model, layers=layers, trace=None)


def _steps(first: int, last: int, cells: int) -> NDArray[np.int64]:
    """`cells` whole numbers from first to last, evenly apart in the logarithm, each once; fewer where there are fewer.

    Small numbers lie closer together than whole ones can, so more are drawn until enough of them differ.
    """
    for drawn in range(cells, DRAWN_AT_MOST * cells):
        found = np.unique(np.round(np.geomspace(first, last, drawn)).astype(np.int64))
        if len(found) >= cells:
            break
    return found


def _dollars(
    question: Question,
    offer: Offer,
    batch: Numbers,
    context: Numbers,
    known: Mapping[Mixer, AttentionTime] = NOTHING_KNOWN,
) -> Interval:
    """Dollars per million tokens in every cell; infinite where the memory does not hold it."""
    question = suited(question, offer.gpu)
    plan = replace(question.plan, gpus=offer.cards)
    try:
        found = step(
            offer.gpu,
            question.model,
            plan,
            question.workload,
            batch,
            context,
            question.implementation,
            known,
            question.estimator,
        )
    except Problem:
        return Interval.exactly(np.full(batch.shape, np.inf))
    hourly = offer.cards * offer.rate.usd_per_hour
    dollars = found.tokens_per_s.inverse(hourly / SECONDS_PER_HOUR * MILLION)
    held = sizes(question.model, plan, batch, context).bytes.value <= usable(offer.gpu).bytes
    return dollars.map(lambda end: np.where(held, end, np.inf))


def _map(
    axis: str,
    across: NDArray[np.int64],
    batches: NDArray[np.int64],
    offers: tuple[Offer, ...],
    dollars: Sequence[Interval],
) -> BreakEven:
    shape = (len(batches), len(across))
    if not offers:
        nothing = Interval.exactly(np.full(shape, np.inf))
        nobody, no = np.full(shape, NOBODY), np.zeros(shape, dtype=bool)
        return BreakEven(
            axis=axis, across=across, batches=batches, offers=(), winner=nobody, uncertain=no, usd=nothing
        )
    low, value, high = (np.stack([getattr(d, end) for d in dollars]) for end in ("low", "value", "high"))
    best = np.argmin(value, axis=0)
    taken = [np.take_along_axis(end, best[None], axis=0)[0] for end in (low, value, high)]
    held = np.isfinite(taken[1])
    reaching = (low < taken[2][None]).sum(axis=0) > 1
    return BreakEven(
        axis=axis,
        across=across,
        batches=batches,
        offers=offers,
        winner=np.where(held, best, NOBODY),
        uncertain=held & reaching,
        usd=Interval.of(*taken),
    )
