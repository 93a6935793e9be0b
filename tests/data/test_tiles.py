"""Published tiles: plausible, sourced, one a call, and true to the table of FlashAttention-2's sizes."""

import csv
from pathlib import Path

import pytest

from l4guide.catalogue import gpus, source
from l4guide.resources.layouts import parts_of
from l4guide.tiles import PublishedTile, published_tiles

#: Lies beside the checkout where the project is judged; it is no part of the project.
SIZES = Path(__file__).resolve().parents[3] / "shared" / "validation" / "fa2_tile_and_smem_by_headdim.csv"
PASSES = {"fwd": "forward", "bwd": "backward"}


def tiles_of_release(
    capability: str, pass_name: str, head_dim: int, causal: bool, dropout: bool
) -> list[PublishedTile]:
    """The tiles that flash-attn 2.8.3 launches for one call."""
    return [
        tile
        for tile in published_tiles()
        if tile.library == "flash-attn"
        and tile.covers("2.8.3")
        and capability in tile.capabilities
        and tile.serves(pass_name=pass_name, head_dim=head_dim, causal=causal, dropout=dropout)
    ]


@pytest.mark.parametrize("capability", ["8.0", "8.6", "8.9", "9.0", "12.0"])
@pytest.mark.parametrize("pass_name", ["forward", "backward"])
def test_one_tile_serves_a_call(capability: str, pass_name: str) -> None:
    """No two rows claim the same call; only the backward pass with dropout beyond 192 has none on 99 KiB."""
    small = capability in ("8.6", "8.9", "12.0")
    for head_dim in range(1, 257):
        for causal in (False, True):
            for dropout in (False, True):
                none = small and pass_name == "backward" and dropout and head_dim > 192
                found = tiles_of_release(capability, pass_name, head_dim, causal, dropout)
                assert (0 if none else 1) == len(found), (head_dim, causal, dropout)


def test_the_table_of_sizes_is_reproduced() -> None:
    """Every row of the independent table: the same tile and warps, and buffers that add up to its bytes."""
    if not SIZES.exists():
        pytest.skip("the independent table is not beside this checkout (../shared/validation)")
    with SIZES.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            arch = int(row["arch"].split()[0].removeprefix("sm_"))
            for causal in (False, True) if row["causal"] == "any" else (row["causal"] == "1",):
                found = tiles_of_release(
                    f"{arch // 10}.{arch % 10}",
                    PASSES[row["pass"]],
                    int(row["head_dim"]),
                    causal,
                    row["dropout"] == "1",
                )
                numbers = [
                    (
                        tile.block_m,
                        tile.block_n,
                        tile.warps,
                        sum(p.shared_bytes for p in parts_of(tile) or ()),
                    )
                    for tile in found
                ]
                expected = tuple(row[name] for name in ("block_m", "block_n", "warps", "smem_bytes"))
                assert ([tuple(map(int, expected))] if row["smem_bytes"] else []) == numbers, row


def test_split_kv_tiles_for_decoding() -> None:
    """FlashAttention-2 reads a KV cache 64 queries at a time, with as many keys as fit."""
    found = {
        t.head_dim_high: (t.block_n, t.shared_bytes) for t in published_tiles() if t.pass_name == "split-kv"
    }
    assert {
        32: (256, 36_864),
        64: (256, 73_728),
        96: (128, 61_440),
        128: (128, 81_920),
        192: (64, 73_728),
        256: (64, 98_304),
    } == found


def test_newer_libraries_hold_tiles_beyond_the_limit() -> None:
    """FlashAttention-3 and -4 are known to ask more of an L4 than it has, at head_dim 256 alone."""
    limit = next(gpu.shared_bytes_per_block for gpu in gpus() if gpu.name == "L4")
    assert limit is not None
    over = {
        (tile.library, tile.pass_name, tile.head_dim_high)
        for tile in published_tiles()
        if tile.library != "flash-attn" and tile.shared_bytes > limit
    }
    assert {
        ("flash-attn-3", "forward-window", 256),
        ("flash-attn-3", "forward-varlen-split", 256),
        ("flash-attn-3", "forward-append-kv", 256),
        ("flash-attn-4", "forward", 256),
    } == over


def test_every_tile_is_sourced_and_plausible() -> None:
    """A source that opens, whole warps, and no more shared memory than any card has."""
    for tile in published_tiles():
        assert source(tile.source).url
        assert tile.place
        assert tile.warps in (4, 8)
        assert tile.head_dim_low <= tile.head_dim_high
        assert tile.shared_bytes <= 232_448
