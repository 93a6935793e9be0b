"""A ledger's buffers add up, stand against the asked card's limit, and tell what the compiler added."""

from dataclasses import replace

import pytest

from l4guide.catalogue import gpu
from l4guide.resources import Resources, ledger_of, published_ledgers, resources_for

L4 = gpu("L4")


def own(kernel: str = "backward-dkdv", head_dim: int = 128, **tile: int) -> Resources:
    """What our kernel needs of an L4."""
    return resources_for(L4, kernel, head_dim, **tile)  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", ["forward", "backward-dkdv", "backward-dq", "decode"])
@pytest.mark.parametrize("head_dim", [64, 72, 96, 128, 192, 256])
def test_the_buffers_of_our_kernels_add_up(kernel: str, head_dim: int) -> None:
    """To the compiler's bytes, with nothing left over where the formula knows the tile."""
    found = own(kernel, head_dim)
    ledger = ledger_of(found, L4)
    assert found.shared_bytes == ledger.total_bytes == sum(part.shared_bytes for part in ledger.parts)
    assert "compiler" not in {part.name for part in ledger.parts}
    assert found.kind == ledger.kind


def test_stages_are_counted_in_the_formula() -> None:
    """Three stages keep two blocks of Q and dO in flight."""
    parts = {part.name: part for part in ledger_of(own(stages=3), L4).parts}
    assert (32_768, "2·M·d·2 B") == (parts["q"].shared_bytes, parts["q"].formula)
    assert (1024, "2·2·M·4 B") == (parts["lse_delta"].shared_bytes, parts["lse_delta"].formula)
    assert (16_384, "N·d·2 B") == (parts["k"].shared_bytes, parts["k"].formula)


def test_what_the_compiler_adds_is_seen() -> None:
    """Bytes beyond the formula are a buffer of the compiler's own."""
    found = replace(own(), shared_bytes=own().shared_bytes + 256)
    assert ("compiler", 256) == (
        ledger_of(found, L4).parts[-1].name,
        ledger_of(found, L4).parts[-1].shared_bytes,
    )


def test_a_total_below_the_formula_is_not_divided() -> None:
    """A formula that is wrong for a tile explains nothing about it."""
    found = replace(own(), shared_bytes=own().shared_bytes - 256)
    assert ["whole"] == [part.name for part in ledger_of(found, L4).parts]


def test_a_formula_is_an_estimate() -> None:
    """Until the compiler has spoken."""
    ledger = ledger_of(own(block_m=128, block_n=32), L4)
    assert "estimated" == ledger.kind


def test_flash_attention_1_and_2_at_head_dim_128() -> None:
    """On an L4 the first does not fit and the second does; the A100's larger tile stands beside them."""
    found = [(x.library, x.total_bytes, x.fits) for x in published_ledgers(L4, "backward-dkdv", 128)]
    assert [
        ("flash-attn", 155_648, False),
        ("flash-attn", 81_920, True),
        ("flash-attn", 147_456, False),
        ("flash-attn-3", 99_584, True),
    ] == found


def test_decode_is_compared_with_split_kv() -> None:
    """The kernel that reads a KV cache stands beside ours."""
    assert ["split-kv"] == [ledger.pass_name for ledger in published_ledgers(L4, "decode", 128)]


def test_an_unknown_limit_is_no_verdict() -> None:
    """A card whose limit nobody published neither fits nor does not."""
    card = replace(L4, shared_bytes_per_block=None)
    assert [None] == [x.fits for x in published_ledgers(card, "decode", 128)]
    assert "fits" not in ledger_of(own(), card).to_json()


def test_json_holds_every_part() -> None:
    """A program gets the bytes and the formula of each buffer."""
    parts = ledger_of(own(), L4).to_json()["parts"]
    assert {"name": "k", "shared_bytes": 16_384, "formula": "N·d·2 B"} in parts  # type: ignore[operator]


def test_instructions_come_with_the_answer() -> None:
    """Known for a default tile, absent for one that nobody compiled."""
    known = own().to_json()["instructions"]
    assert isinstance(known, dict)
    assert 128 == known["tensor"]
    assert "instructions" not in own(block_m=128, block_n=32).to_json()
