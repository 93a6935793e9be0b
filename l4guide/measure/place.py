"""Where a run takes place: on the attached GPU if our kernels can use it, otherwise without one."""

import os
from typing import Any

from l4guide import catalogue
from l4guide.errors import BadInput, CannotDo
from l4guide.frozen import frozen
from l4guide.kernels import load_kernels
from l4guide.measure.probe import catalogue_name
from l4guide.workload import Workload

#: The kernels of an L4, when no card was chosen and none is attached.
DEFAULT_GPU = "L4"
OLDEST_CAPABILITY = (8, 0)


@frozen
class Place:
    """`basis` is "gpu" or "interpreter"; `arch` chooses the tiles, None on a GPU, which knows its own."""

    basis: str
    gpu: str
    arch: int | None
    shared_limit_bytes: int

    @property
    def device(self) -> str:
        """What torch calls it."""
        return "cuda" if self.basis == "gpu" else "cpu"


def find_place(chosen: object = None, *, compiling: bool = False) -> Place:
    """The attached GPU, else a CPU that stands in for the `chosen` card.

    Must be called before the kernels are imported, since it decides whether they are interpreted.

    Args:
        chosen: name of the card whose tiles are taken where none is attached; an L4 when None.
        compiling: without a GPU, prepare to compile for the chosen card rather than to interpret.

    Raises:
        BadInput: no card is called so.
        CannotDo: torch or Triton is missing, or our kernels do not serve the chosen card.
    """
    place = _attached_place() or _stand_in(str(chosen or DEFAULT_GPU))
    os.environ["TRITON_INTERPRET"] = "0" if compiling or place.basis == "gpu" else "1"
    load_kernels()
    return place


def check_supported(workload: Workload) -> None:
    """Refuse a workload that a live run is not of: plain attention, as every peer has it.

    Raises:
        BadInput: names the option, its value and what it must be.
    """
    from l4guide_kernels.tiles import DTYPES, MAX_HEAD_DIM

    widths: tuple[tuple[str, object, bool, object], ...] = (
        ("head-dim", workload.head_dim, workload.head_dim <= MAX_HEAD_DIM, f"1-{MAX_HEAD_DIM}"),
        ("head-dim-v", workload.head_dim_v, workload.head_dim_v == workload.head_dim, workload.head_dim),
        ("dtype", workload.dtype, workload.dtype in DTYPES, ", ".join(DTYPES)),
        ("kv-dtype", workload.kv_dtype, workload.kv_dtype == workload.dtype, workload.dtype),
        ("num-splits", workload.num_splits, workload.num_splits in (None, 1), 1),
        ("mask", workload.mask, workload.mask == "none", "none"),
    )
    for name, value, fine, limit in widths:
        if not fine:
            raise BadInput("error.live_unsupported", name=name, value=value, limit=limit)
    features = ("dropout", "window", "softcap", "alibi", "varlen", "block_sparse", "paged_block_size")
    for name in (*features, "append_kv", "score_mod", "sinks", "own_scores"):
        if value := getattr(workload, name):
            raise BadInput("error.live_feature", name=name.replace("_", "-"), value=value)


def _attached_place() -> Place | None:
    """The first CUDA device, None where torch cannot use it or it is older than our kernels."""
    try:
        import torch
    except ImportError:
        return None  # loading the kernels says what is missing
    if not torch.cuda.is_available() or torch.cuda.get_device_capability() < OLDEST_CAPABILITY:
        return None
    properties: Any = torch.cuda.get_device_properties(0)
    return Place(
        basis="gpu",
        gpu=catalogue_name(properties.name) or properties.name,
        arch=None,
        shared_limit_bytes=properties.shared_memory_per_block_optin,
    )


def _stand_in(chosen: str) -> Place:
    from l4guide_kernels.tiles import ARCHS

    gpu = catalogue.gpu(chosen)
    if gpu.arch not in ARCHS or gpu.shared_bytes_per_block is None:
        served = ", ".join(f"{arch // 10}.{arch % 10}" for arch in ARCHS)
        raise CannotDo("error.live_arch", gpu=gpu.name, capability=gpu.capability or "-", served=served)
    return Place(
        basis="interpreter", gpu=gpu.name, arch=gpu.arch, shared_limit_bytes=gpu.shared_bytes_per_block
    )
