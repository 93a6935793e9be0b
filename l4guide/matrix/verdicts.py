"""Verdicts as the matrix asks for them: ours beside everybody's, each asked once."""

from functools import lru_cache

from l4guide import __version__
from l4guide.advise.own import LIBRARY, own_verdict
from l4guide.catalogue import Gpu
from l4guide.errors import BadInput
from l4guide.support import Verdict, check, find_library, find_release, is_newer, libraries
from l4guide.support.kinds import about, kind_of
from l4guide.workload import Workload

#: Cells kept: a reader who goes back to a filter sees it at once.
KEPT = 16_384
#: What our own kernels read of a card: who made it, and what a multiprocessor of it holds.
CHIP = (
    *("vendor", "capability", "bf16_tensor_cores", "shared_bytes_per_block", "shared_kib_per_sm"),
    *("registers_per_sm", "max_threads_per_sm", "max_blocks_per_sm"),
)


def library_names() -> tuple[str, ...]:
    """Every implementation there is an answer for; our own kernels stand last."""
    return (*libraries(), LIBRARY)


def library_name(name: str) -> str:
    """The implementation that `name` means.

    Raises:
        BadInput: none is called so; names the nearest.
    """
    return LIBRARY if name.strip().lower() == LIBRARY else find_library(name)


def release_name(library: str, version: str | None) -> str:
    """The release of `library` that `version` means; None is the newest known, a newer one stays as it was asked.

    Raises:
        BadInput: there never was such a release.
    """
    if library != LIBRARY:
        newer = version is not None and is_newer(library, version)
        return str(version).strip() if newer else find_release(library, version).version
    if version is None or version.strip() == __version__:
        return __version__
    values = {"library": LIBRARY, "version": version, "near": __version__, "newest": __version__}
    raise BadInput("error.unknown_version", **values)


@lru_cache(maxsize=KEPT)
def _own(workload: Workload, gpu: Gpu) -> Verdict:
    """The verdict on our own kernels, for every card with this chip."""
    return own_verdict(workload, gpu)


@lru_cache(maxsize=KEPT)
def verdict_of(workload: Workload, gpu: Gpu, library: str, version: str) -> Verdict:
    """What `library` at `version` does with the question, our own kernels included."""
    if library == LIBRARY:
        kind = kind_of(gpu, CHIP)
        return about(_own(workload, kind), kind, gpu)
    return check(workload, gpu, library, version)
