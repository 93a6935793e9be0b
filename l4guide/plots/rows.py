"""What the figures draw and the tables list: one row a thread block, a card or a measured call."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from l4guide.advise import Advice, ModelAnswer, cards_of
from l4guide.catalogue import Gpu
from l4guide.cost import Contender
from l4guide.cost import Rate as Price
from l4guide.estimate import Estimate
from l4guide.frozen import frozen
from l4guide.measure.measurement import Measurement, Record
from l4guide.text import say
from l4guide.tiles import PublishedTile


@frozen
class Block:
    """Shared memory of one thread block, of our kernel or a published one; `source` is a catalogue key."""

    name: str
    tile: str
    shared_bytes: int
    limit_bytes: int
    fits: bool
    kind: str
    basis: str
    source: str | None


@frozen
class Spend:
    """Dollars per million tokens with their interval, of `number` cards that work together, at one price."""

    usd: float
    low: float
    high: float
    tokens_per_s: float
    number: int
    price: Price


@frozen
class Card:
    """One card of the comparison; `asked` marks the one that the question is about.

    `estimate` is of the attention alone, `spend` of the whole model; None for a bare shape.
    """

    gpu: Gpu
    asked: bool
    status: str | None
    estimate: Estimate | None
    spend: Spend | None

    @property
    def name(self) -> str:
        """The card, or so many of it as work together."""
        return self.gpu.name if self.spend is None else cards_of(self.gpu, self.spend.number)


@frozen
class Rate:
    """What an estimated time amounts to, with the ends of its interval, in `unit`."""

    value: float
    low: float
    high: float
    unit: str


def number(value: float) -> str:
    """Three significant digits with thousands separated and no exponent; whole numbers in full."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return format(Decimal(f"{value:#.3g}" if abs(value) >= 1 else f"{value:.3g}"), "f")


def blocks(advice: Advice, language: str = "en") -> tuple[Block, ...]:
    """Every block whose shared memory is known: our kernels first, then published ones."""
    ours = [
        Block(
            name=f"l4guide {item.kernel}",
            tile=tile_text(item.tile.block_m, item.tile.block_n, item.tile.warps, item.tile.stages),
            shared_bytes=item.shared_bytes,
            limit_bytes=item.limit_bytes,
            fits=item.fits,
            kind=item.kind,
            basis=item.basis
            if item.triton_version is None
            else f"{item.basis}, Triton {item.triton_version}",
            source=None,
        )
        for item in advice.tiles
    ]
    limit, capability = advice.question.gpu.shared_bytes_per_block, advice.question.gpu.capability
    if limit is None:
        return tuple(ours)
    published = [
        Block(
            name=f"{item.library} {item.versions.replace('>=', '≥')} {item.pass_name}",
            tile=_published_tile(item, capability, language),
            shared_bytes=item.shared_bytes,
            limit_bytes=limit,
            fits=item.shared_bytes <= limit,
            kind="published",
            basis=item.note,
            source=item.source,
        )
        for item in advice.published_tiles
    ]
    return (*ours, *published)


def _published_tile(item: PublishedTile, asked: str | None, language: str) -> str:
    """A tile, with the compute capabilities that it is launched on where the asked card's is not one of them."""
    tile = tile_text(item.block_m, item.block_n, item.warps)
    if asked in item.capabilities:
        return tile
    return say("plot.shared_only", language, tile=tile, capabilities=", ".join(item.capabilities))


def tile_text(block_m: int, block_n: int, warps: int, stages: int | None = None) -> str:
    """A tile in one short word: queries by keys, warps, stages."""
    return f"{block_m}×{block_n} w{warps}" + ("" if stages is None else f" s{stages}")


def cards(advice: Advice) -> tuple[Card, ...]:
    """The asked card, then the others: by the model's ranking where there is one, else by time."""
    asked = advice.question.gpu
    first = Card(gpu=asked, asked=True, status=None, estimate=advice.estimate, spend=None)
    others = (
        Card(gpu=item.gpu, asked=False, status=item.status, estimate=item.estimate, spend=None)
        for item in advice.alternatives
    )
    return (first, *others) if advice.model is None else _ranked((first, *others), advice.model)


def _ranked(found: Sequence[Card], model: ModelAnswer) -> tuple[Card, ...]:
    """The same cards in the order of the model's ranking, the asked one first, with what the model costs there."""
    by_gpu = {card.gpu: card for card in found}
    ordered = (replace(by_gpu[item.gpu], spend=_spend_of_model(item)) for item in model.ranking)
    return tuple(sorted(ordered, key=lambda card: not card.asked))


def _spend_of_model(item: Contender) -> Spend | None:
    dollars = None if item.whole is None else item.whole.usd_per_million_tokens
    if item.place == "out" or item.whole is None or dollars is None or item.whole.rate is None:
        return None
    low, usd, high = dollars.ends()
    speed = item.whole.step.tokens_per_s.value.item()
    number = item.whole.cards
    return Spend(usd=usd, low=low, high=high, tokens_per_s=speed, number=number, price=item.whole.rate)


def rate(estimate: Estimate, task: str) -> Rate:
    """The bandwidth for decode, which is bound by it, and the arithmetic rate for the other tasks."""
    if task == "decode":
        ends = (estimate.gb_per_s, estimate.gb_per_s_low, estimate.gb_per_s_high, "GB/s")
    else:
        ends = (estimate.tflops, estimate.tflops_low, estimate.tflops_high, "TFLOP/s")
    value, low, high, unit = ends
    return Rate(value=value, low=low, high=high, unit=unit)


def measured(advice: Advice, records: Sequence[Record]) -> tuple[tuple[str, Measurement], ...]:
    """The rows, with their card, that were measured on a GPU for exactly the shape that was asked about."""
    asked = advice.question.workload
    same = ("task", "batch", "seqlen_q", "seqlen_kv", "heads", "kv_heads", "head_dim", "dtype", "causal")
    return tuple(
        (record.gpu or record.gpu_reported_name or "GPU", row)
        for record in records
        for row in record.rows
        if row.basis == "gpu"
        and measured_rate(row) is not None
        and all(getattr(row, name) == getattr(asked, name) for name in same)
    )


def measured_rate(row: Measurement) -> float | None:
    """What was measured of a row: GB/s for decode, TFLOP/s otherwise; None where it did not run."""
    return row.gb_per_s if row.task == "decode" else row.tflops
