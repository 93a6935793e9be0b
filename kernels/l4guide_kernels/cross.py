"""Compiling a kernel for a GPU that is not there: Triton and its bundled ptxas need none.

What is compiled is what `launch` launches: the same constants and options, pointers aligned to 16 bytes,
sizes and strides not specialised. So the shared memory and the registers are those of the real thing.
"""

import contextlib
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l4guide_kernels.requirements import require_architecture
from l4guide_kernels.tiles import (
    HEAD_MULTIPLE,
    Tile,
    UnsupportedError,
    can_box,
    head_parts,
    quantized_width,
    tile_for,
)

#: What a kernel can be compiled with, as `arguments.Span` and `arguments.Extras` have it: field -> type.
FEATURES = {
    "varlen": {"cu_q": "*i32", "cu_k": "*i32"},
    "lengths": {"used_k": "*i32"},
    "paged": {"pages": "*i32", "page_size": "i32", "pages_stride": "i32"},
    "window": {"left": "i32"},
    "softcap": {"softcap": "fp32"},
    "alibi": {"slopes": "*fp32", "slopes_stride": "i32"},
    "sink": {"sink": "*fp32"},
    "dropout": {"seed": "*i64", "dropout": "fp32"},
    "descale": {"k_descale": "*fp32", "v_descale": "*fp32"},
}
#: What kernels on codes of 8 bits are given pointers to; the rest is of the dtype asked for.
_CODES = {
    "quantized-fp16": {"q_ptr": "*i8", "k_ptr": "*i8", "v_ptr": "*fp16"},
    "quantized-fp8": {"q_ptr": "*i8", "k_ptr": "*i8", "v_ptr": "*fp8e4nv"},
    "decode-int8": {"k_ptr": "*i8", "v_ptr": "*i8"},
    "decode-fp8": {"k_ptr": "*fp8e4nv", "v_ptr": "*fp8e4nv"},
}
#: Decoding always counts the cache's keys, and a cache of codes has factors.
_ALWAYS = {
    "decode": ("lengths",),
    "decode-int8": ("lengths", "descale"),
    "decode-fp8": ("lengths", "descale"),
}
#: The arguments that are boxes, of K and of V, and what rules them out: `Problem.fits_boxes`.
_BOXES = ("k_box", "k_box_2", "v_box", "v_box_2")
_UNBOXED = {"varlen", "lengths", "paged"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """One kernel, compiled.

    Attributes:
        kernel: Its name in `tiles.KERNELS` or `tiles.QUANTIZED`.
        head_dim: Columns of a head.
        dtype: Of q, k and v, for `QUANTIZED` of the result: "fp16", "bf16" or "fp32".
        arch: Compute capability as one number (89 is an L4).
        tile: The tile it was compiled with.
        causal: Whether for a causal mask.
        head_dim_v: Columns of a value.
        features: Which of `FEATURES` it was compiled with.
        shared_bytes: Shared memory of one program, which must fit the GPU's limit per block.
        warps: Warps of one program (Triton may add some to the tile's).
        ptx: The assembly, for ptxas.
        cubin: The binary.
        triton_version: The compiler.
    """

    kernel: str
    head_dim: int
    dtype: str
    arch: int
    tile: Tile
    causal: bool
    head_dim_v: int
    features: frozenset[str]
    shared_bytes: int
    warps: int
    ptx: str
    cubin: bytes
    triton_version: str


class CompileError(RuntimeError):
    """Triton or ptxas could not compile the kernel; says which and how."""


def compile_ahead(
    kernel: str,
    *,
    head_dim: int,
    dtype: str,
    arch: int,
    tile: Tile | None = None,
    causal: bool = True,
    head_dim_v: int | None = None,
    features: Collection[str] = (),
) -> Compiled:
    """Cross-compiles `kernel` for `arch`; needs Triton but no GPU.

    Args:
        kernel: One of `tiles.KERNELS` or `tiles.QUANTIZED`.
        head_dim: Columns of a head, 1 to 576.
        dtype: One of `tiles.DTYPES`.
        arch: One of `tiles.ARCHS`.
        tile: The tile; the table's when None.
        causal: Whether with a causal mask.
        head_dim_v: Columns of a value; `head_dim` when None.
        features: Which of `FEATURES` besides.

    Raises:
        UnsupportedError: The kernel, head_dim, dtype, architecture or a feature is not served.
        CompileError: The process interprets Triton (TRITON_INTERPRET=1), or the compiler failed.
        RequirementError: The installed Triton is too old for `arch`.
    """
    head_dim_v = head_dim if head_dim_v is None else head_dim_v
    boxes = can_box(kernel, dtype, arch) and not _UNBOXED.intersection(features)
    chosen = tile_for(kernel, max(head_dim, head_dim_v), dtype, arch, boxes=boxes)
    tile = chosen if tile is None else tile
    function = _function(kernel)
    require_architecture(arch)

    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from l4guide_kernels.launch import OPTIONS

    constants: dict[str, object] = {
        "CAUSAL": causal,
        "HEAD_DIM": _width(kernel, head_dim),
        "HEAD_DIM_V": _width(kernel, head_dim_v),
        "BLOCK_M": tile.block_m,
        "BLOCK_N": tile.block_n,
    }
    constants |= dict.fromkeys(_BOXES)
    signature = _signature(function.arg_names, kernel, dtype, constants, features)
    if boxes and tile.boxes:
        signature |= _box_types(head_dim, head_dim_v, dtype, tile)
    source = ASTSource(fn=function, signature=signature, **_values(signature, constants))
    options = {"num_warps": tile.warps, "num_stages": tile.stages, **OPTIONS}
    printed = io.StringIO()
    try:
        # A failing ptxas has Triton print the whole PTX.
        with contextlib.redirect_stdout(printed):
            built = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    except Exception as error:
        said = (str(error) or type(error).__name__).strip().splitlines()
        raise CompileError(f"{kernel} with {tile} did not compile for sm_{arch}: {said[0][:200]}") from error
    return Compiled(
        kernel=kernel,
        head_dim=head_dim,
        dtype=dtype,
        arch=arch,
        tile=tile,
        causal=causal,
        head_dim_v=head_dim_v,
        features=frozenset(features),
        shared_bytes=int(built.metadata.shared),
        warps=int(built.metadata.num_warps),
        ptx=str(built.asm["ptx"]),
        cubin=bytes(built.asm["cubin"]),
        triton_version=str(triton.__version__),
    )


def _box_types(head_dim: int, head_dim_v: int, dtype: str, tile: Tile) -> dict[str, str]:
    """The types of those boxes that a launch has: `boxes.boxes`."""
    columns = (*head_parts(head_dim), *head_parts(head_dim_v))
    return {
        name: f"tensordesc<{dtype}[1, {tile.block_n}, 1, {width}]>"
        for name, width in zip(_BOXES, columns, strict=True)
        if width
    }


def _width(kernel: str, head_dim: int) -> int:
    """The columns that a launch fills a head up to."""
    return (
        quantized_width(head_dim)
        if kernel.startswith("quantized")
        else -(-head_dim // HEAD_MULTIPLE) * HEAD_MULTIPLE
    )


def _function(kernel: str) -> Any:  # noqa: ANN401 - Triton exports no type for it
    """The jit function behind a kernel's name."""
    try:
        import l4guide_kernels.installed  # noqa: F401 - before all that it checks

        # isort: split
        from l4guide_kernels.decode import decode_kernel
        from l4guide_kernels.dialect import interpreted
        from l4guide_kernels.dkdv import dkdv_kernel
        from l4guide_kernels.dq import dq_kernel
        from l4guide_kernels.forward import forward_kernel
        from l4guide_kernels.quantized_kernel import quantized_kernel
    except ImportError as error:
        raise CompileError(f"nothing can be compiled: {error}") from error
    if interpreted():
        raise CompileError("TRITON_INTERPRET=1 makes kernels uncompilable: compile in a process without it")
    return {
        "forward": forward_kernel,
        "backward-dkdv": dkdv_kernel,
        "backward-dq": dq_kernel,
        "decode": decode_kernel,
        "decode-int8": decode_kernel,
        "decode-fp8": decode_kernel,
        "quantized-fp16": quantized_kernel,
        "quantized-fp8": quantized_kernel,
    }[kernel]


def _signature(
    names: Sequence[str],
    kernel: str,
    dtype: str,
    constants: Mapping[str, object],
    features: Collection[str],
) -> dict[str, Any]:
    """Each argument's type as a launch has it; a tuple of types for `span` and `extras`."""
    from l4guide_kernels.arguments import Extras, Span

    given: dict[str, str] = {}
    for feature in (*_ALWAYS.get(kernel, ()), *features):
        if feature not in FEATURES:
            raise UnsupportedError(f"feature {feature!r} is unknown: use one of {', '.join(FEATURES)}")
        given |= FEATURES[feature]
    pointers = _CODES.get(kernel, {})

    def type_of(name: str) -> Any:  # noqa: ANN401 - a type's name, or a tuple of them
        if name == "span":
            return Span(*(given.get(field, "constexpr") for field in Span._fields))
        if name == "extras":
            return Extras(*(given.get(field, "constexpr") for field in Extras._fields))
        if name in constants:
            return "constexpr"
        if name == "arrived_ptr":
            return "*i32"
        if name in {"lse_ptr", "delta_ptr", "part_ptr", "part_lse_ptr"} or name.endswith("_scale_ptr"):
            return "*fp32"
        if name.endswith("_ptr"):
            return pointers.get(name, f"*{dtype}")
        return "fp32" if name.startswith("scale") else "i32"

    return {name: type_of(name) for name in names}


def _values(signature: Mapping[str, Any], constants: Mapping[str, object]) -> dict[str, Any]:
    """Where constants stand and what they are, and which pointers are aligned: as Triton's own launch finds out."""
    fixed: dict[tuple[int, ...], object] = {}
    aligned: dict[tuple[int, ...], list[list[object]]] = {}
    for i, (name, kind) in enumerate(signature.items()):
        leaves = [((i,), kind)] if isinstance(kind, str) else [((i, j), one) for j, one in enumerate(kind)]
        for path, leaf in leaves:
            if leaf == "constexpr":
                fixed[path] = constants.get(name)
            elif leaf.startswith("*"):
                aligned[path] = [["tt.divisibility", 16]]
    return {"constexprs": fixed, "attrs": aligned}
