"""What the record should hold: the default tiles, for the cards, types and masks that are asked about.

An L4's are recorded with and without a causal mask, in every type. Elsewhere those in bf16 are, without the mask for
A100 and H100 alone: neither the mask nor the 16-bit type changes the shared memory of a tile, so that `answer` knows
what fits of the rest too.
"""

from collections.abc import Iterator, Sequence
from itertools import product

from l4guide.resources.specialisation import Specialisation, specialise

#: The cards most asked about come first, so that an interrupted run has answered them.
ARCH_ORDER = (89, 80, 90, 86, 100, 120, 103)
DTYPE_ORDER = ("bf16", "fp16", "fp32")
HALF = ("bf16", "fp16")
L4_ARCH = 89
#: Where the forms without a mask are recorded in bf16 besides.
COMPARED = (80, 90)
#: Where heads wider than `WIDEST_COMMON` are recorded.
WIDE = (89, 80, 90)
WIDEST_COMMON = 256
#: Wider heads in fp32 take the compiler minutes a tile, and nobody trains them so.
WIDEST_SINGLE = 256
#: Multi-head latent attention: as it is trained, and with the projections absorbed, as it is served.
VALUE_WIDTHS = ((192, 128), (576, 512))
SERVING = ("forward", "decode")
#: FlashAttention-1's backward tile at head_dim 128 fits an A100, not an L4: block_m, block_n, warps, stages.
FLAGSHIP = (128, 128, 8, 2)
FLAGSHIP_ARCHS = (80, 86, 89, 90)


def default_tiles(
    archs: Sequence[int] = ARCH_ORDER, dtypes: Sequence[str] = DTYPE_ORDER
) -> Iterator[Specialisation]:
    """Every default tile to record of these architectures and types, for heads that fill their columns or do not."""
    for arch, dtype in product(archs, dtypes):
        for causal in _masks(arch, dtype):
            for kernel, head_dim, head_dim_v in _shapes(arch, dtype):
                yield specialise(
                    kernel, head_dim=head_dim, head_dim_v=head_dim_v, dtype=dtype, arch=arch, causal=causal
                )


def _masks(arch: int, dtype: str) -> tuple[bool, ...]:
    """Which forms are recorded: causal first."""
    if dtype == "fp32":
        return (True,) if arch == L4_ARCH else ()
    if arch == L4_ARCH:
        return (True, False)
    if dtype == "fp16":
        return ()
    return (True, False) if arch in COMPARED else (True,)


def _shapes(arch: int, dtype: str) -> Iterator[tuple[str, int, int]]:
    """Each kernel with each head dim that has a specialisation, and that of a value."""
    from l4guide_kernels.tiles import HEAD_MULTIPLE, KERNELS, SPECIALISATIONS

    widest = WIDEST_SINGLE if dtype == "fp32" else max(SPECIALISATIONS) if arch in WIDE else WIDEST_COMMON
    widths = [width for width in SPECIALISATIONS if width <= widest]
    for beyond, width, kernel in product((0, HEAD_MULTIPLE), widths, KERNELS):
        yield kernel, width - beyond, width - beyond
    if dtype == "fp32" or arch not in WIDE:
        return
    trained, absorbed = VALUE_WIDTHS
    for kernel in KERNELS:
        yield kernel, *trained
    for kernel in SERVING:
        yield kernel, *absorbed


def flagship(archs: Sequence[int] = FLAGSHIP_ARCHS) -> Iterator[Specialisation]:
    """FlashAttention-1's backward tile on the architectures that its story is about, with a mask and without."""
    from l4guide_kernels.tiles import Tile

    block_m, block_n, warps, stages = FLAGSHIP
    tile = Tile(block_m=block_m, block_n=block_n, warps=warps, stages=stages)
    for arch, causal in product(archs, (True, False)):
        yield specialise("backward-dkdv", head_dim=128, dtype="bf16", arch=arch, tile=tile, causal=causal)


def everything() -> tuple[Specialisation, ...]:
    """All that the record should hold, in the order in which it is made."""
    first, others = ARCH_ORDER[:1], ARCH_ORDER[1:]
    return (*default_tiles(first), *flagship(), *default_tiles(others))


def mixes(archs: Sequence[int] = (L4_ARCH,), dtypes: Sequence[str] = HALF) -> tuple[Specialisation, ...]:
    """The specialisations whose inner loop is recorded too; fp32 is multiplied without tensor cores."""
    return tuple(one for one in default_tiles(archs, dtypes) if one.dtype != "fp32")
