"""The ledger's figure: every byte is drawn, buffers are told apart without colour, and words say the same."""

import pytest

from l4guide import plots
from l4guide.catalogue import gpu
from l4guide.plots.ledger import LOOKS
from l4guide.resources import Ledger, ledger_of, published_ledgers, resources_for
from l4guide.text import LANGUAGES

L4 = gpu("L4")
WHITE = 1.0


@pytest.fixture(scope="module")
def ledgers() -> tuple[Ledger, ...]:
    """The bars for the backward pass at head_dim 128 on an L4."""
    own = resources_for(L4, "backward-dkdv", 128)
    return (*published_ledgers(L4, "backward-dkdv", 128), ledger_of(own, L4))


def luminance(colour: str) -> float:
    """How bright a colour is, as the web's accessibility rules count."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_byte_is_drawn(ledgers: tuple[Ledger, ...]) -> None:
    """The bars of a tile add up to what its block asks for."""
    figure = plots.ledger_figure(ledgers, L4)
    drawn = dict.fromkeys(range(len(ledgers)), 0)
    for trace in figure.data:
        for place, size in zip(trace.y, trace.x, strict=True):
            drawn[place] += size
    assert [ledger.total_bytes for ledger in ledgers] == list(drawn.values())
    assert "stack" == figure.layout.barmode


def test_buffers_are_told_apart_without_colour(ledgers: tuple[Ledger, ...]) -> None:
    """No two buffers of one bar share colour and hatch; every colour stands out from white by 3 to 1."""
    for ledger in ledgers:
        looks = [LOOKS[part.name] for part in ledger.parts]
        assert len(looks) == len(set(looks))
    for colour, _ in LOOKS.values():
        assert (WHITE + 0.05) / (luminance(colour) + 0.05) >= 3.0


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_words_say_what_the_bars_say(ledgers: tuple[Ledger, ...], language: str) -> None:
    """Totals, verdicts and buffers are all in the text."""
    said = plots.ledger_alt(ledgers, L4, language)
    for words in ("155,648", "65,536", "81,920", "101,376", plots.verdict_of(ledgers[0], language)):
        assert words in said


def test_no_tile_is_a_sentence() -> None:
    """An empty answer says so in the figure's place."""
    assert plots.ledger_alt((), L4) in plots.ledger_figure((), L4).layout.annotations[0].text


def test_names_tell_releases_and_cards(ledgers: tuple[Ledger, ...]) -> None:
    """A published tile names who launches it, ours its stages."""
    names = [plots.ledger_name(ledger) for ledger in ledgers]
    assert "flash-attn ≥2.0.0,<3 backward 64×64 w8 (8.6, 8.9)" in names
    assert "l4guide backward-dkdv 64×64 w8 s2" == names[-1]
