"""Layers that keep one key for every so many tokens: how a configuration says it, and what is refused."""

import pytest
from public_configs import DEEPSEEK_V4_FLASH

from l4guide.errors import BadInput
from l4guide.model import Architecture, from_config

SIX = {**DEEPSEEK_V4_FLASH, "num_hidden_layers": 6}
PLAIN = {name: value for name, value in SIX.items() if name != "compress_ratios"}
SPARSE, HEAVY = "compressed_sparse_attention", "heavily_compressed_attention"


def layers(model: Architecture) -> set[tuple[int, str, int, int, int]]:
    """By number of layers: kind, tokens a key, tokens kept whole, columns of the index."""
    return {
        (g.count, g.mixer.kind, g.mixer.stride, g.mixer.recent, g.mixer.index_columns) for g in model.layers
    }


@pytest.mark.parametrize(
    "said",
    [
        {"compress_ratios": [0, 0, 4, 128, 4, 128, 4]},
        {"layer_types": ["sliding_attention", "sliding_attention", *[SPARSE, HEAVY] * 2]},
    ],
)
def test_two_spellings_say_the_same(said: dict[str, object]) -> None:
    """As its makers publish it, and as transformers writes it: the last entry is that of a further layer."""
    found = from_config({**PLAIN, **said}, "six")
    assert {(2, "window", 1, 0, 0), (2, "full", 4, 128, 128), (2, "full", 128, 128, 0)} == layers(found)


def test_rates_of_its_own_go_before_the_usual() -> None:
    """One key for every 8 tokens where `compress_rates` says so."""
    found = from_config({**PLAIN, "layer_types": [SPARSE] * 6, "compress_rates": {SPARSE: 8}}, "six")
    assert {(6, "full", 8, 128, 128)} == layers(found)


def test_what_is_not_listed_is_filled_in_and_said() -> None:
    """Two heavy layers, then sparse and heavy ones in turn, as transformers has it."""
    found = from_config(PLAIN, "six")
    assert {(4, "full", 128, 128, 0), (2, "full", 4, 128, 128)} == layers(found)
    assert "layer_types" in found.assumed


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"compress_ratios": [0, 4]}, "compress_ratios lists 2 of 6"),
        ({"compress_ratios": ["4"] * 6}, "compress_ratios must be an integer"),
        ({"compress_ratios": [True] * 6}, "compress_ratios must be an integer"),
        ({"compress_ratios": [-4] * 6}, "compress_ratios is -4"),
        ({"layer_types": [SPARSE] * 5}, "layer_types lists 5 of 6"),
        ({"layer_types": [SPARSE] * 6, "compress_rates": {SPARSE: 0}}, "compress_rates is 0"),
        ({"layer_types": [SPARSE] * 6, "compress_rates": {SPARSE: 2**40}}, "compress_rates is 1099511627776"),
    ],
)
def test_a_malformed_list_is_one_line(said: dict[str, object], wanted: str) -> None:
    """It names the field, the value and the limit."""
    with pytest.raises(BadInput, match=wanted):
        from_config({**PLAIN, **said}, "six")
