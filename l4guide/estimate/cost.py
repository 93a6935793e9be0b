"""What attention costs: a dated price per hour times an estimated time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from l4guide.catalogue import Gpu, Price, prices
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate.attention import Estimate
from l4guide.workload import Workload, real_number, whole_number

SECONDS_PER_HOUR = 3600
MAX_USD_PER_HOUR = 10_000
MAX_GPUS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms cards are rented: the cheapest published price unless a provider or an own price is given."""

    gpus: int = 1
    usd_per_hour: float | None = None
    provider: str | None = None
    spot: bool = False


def terms_of(options: Mapping[str, object]) -> Terms:
    """The terms among a user's options: `gpus`, `price`, `provider` and `spot`.

    Raises:
        BadInput: a price or a count that makes no sense.
    """
    gpus, price, provider = (options.get(name) for name in ("gpus", "price", "provider"))
    return Terms(
        gpus=1 if gpus is None else whole_number("gpus", gpus, at_most=MAX_GPUS),
        usd_per_hour=None
        if price is None
        else real_number("price", price, at_least=0.0, below=MAX_USD_PER_HOUR),
        provider=None if provider is None else str(provider),
        spot=bool(options.get("spot")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Dollars per million tokens of attention over `layers` layers, with the interval of the time estimate.

    A token is a query token: a prompt token in prefill, a generated one in decode, a trained one in training.
    """

    usd_per_hour: float
    provider: str
    pricing: str
    as_of: date | None
    age_days: int | None
    source: str | None
    layers: int
    gpus: int
    tokens_per_s: float
    tokens_per_s_low: float
    tokens_per_s_high: float
    usd_per_million_tokens: float
    low_usd: float
    high_usd: float
    offers: tuple[Price, ...]

    def to_json(self) -> dict[str, object]:
        """The keys of `l4guide cost`."""
        price: dict[str, object] = {
            "provider": self.provider,
            "pricing": self.pricing,
            "usd_per_hour": self.usd_per_hour,
            "kind": "published" if self.as_of else "given",
        }
        if self.as_of is not None:
            price |= {"as_of": self.as_of.isoformat(), "age_days": self.age_days, "source": self.source}
        return {
            "of": "attention",
            "layers": self.layers,
            "gpus": self.gpus,
            "tokens_per_s": self.tokens_per_s,
            "tokens_per_s_low": self.tokens_per_s_low,
            "tokens_per_s_high": self.tokens_per_s_high,
            "usd_per_million_tokens": self.usd_per_million_tokens,
            "low": self.low_usd,
            "high": self.high_usd,
            "kind": "estimated",
            "price": price,
        }


def offers_for(gpu: Gpu, *, provider: str | None = None, spot: bool = False) -> tuple[Price, ...]:
    """Published prices of a card, cheapest first.

    Raises:
        BadInput: the provider is not one that lists this card.
        CannotDo: nobody lists this card in that way.
    """
    pricing = "spot" if spot else "on-demand"
    every = sorted((p for p in prices(gpu.name) if p.pricing == pricing), key=lambda p: p.usd_per_hour)
    if not every:
        raise CannotDo("error.no_price", gpu=gpu.name, pricing=pricing)
    if provider is None:
        return tuple(every)
    chosen = tuple(p for p in every if p.provider.lower() == provider.strip().lower())
    if not chosen:
        names = ", ".join(sorted({p.provider for p in every}))
        raise BadInput("error.unknown_provider", value=provider, gpu=gpu.name, pricing=pricing, choices=names)
    return chosen


def cost_of(
    estimate: Estimate,
    workload: Workload,
    gpu: Gpu,
    *,
    terms: Terms | None = None,
    layers: int = 1,
    today: date | None = None,
) -> Cost:
    """Cost of attention at the cheapest published price, a provider's price, or the user's own.

    Several cards serve separate requests: tokens per second and price per hour both grow with them.

    Raises:
        BadInput: the provider does not list the card.
        CannotDo: no published price for the card.
    """
    terms = terms or Terms()
    gpus = terms.gpus
    offers: Sequence[Price] = ()
    rate = terms.usd_per_hour
    if rate is None:
        offers = offers_for(gpu, provider=terms.provider, spot=terms.spot)
        rate = offers[0].usd_per_hour
    per_second = [gpus * workload.tokens * 1e3 / (layers * ms) for ms in _milliseconds(estimate)]
    slow, middle, fast = per_second
    dollars = [gpus * rate / SECONDS_PER_HOUR / speed * 1e6 for speed in per_second]
    offer = offers[0] if offers else None
    return Cost(
        usd_per_hour=rate,
        provider=offer.provider if offer else "own price",
        pricing=offer.pricing if offer else "own",
        as_of=offer.as_of if offer else None,
        age_days=((today or date.today()) - offer.as_of).days if offer else None,
        source=offer.source if offer else None,
        layers=layers,
        gpus=gpus,
        tokens_per_s=middle,
        tokens_per_s_low=slow,
        tokens_per_s_high=fast,
        usd_per_million_tokens=dollars[1],
        low_usd=dollars[2],
        high_usd=dollars[0],
        offers=tuple(offers),
    )


def _milliseconds(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.high_ms, estimate.latency_ms, estimate.low_ms
