"""Compile every default tile and write down what the compiler said: `python -m l4guide.resources.recorder`.

It compiles what is missing or was recorded with other code than the kernel has now, and drops rows of tiles that
are no longer the default. The file is written anew after each row, so that an interruption costs one compilation.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from itertools import product
from pathlib import Path

from l4guide.errors import CannotDo
from l4guide.resources.compiler import Compiler, require_compiler
from l4guide.resources.record import Rows, path_for, read, write
from l4guide.resources.specialisation import HEAD_MULTIPLE, Specialisation, specialise

#: The cards most asked about come first, so that an interrupted run has answered them.
ARCH_ORDER = (89, 80, 90, 86, 100, 120, 103)
DTYPE_ORDER = ("bf16", "fp16", "fp32")
#: FlashAttention-1's backward tile at head_dim 128 fits an A100, not an L4: block_m, block_n, warps, stages.
FLAGSHIP = (128, 128, 8, 2)
FLAGSHIP_ARCHS = (80, 86, 89, 90)


def default_tiles(
    archs: Sequence[int] = ARCH_ORDER, dtypes: Sequence[str] = DTYPE_ORDER
) -> Iterator[Specialisation]:
    """Every default tile of these architectures and types, for heads that fill their columns or do not."""
    from l4guide_kernels.tiles import KERNELS, SPECIALISATIONS

    for arch, dtype, beyond in product(archs, dtypes, (0, HEAD_MULTIPLE)):
        for kernel, width in product(KERNELS, SPECIALISATIONS):
            yield specialise(kernel, head_dim=width - beyond, dtype=dtype, arch=arch)


def flagship(archs: Sequence[int] = FLAGSHIP_ARCHS) -> Iterator[Specialisation]:
    """FlashAttention-1's backward tile on the architectures that its story is about."""
    from l4guide_kernels.tiles import Tile

    block_m, block_n, warps, stages = FLAGSHIP
    tile = Tile(block_m=block_m, block_n=block_n, warps=warps, stages=stages)
    for arch in archs:
        yield specialise("backward-dkdv", head_dim=128, dtype="bf16", arch=arch, tile=tile)


def everything() -> tuple[Specialisation, ...]:
    """All that the record should hold, in the order in which it is made."""
    first, others = ARCH_ORDER[:1], ARCH_ORDER[1:]
    return (*default_tiles(first), *flagship(), *default_tiles(others))


def keep_record(wanted: Sequence[Specialisation], *, triton_version: str) -> int:
    """Compile what is missing or stale, write each row as found; returns how many the compiler refused."""
    from l4guide_kernels.code import digest

    path = path_for(triton_version)
    rows = read(path)
    todo = [one for one in wanted if one not in rows or rows[one].code != digest(one.kernel)]
    refused = 0
    with Compiler() as compiler:
        for count, one in enumerate(todo, start=1):
            try:
                _add(path, {one: replace(compiler.compile(one), code=digest(one.kernel))})
            except CannotDo as problem:
                refused += 1
                sys.stderr.write(f"{problem}\n")
                continue
            sys.stderr.write(
                f"{count} of {len(todo)}: sm_{one.arch} {one.kernel} {one.head_dim} {one.dtype}\n"
            )
    _add(path, {})
    return refused


def _add(path: Path, found: Rows) -> None:
    """Write `found` beside what the file holds by now, since another run may be adding to it."""
    valid = set(everything())
    write(path, {one: figures for one, figures in (read(path) | found).items() if one in valid})


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the record of the installed Triton version; exit code 1 where a tile was refused."""
    parser = argparse.ArgumentParser(prog="python -m l4guide.resources.recorder", description=__doc__)
    parser.add_argument("--arch", type=int, action="append", choices=ARCH_ORDER, help="only these")
    parser.add_argument("--kernel", action="append", help="only these kernels")
    parser.add_argument("--dtype", action="append", choices=DTYPE_ORDER, help="only these types")
    options = parser.parse_args(arguments)
    require_compiler()
    wanted = [
        one
        for one in everything()
        if one.arch in (options.arch or ARCH_ORDER)
        and one.dtype in (options.dtype or DTYPE_ORDER)
        and one.kernel in (options.kernel or [one.kernel])
    ]
    refused = keep_record(wanted, triton_version=metadata.version("triton"))
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
