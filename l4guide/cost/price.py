"""What a card costs an hour: a published price with its date, or the user's own."""

import math
from collections.abc import Mapping
from datetime import date

from l4guide.catalogue import Gpu, Price, all_prices
from l4guide.errors import BadInput, CannotDo
from l4guide.frozen import frozen
from l4guide.workload import whole_number, yes_or_no

MAX_USD_PER_HOUR = 10_000
MAX_GPUS = 1024
MAX_USD_PER_KWH = 100
#: A price older than this is shown as old: prices rose through 2026.
OLD_DAYS = 90


@frozen
class Terms:
    """On what terms cards are rented: the cheapest published price unless a provider, region or own price is given.

    `usd_per_kwh` is the tariff of those who pay for the energy themselves.
    """

    gpus: int = 1
    usd_per_hour: float | None = None
    provider: str | None = None
    region: str | None = None
    spot: bool = False
    usd_per_kwh: float | None = None


@frozen
class Rate:
    """Dollars per hour of one card, whose they are and how old."""

    usd_per_hour: float
    provider: str
    pricing: str
    region: str | None
    as_of: date | None
    age_days: int | None
    source: str | None
    offers: tuple[Price, ...]

    @property
    def is_old(self) -> bool:
        """Whether it was read so long ago that one should look again."""
        return self.age_days is not None and self.age_days > OLD_DAYS

    def to_json(self) -> dict[str, object]:
        """The key `price` of `l4guide cost`."""
        said: dict[str, object] = {
            "provider": self.provider,
            "pricing": self.pricing,
            "usd_per_hour": self.usd_per_hour,
            "kind": "published" if self.as_of else "given",
        }
        if self.as_of is not None:
            said |= {"as_of": self.as_of.isoformat(), "age_days": self.age_days, "old": self.is_old}
            said |= {"source": self.source} | ({"region": self.region} if self.region else {})
        return said


def terms_of(options: Mapping[str, object]) -> Terms:
    """The terms among a user's options: `gpus`, `price`, `provider`, `region`, `spot` and `tariff`.

    Raises:
        BadInput: a price or a count that makes no sense.
    """
    gpus, price, tariff = (options.get(name) for name in ("gpus", "price", "tariff"))
    provider, region = (options.get(name) for name in ("provider", "region"))
    spot = options.get("spot")
    return Terms(
        gpus=1 if gpus is None else whole_number("gpus", gpus, at_most=MAX_GPUS),
        usd_per_hour=None if price is None else above_zero("price", price, MAX_USD_PER_HOUR),
        provider=None if provider is None else str(provider),
        region=None if region is None else str(region),
        spot=False if spot is None else yes_or_no("spot", spot),
        usd_per_kwh=None if tariff is None else above_zero("tariff", tariff, MAX_USD_PER_KWH),
    )


def above_zero(name: str, value: object, below: float) -> float:
    """A real number above zero.

    Raises:
        BadInput: it is none.
    """
    try:
        found = float(str(value).strip())
    except ValueError:
        found = math.nan
    if not 0 < found < below:
        raise BadInput("error.not_above_zero", name=name, value=str(value).strip(), high=f"{below:,.0f}")
    return found


def offers_for(
    gpu: Gpu, *, provider: str | None = None, region: str | None = None, spot: bool = False
) -> tuple[Price, ...]:
    """Published prices of a card, cheapest first.

    Raises:
        BadInput: the provider or region is not one that lists this card.
        CannotDo: nobody lists this card in that way.
    """
    pricing = "spot" if spot else "on-demand"
    listed = (p for p in all_prices() if (p.gpu, p.pricing) == (gpu.name, pricing))
    found = sorted(listed, key=lambda p: p.usd_per_hour)
    if not found:
        raise CannotDo("error.no_price", gpu=gpu.name, pricing=pricing)
    for field, value in (("provider", provider), ("region", region)):
        if value is None:
            continue
        chosen = [p for p in found if getattr(p, field).lower() == value.strip().lower()]
        if not chosen:
            names = ", ".join(sorted({getattr(p, field) for p in found} - {""}))
            values = {"value": value, "gpu": gpu.name, "pricing": pricing, "choices": names or "-"}
            raise BadInput(f"error.unknown_{field}", **values)
        found = chosen
    return tuple(found)


def rate_of(gpu: Gpu, terms: Terms, today: date | None = None) -> Rate:
    """The price of one card on these terms.

    Raises:
        BadInput: the provider or region does not list the card.
        CannotDo: no published price for the card.
    """
    if terms.usd_per_hour is not None:
        return Rate(
            usd_per_hour=terms.usd_per_hour,
            provider="own price",
            pricing="own",
            region=None,
            as_of=None,
            age_days=None,
            source=None,
            offers=(),
        )
    offers = offers_for(gpu, provider=terms.provider, region=terms.region, spot=terms.spot)
    offer = offers[0]
    return Rate(
        usd_per_hour=offer.usd_per_hour,
        provider=offer.provider,
        pricing=offer.pricing,
        region=offer.region or None,
        as_of=offer.as_of,
        age_days=((today or date.today()) - offer.as_of).days,
        source=offer.source,
        offers=offers,
    )
