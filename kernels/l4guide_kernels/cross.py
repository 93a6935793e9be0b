"""Compiling a kernel for a GPU that is not there: Triton and its bundled ptxas need none.

What is compiled is what `launch` launches: the same constants and options, pointers aligned to 16 bytes,
sizes and strides not specialised. So the shared memory and the registers are those of the real thing.
"""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from l4guide_kernels.tiles import Tile, head_parts, tile_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """One kernel, compiled.

    Attributes:
        kernel: Its name in `tiles.KERNELS`.
        head_dim: Columns of a head.
        dtype: Of q, k and v: "fp16", "bf16" or "fp32".
        arch: Compute capability as one number (89 is an L4).
        tile: The tile it was compiled with.
        causal: Whether for a causal mask.
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
    shared_bytes: int
    warps: int
    ptx: str
    cubin: bytes
    triton_version: str


class CompileError(RuntimeError):
    """Triton or ptxas could not compile the kernel; says which and how."""


def compile_ahead(
    kernel: str, *, head_dim: int, dtype: str, arch: int, tile: Tile | None = None, causal: bool = True
) -> Compiled:
    """Cross-compiles `kernel` for `arch`; needs Triton but no GPU.

    Args:
        kernel: One of `tiles.KERNELS`.
        head_dim: Columns of a head, 1 to 256.
        dtype: One of `tiles.DTYPES`.
        arch: One of `tiles.ARCHS`.
        tile: The tile; the table's when None.
        causal: Whether with a causal mask.

    Raises:
        UnsupportedError: The kernel, head_dim, dtype or architecture is not served.
        CompileError: The process interprets Triton (TRITON_INTERPRET=1), or the compiler failed.
    """
    chosen = tile_for(kernel, head_dim, dtype, arch)
    tile = chosen if tile is None else tile
    function = _function(kernel)

    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from l4guide_kernels.launch import HEAD_MULTIPLE, OPTIONS

    first, second = head_parts(head_dim)
    constants = {
        "CAUSAL": causal,
        "HEAD_DIM": -(-head_dim // HEAD_MULTIPLE) * HEAD_MULTIPLE,
        "D1": first,
        "D2": second,
        "BLOCK_M": tile.block_m,
        "BLOCK_N": tile.block_n,
    }
    names = function.arg_names
    source = ASTSource(
        fn=function,
        signature={name: _type(kernel, name, dtype, constants) for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name.endswith("_ptr")},
    )
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
        shared_bytes=int(built.metadata.shared),
        warps=int(built.metadata.num_warps),
        ptx=str(built.asm["ptx"]),
        cubin=bytes(built.asm["cubin"]),
        triton_version=str(triton.__version__),
    )


def _function(kernel: str) -> Any:  # noqa: ANN401 - Triton exports no type for it
    """The jit function behind a kernel's name."""
    try:
        from l4guide_kernels.backward import dkdv_kernel, dq_kernel
        from l4guide_kernels.decode import decode_kernel
        from l4guide_kernels.dialect import interpreted
        from l4guide_kernels.forward import forward_kernel
    except ImportError as error:
        raise CompileError(
            f"compiling needs Triton and PyTorch ({error}): pip install 'l4guide[kernels]'"
        ) from error
    if interpreted():
        raise CompileError("TRITON_INTERPRET=1 makes kernels uncompilable: compile in a process without it")
    return {
        "forward": forward_kernel,
        "backward-dkdv": dkdv_kernel,
        "backward-dq": dq_kernel,
        "decode": decode_kernel,
    }[kernel]


def _type(kernel: str, name: str, dtype: str, constants: Mapping[str, object]) -> str:
    """An argument's type as a launch has it."""
    if name in constants:
        return "constexpr"
    if name in {"lse_ptr", "delta_ptr"} or (kernel, name) == ("decode", "o_ptr"):
        return "*fp32"
    if name == "seqlens_ptr":
        return "*i32"
    if name.endswith("_ptr"):
        return f"*{dtype}"
    return "fp32" if name.startswith("scale") else "i32"
