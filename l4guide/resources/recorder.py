"""Compile every default tile and write down what the compiler said: `python -m l4guide.resources.recorder`.

It compiles what is missing or was recorded with other code than the kernel has now, and drops rows of tiles that
are no longer the default. The files are written anew after each row, so that an interruption costs one compilation
and the next run goes on from there; several runs, each with its own `--arch`, may share them.
"""

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from time import monotonic

from l4guide.errors import CannotDo
from l4guide.resources import mix_record, record
from l4guide.resources.compiler import Compiler, require_compiler
from l4guide.resources.defaults import ARCH_ORDER, DTYPE_ORDER, everything, mixes
from l4guide.resources.mix_record import RecordedMix
from l4guide.resources.specialisation import Figures, Specialisation


def keep_record(wanted: Sequence[Specialisation], *, triton_version: str) -> int:
    """Compile what is missing or stale, write each row as found; returns how many the compiler refused."""
    todo = list(_stale(wanted, triton_version))
    refused, began = 0, monotonic()
    with Compiler() as compiler:
        for done, one in enumerate(todo):
            try:
                _add(one, compiler.compile(one), triton_version)
            except CannotDo as problem:
                refused += 1
                sys.stderr.write(f"{problem}\n")
            _tell(done + 1, len(todo), one, monotonic() - began)
    _drop_old(triton_version)
    return refused


def _stale(wanted: Sequence[Specialisation], triton_version: str) -> Iterator[Specialisation]:
    """What is not recorded with the code as it is, in the bytes or in the mix."""
    from l4guide_kernels.code import digest

    rows = record.read(record.path_for(triton_version))
    known = mix_record.read(mix_record.path_for(triton_version))
    mixed = set(mixes())
    for one in wanted:
        code = digest(one.kernel)
        fresh = one in rows and rows[one].code == code
        if not fresh or (one in mixed and (one not in known or known[one].code != code)):
            yield one


def _add(one: Specialisation, found: Figures, triton_version: str) -> None:
    """Write what was found beside what the files hold by now, since another run may be adding to them."""
    from l4guide_kernels.code import digest

    code = digest(one.kernel)
    path = record.path_for(triton_version)
    row = replace(found, instructions=None, code=code)
    with _alone(path.parent):
        record.write(path, record.read(path) | {one: row})
        if found.instructions is not None and one in set(mixes()):
            path = mix_record.path_for(triton_version)
            mix = RecordedMix(mix=found.instructions, triton_version=triton_version, code=code)
            mix_record.write(path, mix_record.read(path) | {one: mix})


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Other runs wait: between reading and writing they would lose this one's row, or it theirs."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _drop_old(triton_version: str) -> None:
    """Leave only tiles that are still the default; what is stale stays until it is compiled again."""
    for kept, valid in ((record, set(everything())), (mix_record, set(mixes()))):
        path = kept.path_for(triton_version)
        with _alone(path.parent):
            kept.write(path, {one: row for one, row in kept.read(path).items() if one in valid})


def _tell(done: int, of: int, one: Specialisation, seconds: float) -> None:
    head_dim = f"{one.head_dim}" if one.head_dim == one.head_dim_v else f"{one.head_dim}/{one.head_dim_v}"
    mask = "causal" if one.causal else "full"
    left = seconds / done * (of - done) / 60
    sys.stderr.write(
        f"{done} of {of}, {left:.0f} min left: sm_{one.arch} {one.kernel} {head_dim} {one.dtype} {mask}\n"
    )


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
