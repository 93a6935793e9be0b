"""Which tile each kernel runs with, and the shared memory it then takes: plain tables, no torch, no Triton.

A *tile* is what one program works on: `block_m` queries by `block_n` keys, on `warps` warps, with a
software pipeline of `stages` stages. The architecture is an argument (89 for an L4), never asked of a
device, so that every branch can be read, compiled and tested anywhere.

A head is cut into one or two column blocks whose widths are powers of two, since Triton's tiles are
(`head_parts`): 192 is 128 + 64 rather than 256, which saves a quarter of the shared memory. Columns
beyond the head are masked.
"""

from dataclasses import dataclass

KERNELS = ("forward", "backward-dkdv", "backward-dq", "decode")
#: What works on codes of 8 bits: attention, by the type of V, and decoding from a cache of them. No formula for the
#: bytes.
QUANTIZED = ("quantized-fp16", "quantized-fp8", "decode-int8", "decode-fp8")
#: Keys that share a scale; their blocks of keys are no larger.
SCALED_KEYS = 64
DTYPES = ("fp16", "bf16", "fp32")
ARCHS = (80, 86, 89, 90, 100, 103, 120)
MAX_HEAD_DIM = 576
#: Rows are loaded 16 bytes at a time: head_dim is padded to a multiple of this many elements.
HEAD_MULTIPLE = 8

# Architectures whose tensor cores are fed by mma.sync from registers; the others read shared memory themselves.
_MMA_SYNC = (80, 86, 89, 120)

# Architectures whose copy engine (TMA) fetches the forward pass's keys and values (`boxes`).
_BOXED = (90, 100, 103)

_FIRST_FP8 = 89
_INSTEAD = {"quantized-fp8": "pv='fp16'", "decode-fp8": "a cache of int8"}

# What a program keeps for its whole life, and what it reads step by step through the pipeline.
_OPERANDS = {
    "forward": (("q",), ("k", "v")),
    "backward-dkdv": (("k", "v"), ("q", "do")),
    "backward-dq": (("q", "do"), ("k", "v")),
    "decode": (("q",), ("k", "v")),
}

# Padded head width -> its column blocks. Tensor cores need 16 columns, so 80 is 64 + 16 and nothing is
# narrower.
SPECIALISATIONS: dict[int, tuple[int, int]] = {
    16: (16, 0),
    32: (32, 0),
    64: (64, 0),
    80: (64, 16),
    96: (64, 32),
    128: (128, 0),
    192: (128, 64),
    256: (256, 0),
    320: (256, 64),
    384: (256, 128),
    512: (256, 256),
    576: (512, 64),
}


class UnsupportedError(ValueError, RuntimeError):
    """A kernel, head_dim, dtype or architecture that is not supported; says the limit and a way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One program's share of the work.

    Attributes:
        block_m: Queries per program (for `decode`: packed rows, query heads of a group times positions).
        block_n: Keys per step (for `backward-dkdv`: keys per program, and `block_m` queries per step).
        warps: Warps of 32 threads in a program.
        stages: Depth of the software pipeline over the loop's loads.
        boxes: Whether the copy engine may fetch keys and values, where there is one and the tensors allow it.
    """

    block_m: int
    block_n: int
    warps: int
    stages: int
    boxes: bool = True


def padded_head_dim(head_dim: int) -> int:
    """The smallest width in `SPECIALISATIONS` that holds `head_dim` columns.

    Raises:
        UnsupportedError: `head_dim` is not an integer from 1 to `MAX_HEAD_DIM`.
    """
    if isinstance(head_dim, bool) or not isinstance(head_dim, int) or not 1 <= head_dim <= MAX_HEAD_DIM:
        raise UnsupportedError(
            f"head_dim {head_dim!r} is outside 1 to {MAX_HEAD_DIM}: "
            "use torch.nn.functional.scaled_dot_product_attention for larger heads"
        )
    return next(width for width in SPECIALISATIONS if width >= head_dim)


def head_parts(head_dim: int) -> tuple[int, int]:
    """The power-of-two column blocks that a head is cut into; the second is 0 when one is enough.

    Raises:
        UnsupportedError: `head_dim` is not an integer from 1 to `MAX_HEAD_DIM`.
    """
    return SPECIALISATIONS[padded_head_dim(head_dim)]


