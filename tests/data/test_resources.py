"""The recorded compiler evidence: complete where the guide relies on it, plausible, true to the formula."""

from l4guide_kernels.code import digest

from l4guide.catalogue import gpus
from l4guide.resources.record import path_for, read, versions
from l4guide.resources.recorder import default_tiles, flagship
from l4guide.resources.specialisation import Figures, Specialisation, by_formula

ROWS = [row for version in versions() for row in read(path_for(version)).items()]
NEWEST = read(path_for(versions()[0]))


def test_every_default_tile_of_l4_is_recorded() -> None:
    """The guide answers for an L4 at once, whatever the head dim."""
    assert set() == {*default_tiles([89])} - NEWEST.keys()


def test_the_usual_types_are_recorded_for_a100_and_h100() -> None:
    """The data-centre cards that an L4 is compared with are recorded in 16 bits."""
    assert set() == {*default_tiles([80, 90], ["bf16", "fp16"])} - NEWEST.keys()


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
            twin = NEWEST.get(_moved(wanted, 86))
            assert twin is None or figures.shared_bytes == twin.shared_bytes


def _moved(wanted: Specialisation, arch: int) -> Specialisation:
    return Specialisation(
        kernel=wanted.kernel,
        arch=arch,
        head_parts=wanted.head_parts,
        masked=wanted.masked,
        dtype=wanted.dtype,
        causal=wanted.causal,
        tile=wanted.tile,
    )


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
