"""Published kernels' buffers, from the formulas in their sources, add up to the bytes that their headers print."""

import pytest

from l4guide.resources.layouts import parts_of, source_of
from l4guide.tiles import PublishedTile, published_tiles

DIVIDED = [tile for tile in published_tiles() if parts_of(tile) is not None]


def first_backward(head_dim: int, capability: str) -> PublishedTile:
    """FlashAttention-1's backward tile for a card."""
    return next(
        tile
        for tile in published_tiles()
        if tile.covers("1.0.9") and tile.head_dim_high == head_dim and capability in tile.capabilities
    )


def sizes(tile: PublishedTile) -> dict[str, int]:
    """The bytes of each buffer by its name."""
    return {part.name: part.shared_bytes for part in parts_of(tile) or ()}


@pytest.mark.parametrize(
    "tile", DIVIDED, ids=lambda t: f"{t.library}-{t.pass_name}-{t.head_dim_high}-{t.capabilities[0]}"
)
def test_buffers_add_up_to_the_published_bytes(tile: PublishedTile) -> None:
    """No byte is missing and none is counted twice."""
    assert tile.shared_bytes == sum(sizes(tile).values())


def test_every_tile_of_the_first_two_flash_attentions_is_divided() -> None:
    """Only FlashAttention-3's bytes are known as a sum alone."""
    assert {"flash-attn-3"} == {tile.library for tile in published_tiles() if parts_of(tile) is None}


@pytest.mark.parametrize(
    ("head_dim", "capability", "shared_bytes"),
    [
        (32, "8.9", 53_248),
        (64, "8.0", 122_880),
        (64, "8.9", 90_112),
        (64, "7.5", 65_536),
        (128, "8.0", 155_648),
    ],
)
def test_flash_attention_1s_backward_tiles(head_dim: int, capability: str, shared_bytes: int) -> None:
    """The bytes that its header prints for each card's branch."""
    assert shared_bytes == sum(sizes(first_backward(head_dim, capability)).values())


def test_the_exchange_of_dq_is_what_keeps_flash_attention_1_from_l4() -> None:
    """Eight warps leave 65,536 bytes of dQ in fp32; without them the tile would fit."""
    parts = sizes(first_backward(128, "8.9"))
    assert 65_536 == parts["dq"]
    assert sum(parts.values()) - parts["dq"] <= 101_376 < sum(parts.values())


def test_v_in_registers_would_not_have_been_enough() -> None:
    """FlashAttention-1 at head_dim 128 without V's buffer is 122,880 bytes, still beyond an L4."""
    parts = sizes(first_backward(128, "8.9"))
    assert 122_880 == sum(parts.values()) - parts["v"]


def test_sources_lead_to_the_file_with_the_formula() -> None:
    """FlashAttention-2's sizes are computed in kernel_traits.h, not where tiles are chosen."""
    second = next(tile for tile in published_tiles() if tile.covers("2.8.3"))
    assert "flash-attention-v2.8.3-traits" == source_of(second)