def tile_for(kernel: str, head_dim: int, dtype: str, arch: int, *, boxes: bool = True) -> Tile:
    """The tile that `kernel` runs with by default.

    Args:
        kernel: One of `KERNELS` or `QUANTIZED`.
        head_dim: Columns of a head, 1 to 576; to 256 for `QUANTIZED`.
        dtype: One of `DTYPES`; for `QUANTIZED` that of the result, which changes nothing.
        arch: Compute capability as one number, one of `ARCHS` (89 is an L4).
        boxes: Whether keys and values may be fetched in boxes; without, some tiles are others.

    Raises:
        UnsupportedError: An argument is none of these.
    """
    _check(kernel, dtype, arch)
    if kernel.startswith("quantized"):
        codes = _QUANTIZED_RTX if arch == 120 else _QUANTIZED
        block_m, block_n, warps, stages = codes[kernel][quantized_width(head_dim)]
    else:
        in_boxes = boxes and can_box(kernel, dtype, arch)
        table = _FP32 if dtype == "fp32" else _IN_BOXES[arch] if in_boxes else _HALF[arch]
        width = padded_head_dim(head_dim)
        block_m, block_n, warps, stages = table["decode" if kernel in QUANTIZED else kernel][width]
        # A block of codes is half as many bytes: one more in flight, but where that would spill.
        stages += kernel in QUANTIZED and stages > 1 and width != 80
    return Tile(block_m=block_m, block_n=block_n, warps=warps, stages=stages, boxes=boxes)


def can_box(kernel: str, dtype: str, arch: int) -> bool:
    """Whether `kernel` can have the copy engine fetch its keys and values in boxes on `arch`."""
    return kernel == "forward" and dtype != "fp32" and arch in _BOXED


def quantized_width(head_dim: int) -> int:
    """The width that a head of 8-bit codes is filled up to: tensor cores take 32 of them at a time.

    Raises:
        UnsupportedError: `head_dim` is not an integer from 1 to 256.
    """
    if head_dim > max(_QUANTIZED_WIDTHS):
        raise UnsupportedError(
            f"head_dim {head_dim} is above {max(_QUANTIZED_WIDTHS)}, the maximum of 8-bit attention: "
            "use flash_attn_func"
        )
    return next(width for width in _QUANTIZED_WIDTHS if width >= padded_head_dim(head_dim))


def shared_bytes(tile: Tile, *, kernel: str, head_dim: int, dtype: str, arch: int) -> int | None:
    """Bytes of shared memory of `kernel` with `tile`, by the closed formula; None where that is not verified.

    Raises:
        UnsupportedError: `kernel`, `head_dim`, `dtype` or `arch` is not supported.
    """
    parts = shared_parts(tile, kernel=kernel, head_dim=head_dim, dtype=dtype, arch=arch)
    return None if parts is None else sum(parts.values())


def shared_parts(tile: Tile, *, kernel: str, head_dim: int, dtype: str, arch: int) -> dict[str, int] | None:
    """What holds how many of the bytes of `shared_bytes`; None where the formula is not verified.

    Operands stand under their names, `lse_delta` is the two row sums that the backward pass walks along with Q and
    dO, and `exchange` is the buffer through which P or dS becomes an operand.

    Raises:
        UnsupportedError: `kernel`, `head_dim`, `dtype` or `arch` is not supported.
    """
    _check(kernel, dtype, arch)
    # Buffers of boxes begin where their swizzle does, with barriers between them: up to 1 KiB more.
    in_boxes = tile.boxes and can_box(kernel, dtype, arch)
    if dtype == "fp32" or tile.stages < 2 or kernel in QUANTIZED or in_boxes:
        return None
    reads_shared = (
        arch not in _MMA_SYNC and (tile.block_n if kernel == "backward-dkdv" else tile.block_m) >= 64
    )
    if reads_shared and (arch != 90 or kernel == "backward-dkdv"):
        return None
    first, second = head_parts(head_dim)
    narrowest = second or first
    kept, streamed = _OPERANDS[kernel]
    held, walked = tile.block_m, tile.block_n
    if kernel == "backward-dkdv":
        held, walked = walked, held
    # A copy of less than 4 bytes a thread cannot be asynchronous, so it takes no part in the pipeline.
    if walked * narrowest * 2 < 4 * 32 * tile.warps:
        return None
    row = (first + second) * 2
    in_flight = tile.stages - (0 if reads_shared else 1)
    parts = dict.fromkeys(kept, held * row) | dict.fromkeys(streamed, in_flight * walked * row)
    if kernel == "backward-dkdv":
        parts["lse_delta"] = in_flight * 2 * 4 * walked
    # The accumulator's warps lie side by side along its longer edge. Where that is the head, the scores, shared out
    # the same way, must pass through shared memory to become an operand.
    if held < narrowest and not reads_shared:
        parts["exchange"] = held * walked * 2
    return parts


