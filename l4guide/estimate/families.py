"""Kernel families: which tile each runs at a head dimension, how many fit an SM, and how each splits the keys."""

from collections.abc import Callable
from math import inf

import numpy as np

from l4guide.estimate.chip import Chip
from l4guide.estimate.problems import Array
from l4guide.frozen import frozen

Tiles = tuple[Array, Array, Array, Array]  # tile_m, tile_n, padded head_dim, blocks an SM holds
#: Shared memory that the driver keeps of each block.
RESERVED_KIB = 1.0


def _padded(head_dim: Array, step: float) -> Array:
    return np.asarray(np.ceil(head_dim / step) * step)


def _power_of_two(head_dim: Array) -> Array:
    return np.asarray(2 ** np.ceil(np.log2(head_dim)))


def _per_sm(chip: Chip, tile_m: Array, tile_n: Array, head_dim: Array, most: float) -> Array:
    """Blocks whose Q, K and V tiles fit an SM together."""
    kib = 2 * (tile_m + 2 * tile_n) * head_dim / 1024
    return np.asarray(np.clip(np.floor(chip.shared_kib_per_sm / (kib + RESERVED_KIB)), 1, most))


def _fa2_paged(chip: Chip, head_dim: Array) -> Tiles:
    """The tile of FlashAttention-2's split-KV kernel, which paged calls run in every task."""
    deep = _padded(head_dim, 32)
    tile_m = np.full_like(deep, 64.0)
    tile_n = np.where(head_dim <= 64, 256.0, np.where(head_dim <= 128, 128.0, 64.0))
    return tile_m, tile_n, deep, _per_sm(chip, tile_m, tile_n, deep, 4)


def _fa2_plain(chip: Chip, head_dim: Array) -> Tiles:
    deep = _padded(head_dim, 32)
    small = (head_dim > 192) & (chip.shared_kib_per_sm < 128)
    tile_m = np.where(small, 64.0, 128.0)
    tile_n = np.where(head_dim <= 64, 128.0, 64.0)
    return tile_m, tile_n, deep, _per_sm(chip, tile_m, tile_n, deep, 2)


def _fa3(_chip: Chip, head_dim: Array) -> Tiles:
    deep = _padded(head_dim, 32)
    tile_m = np.where(head_dim <= 96, 192.0, 128.0)
    edges = [head_dim <= 64, head_dim <= 96, head_dim <= 128, head_dim <= 192]
    tile_n = np.select(edges, [128.0, 144.0, 128.0, 112.0], 80.0)
    return tile_m, tile_n, deep, np.ones_like(deep)


def _flashinfer(chip: Chip, head_dim: Array) -> Tiles:
    deep = _padded(head_dim, 16)
    tile_m = np.where(head_dim >= 256, 64.0, 128.0)
    free = chip.shared_kib_per_sm * 1024 / 2 - tile_m * deep * 2
    tile_n = np.clip(np.floor(free / (4 * deep) / 16) * 16, 16, 128)
    return tile_m, tile_n, deep, np.full_like(deep, 2.0)


def _triton(_chip: Chip, head_dim: Array) -> Tiles:
    tile_m = np.where(head_dim <= 256, 64.0, 32.0)
    tile_n = np.where(head_dim <= 128, 128.0, np.where(head_dim <= 256, 64.0, 32.0))
    return tile_m, tile_n, _power_of_two(head_dim), np.where(head_dim <= 64, 2.0, 1.0)


def _trtllm(_chip: Chip, head_dim: Array) -> Tiles:
    deep = _power_of_two(head_dim)
    return np.full_like(deep, 64.0), np.full_like(deep, 128.0), deep, np.where(head_dim <= 128, 2.0, 1.0)


#: Widths that a head is padded to in l4guide's own kernels.
OWN_WIDTHS = np.array([16, 32, 64, 80, 96, 128, 192, 256, 320, 384, 512, 576], dtype=np.float64)


def _l4guide(chip: Chip, head_dim: Array) -> Tiles:
    deep = OWN_WIDTHS[np.searchsorted(OWN_WIDTHS, np.minimum(head_dim, OWN_WIDTHS[-1]))]
    tile_m, tile_n = np.where(head_dim <= 256, 128.0, 64.0), np.where(head_dim <= 256, 64.0, 16.0)
    return tile_m, tile_n, deep, _per_sm(chip, tile_m, tile_n, deep, 2)


@frozen
class Family:
    """A kernel's shape.

    `packed`: the query heads of a group share a tile. `shortest_first`: causal tiles start in the order of their
    length. `splits_prompts`: the keys of a prompt are split where that is faster; those of a generation step always,
    but `grouped_only` where heads are grouped, and only with fewer blocks than `split_below` times the SMs.
    """

    name: str
    tiles: Callable[[Chip, Array], Tiles]
    packed: bool = False
    shortest_first: bool = True
    splits_prompts: bool = False
    grouped_only: bool = False
    split_below: float = inf


FAMILIES = {
    family.name: family
    for family in (
        # num_splits_heuristic in its flash_api.cpp: no split from 0.8 of two blocks an SM on.
        Family(name="fa2", tiles=_fa2_paged, grouped_only=True, split_below=1.6),
        Family(name="fa2-plain", tiles=_fa2_plain),
        Family(name="fa3", tiles=_fa3, shortest_first=False, splits_prompts=True),
        Family(name="fa3-sglang", tiles=_fa3, shortest_first=False, splits_prompts=True),
        # SGLang's rows at 192 run kernels besides the attention: 9 us more at the shortest prompt.
        Family(name="fa3-sglang-192", tiles=_fa3, shortest_first=False, splits_prompts=True),
        Family(name="fa3-ampere", tiles=_fa3, shortest_first=False, splits_prompts=True),
        Family(name="fa4", tiles=_fa3, shortest_first=False),
        Family(name="flashinfer", tiles=_flashinfer, packed=True, splits_prompts=True),
        Family(name="triton", tiles=_triton),
        Family(name="trtllm", tiles=_trtllm),
        Family(name="trtllm-gen", tiles=_fa3, shortest_first=False, splits_prompts=True),
        Family(name="l4guide", tiles=_l4guide, shortest_first=False),
    )
}
