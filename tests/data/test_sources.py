"""Every fact leads to a page that a stranger can open, and every name to one thing."""

import re
from datetime import date

import pytest

from l4guide.catalogue import Source, aliases, all_prices, gpu, gpus, model, models, plain, source, sources

TODAY = date.today()


@pytest.mark.parametrize("entry", sources(), ids=lambda entry: entry.key)
def test_sources_can_be_opened(entry: Source) -> None:
    """A source has a title, a publisher, a past date and a web address, never a bare number."""
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry.key)
    assert entry.title
    assert entry.publisher
    assert date(2015, 1, 1) <= entry.as_of <= TODAY
    assert re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]+/\S+", entry.url)
    assert not re.search(r"\bids?\b *\d", f"{entry.title} {entry.url}")


def test_addresses_are_not_repeated() -> None:
    """Two keys for one page would hide that two facts have one source."""
    urls = [entry.url for entry in sources() if "/flash-attention/" not in entry.url]
    assert len(urls) == len(set(urls))


def test_every_key_resolves() -> None:
    """The sources of cards, components and prices are all in the table."""
    keys = {key for card in gpus() for key in card.sources}
    keys |= {key for preset in models() for part in preset.components for key in part.sources}
    keys |= {price.source for price in all_prices()}
    for key in keys:
        assert key == source(key).key


def test_aliases_are_unique_and_resolve() -> None:
    """No two aliases read alike, none hides a real name, and each leads where it says."""
    written = [plain(alias.alias) for alias in aliases()]
    assert len(written) == len(set(written))
    cards = {card.name for card in gpus()}
    names = {plain(name) for name in cards | {preset.name for preset in models()}}
    for alias in aliases():
        found = gpu(alias.alias).name if alias.name in cards else model(alias.alias).name
        assert alias.name == found
        assert plain(alias.alias) not in names


def test_names_are_distinct_when_compared() -> None:
    """No two cards and no two models read alike without case, spaces and hyphens."""
    for names in ([card.name for card in gpus()], [preset.name for preset in models()]):
        assert len(names) == len({plain(name) for name in names})
