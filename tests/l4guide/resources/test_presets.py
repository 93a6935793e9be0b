"""Tiles worth trying are what they are said to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from l4guide.catalogue import gpu
from l4guide.resources import Resources, presets, resources_for
from l4guide.resources.compiler import Compiler
from l4guide.resources.fixes import tile_json

if TYPE_CHECKING:
    from l4guide_kernels.tiles import Tile

KERNELS = ("forward", "backward-dkdv", "backward-dq", "decode")
CARDS = ("L4", "A100-80GB-SXM", "H100-SXM", "B200")


def asked(card: str, kernel: str, head_dim: int, tile: Tile, **how: Any) -> Resources:
    """What `tile` needs of a card, in bf16; nothing is suggested in its place."""
    options: dict[str, Any] = {**tile_json(tile), **how}
    return resources_for(gpu(card), kernel, head_dim, "bf16", suggest=False, **options)


@pytest.fixture
def compiler() -> Iterator[Compiler]:
    """A compiler process of the test's own."""
    with Compiler() as own:
        yield own


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("head_dim", [64, 80, 128, 256])
def test_what_is_too_large_does_not_fit_and_what_spills_does(card: str, kernel: str, head_dim: int) -> None:
    """By the closed formula, on every card."""
    found = presets(gpu(card), kernel, head_dim, "bf16")
    fits = {
        name: asked(card, kernel, head_dim, tile).fits
        for name, tile in found.items()
        if name in {"too_large", "spilling"}
    }
    assert {name: name == "spilling" for name in fits} == fits


def test_flash_attention_2s_tile_is_the_cards_own() -> None:
    """The causal one where the two differ."""
    causal = presets(gpu("L4"), "forward", 128, "bf16")["published"]
    full = presets(gpu("L4"), "forward", 128, "bf16", causal=False)["published"]
    assert ((64, 64), (128, 32)) == ((causal.block_m, causal.block_n), (full.block_m, full.block_n))


def test_counting_accumulators_says_nothing_where_they_are_no_registers() -> None:
    """A B200 keeps them in a memory of its tensor cores."""
    assert "spilling" not in presets(gpu("B200"), "forward", 128, "bf16")


@pytest.mark.compile
@pytest.mark.slow
def test_the_compiler_spills_what_is_said_to_spill(compiler: Compiler) -> None:
    """More accumulators than registers leave it no choice."""
    tile = presets(gpu("L4"), "forward", 128, "bf16")["spilling"]
    found = asked("L4", "forward", 128, tile, compile=True, compiler=compiler)
    assert found.fits
    assert found.spill_bytes is not None
    assert found.spill_bytes > 0
