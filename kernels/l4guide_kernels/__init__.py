"""Attention kernels in Triton with flash-attn's names, argument order and layouts.

Importing this package, or its `tiles` and `cross` modules, loads neither torch nor Triton: the functions
below load them when first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from l4guide_kernels.requirements import RequirementError
from l4guide_kernels.tiles import (
    ARCHS,
    DTYPES,
    KERNELS,
    MAX_HEAD_DIM,
    QUANTIZED,
    SPECIALISATIONS,
    Tile,
    UnsupportedError,
    head_parts,
    shared_bytes,
    tile_for,
)

if TYPE_CHECKING:
    from l4guide_kernels.checks import ShapeError
    from l4guide_kernels.cross import Compiled, compile_ahead
    from l4guide_kernels.dialect import interpreted
    from l4guide_kernels.interface import (
        flash_attn_func,
        flash_attn_kvpacked_func,
        flash_attn_qkvpacked_func,
    )
    from l4guide_kernels.kvcache import flash_attn_with_kvcache
    from l4guide_kernels.quantized import quantized_attention
    from l4guide_kernels.reference import reference_attention
    from l4guide_kernels.sdpa import scaled_dot_product_attention
    from l4guide_kernels.tune import tuned_tiles
    from l4guide_kernels.varlen import (
        flash_attn_varlen_func,
        flash_attn_varlen_kvpacked_func,
        flash_attn_varlen_qkvpacked_func,
    )

_LAZY = {
    "flash_attn_func": "l4guide_kernels.interface",
    "flash_attn_kvpacked_func": "l4guide_kernels.interface",
    "flash_attn_qkvpacked_func": "l4guide_kernels.interface",
    "flash_attn_varlen_func": "l4guide_kernels.varlen",
    "flash_attn_varlen_kvpacked_func": "l4guide_kernels.varlen",
    "flash_attn_varlen_qkvpacked_func": "l4guide_kernels.varlen",
    "flash_attn_with_kvcache": "l4guide_kernels.kvcache",
    "quantized_attention": "l4guide_kernels.quantized",
    "ShapeError": "l4guide_kernels.checks",
    "reference_attention": "l4guide_kernels.reference",
    "scaled_dot_product_attention": "l4guide_kernels.sdpa",
    "compile_ahead": "l4guide_kernels.cross",
    "Compiled": "l4guide_kernels.cross",
    "interpreted": "l4guide_kernels.dialect",
    "tuned_tiles": "l4guide_kernels.tune",
}

__all__ = [
    "ARCHS",
    "DTYPES",
    "KERNELS",
    "MAX_HEAD_DIM",
    "QUANTIZED",
    "SPECIALISATIONS",
    "Compiled",
    "RequirementError",
    "ShapeError",
    "Tile",
    "UnsupportedError",
    "compile_ahead",
    "flash_attn_func",
    "flash_attn_kvpacked_func",
    "flash_attn_qkvpacked_func",
    "flash_attn_varlen_func",
    "flash_attn_varlen_kvpacked_func",
    "flash_attn_varlen_qkvpacked_func",
    "flash_attn_with_kvcache",
    "head_parts",
    "interpreted",
    "quantized_attention",
    "reference_attention",
    "scaled_dot_product_attention",
    "shared_bytes",
    "tile_for",
    "tuned_tiles",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        import_module("l4guide_kernels.installed")
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
