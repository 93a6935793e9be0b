"""The recorded instruction mixes: complete for L4, made with the kernels as they are, and enough products."""

from itertools import product
from math import prod

from l4guide_kernels.code import digest

from l4guide.resources.defaults import mixes
from l4guide.resources.mix_record import path_for, read
from l4guide.resources.record import versions
from l4guide.resources.specialisation import Specialisation

NEWEST = read(path_for(versions()[0]))
#: Products that each kernel computes for every pair of blocks, over the columns of a head and over those of a value.
PRODUCTS = {"forward": (1, 1), "backward-dkdv": (2, 2), "backward-dq": (2, 1), "decode": (1, 1)}
#: Multiplications of one HMMA.16816 of a 16-bit type.
PER_INSTRUCTION = 16 * 8 * 16


def test_every_default_tile_of_l4_is_recorded() -> None:
    """The guide knows at once what L4's kernels spend their issue slots on."""
    assert set() == {*mixes()} - NEWEST.keys()


def test_the_mixes_were_read_off_the_kernels_as_they_are() -> None:
    """A changed kernel makes its rows stale: python -m l4guide.resources.recorder makes them anew."""
    assert set() == {wanted for wanted, found in NEWEST.items() if found.code != digest(wanted.kernel)}


def needed(wanted: Specialisation) -> float:
    """Tensor-core instructions that one warp's share of a pair of blocks takes at least."""
    tile, products = wanted.tile, PRODUCTS[wanted.kernel]
    columns = products[0] * sum(wanted.head_parts) + products[1] * sum(wanted.head_parts_v)
    return prod((tile.block_m, tile.block_n, columns)) / PER_INSTRUCTION / tile.warps


def test_no_loop_computes_less_than_its_products() -> None:
    """The tensor instructions of a pass are at least what the arithmetic of the tile asks for."""
    assert [] == [wanted for wanted, found in NEWEST.items() if found.mix.tensor < needed(wanted)]


def test_the_flagship_tiles_do_no_product_twice() -> None:
    """At head_dim 128 the forward and backward kernels issue exactly what the arithmetic asks for."""
    square = [w for w in NEWEST if w.head_parts == w.head_parts_v == (128, 0) and not w.masked]
    usual = [wanted for wanted in square if wanted.kernel != "decode"]
    forms = set(product(("forward", "backward-dkdv", "backward-dq"), ("bf16", "fp16"), (True, False)))
    assert forms == {(wanted.kernel, wanted.dtype, wanted.causal) for wanted in usual}
    assert [needed(wanted) for wanted in usual] == [NEWEST[wanted].mix.tensor for wanted in usual]


def test_every_loop_takes_exponentials_and_memory() -> None:
    """A loop without them would not be the inner loop of attention."""
    assert [] == [w for w, found in NEWEST.items() if min(found.mix.exp, found.mix.memory) < 2]


def test_the_unmasked_loop_does_no_mask_work() -> None:
    """No number is compared or selected in it; `test_mix.py` holds it against the loop with masks."""
    assert {} == {wanted: found.mix.mask for wanted, found in NEWEST.items() if found.mix.mask}
