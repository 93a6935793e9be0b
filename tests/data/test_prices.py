"""What must hold for every price: dated, of a stated card, published and in a sensible range."""

from datetime import date

import pytest

from l4guide.catalogue import Price, all_prices

TODAY = date.today()
EVERY = pytest.mark.parametrize(
    "price", all_prices(), ids=lambda p: f"{p.gpu} {p.provider} {p.pricing} {p.instance}".strip()
)


@EVERY
def test_dates_are_past(price: Price) -> None:
    """A price was read on a day of 2026 that has been."""
    assert date(2026, 1, 1) <= price.as_of <= TODAY


@EVERY
def test_ranges(price: Price) -> None:
    """Lowest, median and highest are ordered and between 5 cents and 25 dollars per GPU-hour."""
    known = [price.usd_per_hour, price.median_usd_per_hour, price.max_usd_per_hour]
    ordered = [value for value in known if value is not None]
    assert sorted(ordered) == ordered
    assert 0.05 <= ordered[0] <= ordered[-1] <= 25
    assert price.gpus_per_instance in {None, 1, 2, 4, 8}


@EVERY
def test_spot_is_below_on_demand(price: Price) -> None:
    """No spot price is above what the same provider asks for keeping the same instance."""
    usual = [
        other.usd_per_hour
        for other in all_prices()
        if other.gpu == price.gpu
        and (other.provider, other.pricing) == (price.provider, "on-demand")
        and (price.instance in {"", other.instance})
    ]
    if price.pricing == "spot" and usual:
        assert price.usd_per_hour < max(usual)


def test_the_l4_has_a_market() -> None:
    """The L4 has on-demand, spot and marketplace prices, and eight in one machine are not cheaper each."""
    found = [price for price in all_prices() if price.gpu == "L4"]
    assert {"on-demand", "spot", "marketplace"} == {price.pricing for price in found}
    each = {(p.provider, p.gpus_per_instance): p.usd_per_hour for p in found if p.pricing == "on-demand"}
    assert each["AWS", 1] < each["AWS", 8]
    assert each["GCP", 1] < each["GCP", 8]


def test_no_price_hides_its_card_form() -> None:
    """Cards that sources name without a form, and prices that sources estimated, are not there."""
    text = " ".join(f"{p.gpu} {p.note}".lower() for p in all_prices())
    for word in ("unstated", "as listed", "estimated", "unknown"):
        assert word not in text