def _check(kernel: str, dtype: str, arch: int) -> None:
    if kernel not in KERNELS + QUANTIZED:
        raise UnsupportedError(f"kernel {kernel!r} is unknown: use one of {', '.join(KERNELS + QUANTIZED)}")
    if kernel in QUANTIZED and kernel.endswith("fp8") and arch in ARCHS and arch < _FIRST_FP8:
        raise UnsupportedError(f"sm_{arch} has no fp8, which needs sm_{_FIRST_FP8}: use {_INSTEAD[kernel]}")
    if dtype not in DTYPES:
        raise UnsupportedError(f"dtype {dtype!r} is not supported: use one of {', '.join(DTYPES)}")
    if arch not in ARCHS:
        hint = (
            "Triton does not use tensor cores below sm_80, use torch.nn.functional.scaled_dot_product_attention"
            if isinstance(arch, int) and arch < 80
            else "use the nearest one in the list"
        )
        listed = ", ".join(f"sm_{known}" for known in ARCHS)
        raise UnsupportedError(f"architecture sm_{arch} is not supported (supported: {listed}): {hint}")


_Table = dict[str, dict[int, tuple[int, int, int, int]]]

# Rows are block_m, block_n, warps, stages by padded head width.
#
# 99 KiB a block (L4, A10G, RTX 40): up to 256 columns none spills a register in fp16 or bf16, and each
# forward tile of 64 columns or more leaves room for eight warps on a multiprocessor.
_ADA: _Table = {
    "forward": {
        16: (128, 64, 4, 3),
        32: (128, 64, 4, 3),
        64: (128, 64, 4, 3),
        80: (128, 64, 8, 2),
        96: (128, 64, 8, 2),
        128: (128, 64, 8, 2),
        192: (128, 32, 8, 2),
        256: (64, 32, 8, 2),
        320: (64, 32, 8, 2),
        384: (64, 16, 8, 2),
        512: (64, 16, 8, 2),
        576: (16, 32, 8, 2),
    },
    "backward-dkdv": {
        16: (64, 128, 8, 2),
        32: (64, 128, 8, 2),
        64: (32, 128, 8, 2),
        80: (32, 128, 8, 2),
        96: (32, 128, 8, 2),
        128: (64, 64, 8, 2),
        192: (32, 32, 8, 2),
        256: (32, 16, 8, 2),
        320: (16, 32, 8, 2),
        384: (16, 32, 8, 2),
        512: (16, 32, 8, 2),
        576: (16, 16, 8, 2),
    },
    "backward-dq": {
        16: (128, 64, 8, 2),
        32: (128, 32, 8, 2),
        64: (64, 64, 4, 2),
        80: (128, 64, 8, 2),
        96: (128, 32, 8, 2),
        128: (128, 32, 8, 2),
        192: (32, 64, 8, 2),
        256: (32, 32, 8, 2),
        320: (32, 16, 8, 2),
        384: (32, 16, 8, 2),
        512: (32, 16, 8, 2),
        576: (16, 16, 8, 2),
    },
    "decode": {
        16: (16, 64, 4, 2),
        32: (16, 64, 4, 2),
        64: (16, 64, 4, 2),
        80: (16, 64, 4, 2),
        96: (16, 64, 4, 2),
        128: (16, 64, 4, 2),
        192: (16, 32, 8, 2),
        256: (16, 32, 4, 2),
        320: (16, 32, 4, 2),
        384: (16, 32, 4, 2),
        512: (16, 32, 8, 2),
        576: (16, 16, 8, 2),
    },
}
# 163 KiB (A100): the same, but more in flight or larger blocks where that spills nothing, or less than 30 bytes.
_AMPERE: _Table = {
    "forward": _ADA["forward"] | {128: (128, 64, 8, 3), 192: (128, 64, 8, 2)},
    "backward-dkdv": _ADA["backward-dkdv"] | {96: (32, 64, 8, 2), 128: (32, 64, 8, 2), 256: (32, 32, 8, 2)},
    "backward-dq": _ADA["backward-dq"] | {256: (64, 64, 8, 2)},
    "decode": _ADA["decode"],
}
# 227 KiB, and tensor cores that read shared memory: blocks of at least 64 rows for each group of four warps.
_HOPPER: _Table = {
    "forward": {
        16: (128, 64, 4, 3),
        32: (128, 64, 4, 3),
        64: (128, 128, 8, 2),
        80: (128, 64, 8, 3),
        96: (128, 64, 8, 3),
        128: (128, 128, 8, 2),
        192: (128, 64, 8, 2),
        256: (128, 64, 8, 2),
        320: (64, 32, 8, 2),
        384: (64, 16, 8, 2),
        512: (64, 16, 8, 2),
        576: (16, 32, 8, 2),
    },
    "backward-dkdv": _ADA["backward-dkdv"] | {128: (32, 128, 8, 2), 192: (16, 64, 8, 2), 256: (32, 32, 8, 2)},
    "backward-dq": {
        16: (128, 64, 8, 2),
        32: (128, 64, 8, 2),
        64: (128, 64, 8, 2),
        80: (128, 64, 8, 2),
        96: (128, 64, 8, 2),
        128: (128, 64, 8, 2),
        192: (128, 32, 8, 2),
        256: (64, 32, 8, 2),
        320: (32, 16, 8, 2),
        384: (32, 16, 8, 2),
        512: (32, 16, 8, 2),
        576: (16, 16, 8, 2),
    },
    "decode": _ADA["decode"],
}
# The same room; here a block of 64 rows of keys spills hundreds of bytes, and smaller ones none or next to none.
_BLACKWELL: _Table = _HOPPER | {
    "forward": _HOPPER["forward"] | {128: (128, 64, 8, 2)},
    "backward-dkdv": _HOPPER["backward-dkdv"]
    | {80: (32, 32, 4, 2), 96: (32, 32, 4, 2), 128: (32, 32, 4, 2), 192: (32, 32, 8, 2)},
}
# Boxes leave registers free. With three stages a block is under way for a whole pass before it is needed, with two
# only while the one before is multiplied. 64 columns: two programs to a multiprocessor, to the byte.
_HOPPER_BOXES: _Table = {
    "forward": _HOPPER["forward"] | {64: (128, 128, 4, 3), 128: (128, 128, 8, 3), 192: (128, 64, 8, 3)}
}
_BLACKWELL_BOXES: _Table = {"forward": _HOPPER_BOXES["forward"] | {64: (128, 128, 8, 3)}}
# 99 KiB again, but ptxas for Blackwell spills where the older one did not.
_BLACKWELL_RTX: _Table = _ADA | {
    "forward": _ADA["forward"] | {64: (128, 64, 8, 3), 192: (32, 32, 4, 2)},
}
_HALF = {80: _AMPERE, 86: _ADA, 89: _ADA, 90: _HOPPER, 100: _BLACKWELL, 103: _BLACKWELL, 120: _BLACKWELL_RTX}
_IN_BOXES = {90: _HOPPER_BOXES, 100: _BLACKWELL_BOXES, 103: _BLACKWELL_BOXES}
# Codes of 8 bits, the same on every architecture but one: less than 80 KiB, and on sm_89 not a register spilt.
_QUANTIZED: _Table = {
    "quantized-fp16": {
        32: (128, 64, 4, 2),
        64: (128, 64, 8, 2),
        96: (128, 64, 8, 2),
        128: (128, 64, 8, 2),
        192: (128, 32, 8, 2),
        256: (64, 64, 8, 2),
    },
    "quantized-fp8": {
        32: (128, 64, 4, 2),
        64: (128, 64, 4, 2),
        96: (128, 64, 8, 2),
        128: (128, 64, 8, 2),
        192: (64, 64, 8, 2),
        256: (64, 64, 8, 2),
    },
}
_QUANTIZED_RTX: _Table = _QUANTIZED | {"quantized-fp8": _QUANTIZED["quantized-fp8"] | {128: (128, 32, 8, 2)}}
_QUANTIZED_WIDTHS = tuple(_QUANTIZED["quantized-fp8"])
# fp32 is multiplied without tensor cores, exactly, on every architecture. A product then holds whole rows of both
# operands in registers, so that wide heads need small blocks.
_FP32_BACKWARD = dict.fromkeys(SPECIALISATIONS, (16, 16, 8, 1)) | {16: (32, 32, 4, 1), 32: (32, 32, 4, 1)}
_FP32: _Table = {
    "forward": {
        16: (32, 32, 4, 1),
        32: (32, 32, 4, 1),
        64: (32, 32, 4, 1),
        80: (32, 32, 8, 1),
        96: (32, 32, 8, 1),
        128: (32, 32, 8, 1),
        192: (16, 16, 8, 1),
        256: (16, 16, 8, 1),
        320: (16, 16, 8, 1),
        384: (16, 16, 8, 1),
        512: (16, 16, 8, 1),
        576: (16, 16, 8, 1),
    },
    "backward-dkdv": _FP32_BACKWARD,
    "backward-dq": _FP32_BACKWARD,
    "decode": {
        width: (16, 32 if width <= 64 else 16, 4 if width <= 64 else 8, 1) for width in SPECIALISATIONS
    },
}
