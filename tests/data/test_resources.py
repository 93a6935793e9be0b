"""The recorded compiler evidence: complete where the guide relies on it, plausible, true to the formula."""

from dataclasses import replace

import pytest
from l4guide_kernels.code import digest

from l4guide.catalogue import gpu, gpus
from l4guide.resources.defaults import HALF, default_tiles, flagship
from l4guide.resources.ledger import PASSES
from l4guide.resources.occupancy import ctas_by_shared_memory
from l4guide.resources.record import path_for, read, versions
from l4guide.resources.specialisation import Figures, Specialisation, by_formula, specialise
from l4guide.tiles import published_tiles

L4 = gpu("L4")
ROWS = [row for version in versions() for row in read(path_for(version)).items()]
NEWEST = read(path_for(versions()[0]))


def test_every_default_tile_of_l4_is_recorded() -> None:
    """The guide answers for an L4 at once, whatever the head dim."""
    assert set() == {*default_tiles([89])} - NEWEST.keys()


def test_a100_and_h100_are_recorded() -> None:
    """The data-centre cards that an L4 is compared with, with a mask and without, in bf16."""
    compared = {*default_tiles([80, 90])}
    assert {True, False} == {wanted.causal for wanted in compared}
    assert set() == compared - NEWEST.keys()


def test_the_record_was_made_with_the_kernels_as_they_are() -> None:
    """A changed kernel makes its rows stale: python -m l4guide.resources.recorder makes them anew."""
    assert set() == {wanted for wanted, figures in NEWEST.items() if figures.code != digest(wanted.kernel)}


def test_flash_attention_1s_tile_is_recorded() -> None:
    """The tile that fits an A100 and not an L4 is evidence, not an anecdote."""
    assert set() == set(flagship()) - NEWEST.keys()
    assert {132_096} == {NEWEST[wanted].shared_bytes for wanted in flagship((80, 86, 89))}


def test_l4_and_a10g_share_their_code() -> None:
    """sm_86 and sm_89 take the same shared memory wherever both are recorded."""
    for wanted, figures in NEWEST.items():
        if wanted.arch == 89:
            twin = NEWEST.get(replace(wanted, arch=86))
            assert twin is None or figures.shared_bytes == twin.shared_bytes


def test_neither_the_mask_nor_the_16_bit_type_takes_shared_memory() -> None:
    """On this rest the answers for what was not recorded itself."""
    assert [] == [
        (wanted, twin)
        for wanted, figures in NEWEST.items()
        for twin in wanted.twins
        if twin in NEWEST and NEWEST[twin].shared_bytes != figures.shared_bytes
    ]


def test_nothing_spills_on_an_l4() -> None:
    """No default tile of sm_89 up to 256 columns spills in fp16 or bf16, in any kernel, with a mask or without."""
    wanted = {one for one in default_tiles([89], HALF) if max(one.head_dim, one.head_dim_v) <= 256}
    spilling = {one: NEWEST[one].spill_bytes for one in wanted if NEWEST[one].spill_bytes}
    assert {} == spilling


@pytest.mark.parametrize("kernel", PASSES)
@pytest.mark.parametrize("head_dim", [64, 72, 80, 96, 128, 192, 256])
@pytest.mark.parametrize("causal", [True, False])
def test_an_l4_holds_as_many_warps_as_of_flash_attention_2(kernel: str, head_dim: int, causal: bool) -> None:
    """By shared memory, on one multiprocessor, against the tile of flash-attn 2.8.3 without dropout."""
    theirs = [
        (tile.shared_bytes, tile.warps)
        for tile in published_tiles()
        if tile.library == "flash-attn"
        and L4.capability in tile.capabilities
        and tile.covers("2.8.3")
        and tile.serves(pass_name=PASSES[kernel], head_dim=head_dim, causal=causal, dropout=False)
    ]
    wanted = specialise(kernel, head_dim=head_dim, dtype="bf16", arch=89, causal=causal)
    ours = (NEWEST[wanted].shared_bytes, wanted.tile.warps)
    assert 1 == len(theirs)
    warps = [(ctas_by_shared_memory(L4, needed) or 0) * each for needed, each in (ours, *theirs)]
    assert warps[0] >= warps[1] >= 1, (ours, theirs)


def test_rows_are_plausible() -> None:
    """Registers within what a thread and a multiprocessor have; spills in words, and only with a stack."""
    assert [] == [row for row in ROWS if not _plausible(row[0], row[1])]


def _plausible(wanted: Specialisation, figures: Figures) -> bool:
    registers, spill, stack = figures.registers or 0, figures.spill_bytes or 0, figures.stack_bytes or 0
    enough = 16 <= registers <= 255 and registers * wanted.tile.warps * 32 <= 65_536
    return enough and spill % 4 == 0 and (stack > 0 or spill == 0)


def test_the_closed_formula_gives_the_compilers_bytes() -> None:
    """Wherever the formula claims to know, it is right to the byte."""
    known = [(wanted, by_formula(wanted), figures) for wanted, figures in ROWS]
    assert [] == [
        (wanted, formula.shared_bytes, figures.shared_bytes)
        for wanted, formula, figures in known
        if formula is not None and formula.shared_bytes != figures.shared_bytes
    ]


def test_every_recorded_default_fits_its_cards() -> None:
    """No default tile is over the limit of any card of its architecture; only the flagship is meant to be."""
    limits = {
        arch: min(card.shared_bytes_per_block or 0 for card in gpus() if card.arch == arch)
        for arch in {wanted.arch for wanted, _ in ROWS}
    }
    meant = set(flagship())
    assert [] == [
        wanted
        for wanted, figures in ROWS
        if figures.shared_bytes > limits[wanted.arch] and wanted not in meant
    ]
