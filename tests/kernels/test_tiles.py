"""The tile tables: complete, within every architecture's limit, loadable without torch."""

import subprocess
import sys

import pytest
from l4guide_kernels.tiles import (
    ARCHS,
    DTYPES,
    KERNELS,
    MAX_HEAD_DIM,
    QUANTIZED,
    SCALED_KEYS,
    SPECIALISATIONS,
    Tile,
    UnsupportedError,
    head_parts,
    quantized_width,
    shared_bytes,
    tile_for,
)

# Shared memory one block may use, in bytes: CUDA C++ Programming Guide, technical specifications per compute
# capability (163, 99 and 227 KiB).
LIMITS = {80: 166912, 86: 101376, 89: 101376, 90: 232448, 100: 232448, 103: 232448, 120: 101376}
EVERY = [
    (kernel, width, dtype, arch)
    for kernel in KERNELS
    for width in SPECIALISATIONS
    for dtype in DTYPES
    for arch in ARCHS
]


def test_every_tile_fits_its_architecture() -> None:
    """By the formula, no tile of the tables needs more shared memory than its architecture has."""
    for kernel, width, dtype, arch in EVERY:
        needed = shared_bytes(
            tile_for(kernel, width, dtype, arch), kernel=kernel, head_dim=width, dtype=dtype, arch=arch
        )
        if needed is None:  # outside the formula's range, compiled in test_cross.py
            assert dtype == "fp32" or arch >= 90
        else:
            assert 0 < needed <= LIMITS[arch], (kernel, width, dtype, arch)


def test_sizes_are_what_triton_takes() -> None:
    """Blocks are powers of two of at least 16, warps powers of two."""
    for kernel, width, dtype, arch in EVERY:
        tile = tile_for(kernel, width, dtype, arch)
        for size in (tile.block_m, tile.block_n):
            assert size >= 16
            assert size.bit_count() == 1
        assert tile.warps.bit_count() == 1


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("kernel", QUANTIZED)
def test_codes_of_8_bits_have_tiles_where_they_exist(kernel: str, arch: int) -> None:
    """Every head_dim to 256 has a tile whose keys share a scale; e4m3 is refused before sm_89; there is no formula."""
    for head_dim in range(1, 257):
        if kernel.endswith("fp8") and arch < 89:
            with pytest.raises(UnsupportedError, match=rf"sm_{arch} has no fp8, which needs sm_89: use "):
                tile_for(kernel, head_dim, "bf16", arch)
            continue
        tile = tile_for(kernel, head_dim, "bf16", arch)
        assert 0 == SCALED_KEYS % tile.block_n
        assert shared_bytes(tile, kernel=kernel, head_dim=head_dim, dtype="bf16", arch=arch) is None
        width = quantized_width(head_dim)
        assert head_dim <= width
        # Tensor cores contract 32 codes at a time, in each of a head's blocks.
        assert all(part % 32 == 0 for part in head_parts(width))


@pytest.mark.parametrize("head_dim", range(1, MAX_HEAD_DIM + 1))
def test_a_head_is_covered_by_its_parts(head_dim: int) -> None:
    """Parts are powers of two of at least 16 columns, hold the head, and waste less than the next power of two."""
    first, second = head_parts(head_dim)
    assert first + second >= head_dim
    assert first + second <= max(16, 1 << (head_dim - 1).bit_length())
    for part in (first, second) if second else (first,):
        assert part >= 16
        assert part.bit_count() == 1


def test_the_flagship_tile_fits_an_a100_but_no_l4() -> None:
    """FlashAttention-1's 128 by 128 backward tile at head_dim 128 needs 132,096 bytes."""
    tile = Tile(block_m=128, block_n=128, warps=8, stages=2)
    for arch in (80, 89):
        assert shared_bytes(tile, kernel="backward-dkdv", head_dim=128, dtype="bf16", arch=arch) == 132096
    assert LIMITS[89] < 132096 < LIMITS[80]


@pytest.mark.parametrize("head_dim", [0, -8, 577, 1.5, "abc", True, None])
def test_head_dims_that_no_kernel_serves(head_dim: object) -> None:
    """A head_dim outside 1 to 576 is refused with the limit and a way out."""
    with pytest.raises(UnsupportedError, match=r"outside 1 to 576: use torch"):
        head_parts(head_dim)  # type: ignore[arg-type]


@pytest.mark.parametrize("arch", [70, 75])
def test_architectures_without_tensor_cores_in_triton(arch: int) -> None:
    """V100 and T4 are refused with the reason."""
    with pytest.raises(UnsupportedError, match=rf"sm_{arch} is not supported.*below sm_80"):
        tile_for("forward", 64, "fp16", arch)


@pytest.mark.parametrize(
    ("kernel", "dtype", "arch", "message"),
    [
        ("sideways", "fp16", 89, "forward, backward-dkdv, backward-dq, decode"),
        ("forward", "fp8", 89, "fp16, bf16, fp32"),
        ("forward", "fp16", 95, "sm_95 is not supported"),
    ],
)
def test_unknown_names(kernel: str, dtype: str, arch: int, message: str) -> None:
    """An unknown kernel, dtype or architecture is refused with what there is."""
    with pytest.raises(UnsupportedError, match=message):
        tile_for(kernel, 64, dtype, arch)


def test_tables_load_without_torch_or_triton() -> None:
    """The package, its tables and the cross-compiler's module import neither torch nor Triton."""
    code = (
        "import sys, l4guide_kernels, l4guide_kernels.tiles, l4guide_kernels.cross;"
        "sys.exit(bool({'torch', 'triton'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
