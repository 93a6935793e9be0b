"""What attention alone costs: a dated price per hour times an estimated time."""

from datetime import date

from l4guide.catalogue import Gpu, Price
from l4guide.cost.price import Rate, Terms, rate_of
from l4guide.estimate import Estimate
from l4guide.frozen import frozen
from l4guide.workload import Workload

SECONDS_PER_HOUR = 3600


@frozen
class Cost:
    """Dollars per million tokens of attention over `layers` layers, with the interval of the time estimate.

    A token is a query token: a prompt token in prefill, a generated one in decode, a trained one in training.
    """

    rate: Rate
    layers: int
    gpus: int
    tokens_per_s: float
    tokens_per_s_low: float
    tokens_per_s_high: float
    usd_per_million_tokens: float
    low_usd: float
    high_usd: float

    @property
    def usd_per_hour(self) -> float:
        """Dollars per hour of one card."""
        return self.rate.usd_per_hour

    @property
    def provider(self) -> str:
        """Whose price it is."""
        return self.rate.provider

    @property
    def pricing(self) -> str:
        """on-demand, spot or own."""
        return self.rate.pricing

    @property
    def as_of(self) -> date | None:
        """The day of the price; None for one's own."""
        return self.rate.as_of

    @property
    def age_days(self) -> int | None:
        """How old the price is."""
        return self.rate.age_days

    @property
    def source(self) -> str | None:
        """Where the price was read."""
        return self.rate.source

    @property
    def offers(self) -> tuple[Price, ...]:
        """Every published price that was considered, cheapest first."""
        return self.rate.offers

    def to_json(self) -> dict[str, object]:
        """The keys of `l4guide cost`."""
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
            "price": self.rate.to_json(),
        }


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
    rate = rate_of(gpu, terms, today)
    per_second = [gpus * workload.tokens * 1e3 / (layers * ms) for ms in _milliseconds(estimate)]
    slow, middle, fast = per_second
    dollars = [gpus * rate.usd_per_hour / SECONDS_PER_HOUR / speed * 1e6 for speed in per_second]
    return Cost(
        rate=rate,
        layers=layers,
        gpus=gpus,
        tokens_per_s=middle,
        tokens_per_s_low=slow,
        tokens_per_s_high=fast,
        usd_per_million_tokens=dollars[1],
        low_usd=dollars[2],
        high_usd=dollars[0],
    )


def _milliseconds(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.high_ms, estimate.latency_ms, estimate.low_ms
