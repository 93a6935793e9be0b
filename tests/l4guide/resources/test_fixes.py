"""What makes a tile fit."""

from l4guide_kernels.tiles import Tile

from l4guide.catalogue import gpu
from l4guide.errors import CannotDo
from l4guide.resources.fixes import SHOWN, TRIED, candidates, changes_between, fixes_for
from l4guide.resources.specialisation import Figures, Specialisation, specialise

L4 = gpu("L4")


def tile(block_m: int, block_n: int, warps: int = 8, stages: int = 2) -> Tile:
    """A tile."""
    return Tile(block_m=block_m, block_n=block_n, warps=warps, stages=stages)


BIG = tile(128, 128)
DEFAULT = tile(64, 64)
WANTED = specialise("backward-dkdv", head_dim=128, dtype="bf16", arch=89, tile=BIG)


def by_area(wanted: Specialisation) -> Figures:
    """A stand-in for the formula: bytes go with both blocks and the stages."""
    area = (wanted.tile.block_m + wanted.tile.block_n) * 256
    return Figures(basis="formula", shared_bytes=area * wanted.tile.stages)


def compiled(wanted: Specialisation, registers: int = 200, spill_bytes: int = 0) -> Figures:
    """A stand-in for the compiler that agrees with the formula."""
    return Figures(
        basis="compiled",
        shared_bytes=by_area(wanted).shared_bytes,
        registers=registers,
        spill_bytes=spill_bytes,
        stack_bytes=0,
        triton_version="3.7.1",
    )


def test_the_smallest_change_comes_first() -> None:
    """One step precedes two, and a shorter pipeline precedes a smaller block."""
    near = [changes_between(BIG, new) for _, new in candidates(BIG)]
    assert (("stages", 2, 1),) == near[0]
    one_step = [changes for changes in near if len(changes) == 1 and changes[0][1] <= 2 * changes[0][2]]
    assert near[: len(one_step)] == one_step
    assert len(near) == len(set(near))


def test_blocks_stay_wide_enough_for_the_tensor_cores() -> None:
    """No candidate has a block narrower than 16, no warps, or a pipeline without stages."""
    for _, new in candidates(tile(16, 32, warps=1, stages=1)):
        assert min(new.block_m, new.block_n) >= 16
        assert new.warps >= 1
        assert new.stages == 1


def test_every_fix_fits_and_the_default_is_among_them() -> None:
    """The tile that the kernel runs with by itself is always a way out."""
    fixes = fixes_for(L4, WANTED, DEFAULT, estimate=by_area, prove=compiled)
    assert 0 < len(fixes) <= SHOWN
    assert DEFAULT in [fix.tile for fix in fixes]
    for fix in fixes:
        assert fix.figures.shared_bytes <= 101_376
        assert fix.ctas_per_sm is not None
        assert fix.ctas_per_sm >= 1
        assert fix.changes == changes_between(BIG, fix.tile)


def test_a_fix_that_spills_is_dropped() -> None:
    """A tile that fits but spills would trade one trouble for another."""

    def eager(wanted: Specialisation) -> Figures:
        return compiled(wanted, spill_bytes=0 if wanted.tile == DEFAULT else 80)

    fixes = fixes_for(L4, WANTED, DEFAULT, estimate=by_area, prove=eager)
    assert [DEFAULT] == [fix.tile for fix in fixes]


def test_the_compiler_is_asked_a_bounded_number_of_times() -> None:
    """Where nothing works the search ends, with no fix rather than a wrong one."""
    asked: list[Tile] = []

    def refuse(wanted: Specialisation) -> Figures:
        asked.append(wanted.tile)
        raise CannotDo("error.needs_compiler", kernel=wanted.kernel, dtype=wanted.dtype)

    assert () == fixes_for(L4, WANTED, DEFAULT, estimate=by_area, prove=refuse)
    assert 1 < len(asked) <= TRIED + 1
    assert DEFAULT == asked[-1]


def test_going_further_than_a_fix_is_no_other_fix() -> None:
    """When fewer stages are enough, fewer stages with a smaller block are not shown as well."""
    fixes = fixes_for(L4, WANTED, DEFAULT, estimate=by_area, prove=compiled)
    assert (("stages", 2, 1),) == fixes[0].changes
    assert all("stages" not in [name for name, _, _ in fix.changes] for fix in fixes[1:])


def test_a_fix_says_what_changes_and_what_is_unknown_is_absent() -> None:
    """The line names each part with old and new value; a formula promises no registers."""
    (first, *_) = fixes_for(L4, WANTED, DEFAULT, estimate=by_area, prove=by_area)
    found = first.to_json()
    assert "stages 2 → 1: 65,536 bytes" == found["text"] == first.say()
    assert {"text", "tile", "shared_bytes", "basis"} == set(found)
    assert {"block_m": 128, "block_n": 128, "warps": 8, "stages": 1} == found["tile"]
