"""Hitting the limit: a backward tile too large for the card, then the one that fits; runs inside the worker.

On a GPU the tile is launched, and Triton's own OutOfResources is what is shown. Without one the same tile is
compiled for the chosen card, and the compiler's bytes are held against that card's limit.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from l4guide.errors import CannotDo
from l4guide.measure.accuracy import Oracle, draw
from l4guide.measure.live import Emit
from l4guide.measure.ours import ours
from l4guide.measure.place import Place, check_supported, find_place
from l4guide.workload import Workload, ask

if TYPE_CHECKING:
    from l4guide_kernels.tiles import Tile

KERNEL = "backward-dkdv"
#: FlashAttention-1's backward tile, then larger ones; a deeper pipeline is tried before a larger tile.
TOO_LARGE = ((128, 128), (256, 128), (256, 256))
WARPS = 8
STAGES = range(2, 9)
#: A launch of this length is real, and checked at once.
SEQLEN = 512


def show_limit(request: Mapping[str, Any], emit: Emit) -> None:
    """Answer a `limit` request: `workload` (head_dim and dtype count) and `gpu`, the chosen card.

    Raises:
        Problem: the workload is malformed or not ours to run, this machine lacks what is needed, or no tile
            is too large for this head_dim.
    """
    workload = _question(request)
    place = find_place(request.get("gpu"), compiling=True)
    launching = place.basis == "gpu"
    trial: _Trial = (_Launch if launching else _Compile)(place=place, workload=workload)
    where = {"mode": "gpu" if launching else "compile", "gpu": place.gpu, "arch": place.arch}
    key = "measure.started_limit" if launching else "measure.started_compile"
    emit("started", **where, total=2, key=key, values={"gpu": place.gpu})
    emit("limit", limit=_too_large(trial, emit))
    emit("limit", limit=_fitting(trial, emit))
    emit("finished", key="measure.limit_finished", values={"gpu": place.gpu})


def _question(request: Mapping[str, Any]) -> Workload:
    """What decides a tile, taken from the request, on a problem of a size that is checked at once."""
    asked = request.get("workload", {})
    kept = {name: asked[name] for name in ("head_dim", "dtype") if asked.get(name) is not None}
    workload, _ = ask({"task": "training", "seqlen": SEQLEN, "heads": 2, "kv_heads": 2, **kept})
    check_supported(workload)
    return workload


def _too_large(trial: "_Trial", emit: Emit) -> dict[str, Any]:
    """The first candidate that does not fit.

    Raises:
        CannotDo: all of them do.
    """
    for tile in trial.candidates():
        emit("progress", done=0, total=2, key=f"measure.limit_{trial.verb}", values=trial.values(tile))
        outcome = trial.attempt(tile)
        if not outcome["fits"]:
            return outcome
    largest = {"block_m": TOO_LARGE[-1][0], "block_n": TOO_LARGE[-1][1], "stages": STAGES[-1]}
    limit = {"limit_bytes": trial.place.shared_limit_bytes, "head_dim": trial.workload.head_dim}
    raise CannotDo("error.limit_none", **largest, **limit)


def _fitting(trial: "_Trial", emit: Emit) -> dict[str, Any]:
    tile = trial.chosen()
    emit("progress", done=1, total=2, key=f"measure.limit_fitting_{trial.verb}", values=trial.values(tile))
    return trial.attempt(tile)


@dataclass(frozen=True, kw_only=True)
class _Trial(ABC):
    """One way of finding out whether a tile fits. `verb` is what it does, as the sentences' keys call it."""

    place: Place
    workload: Workload
    verb = "trying"

    @property
    @abstractmethod
    def arch(self) -> int:
        """The architecture whose tiles are tried."""

    @abstractmethod
    def attempt(self, tile: "Tile") -> dict[str, Any]:
        """What became of `tile`, as it goes into a limit event."""

    def candidates(self) -> Iterator["Tile"]:
        """Tiles from FlashAttention-1's shape up, without those that the closed formula knows to fit."""
        from l4guide_kernels.tiles import Tile, shared_bytes

        for block_m, block_n in TOO_LARGE:
            for stages in STAGES:
                tile = Tile(block_m=block_m, block_n=block_n, warps=WARPS, stages=stages)
                expected = shared_bytes(tile, kernel=KERNEL, **self.kind())
                if expected is None or expected > self.place.shared_limit_bytes:
                    yield tile

    def chosen(self) -> "Tile":
        """The tile that our tables choose."""
        from l4guide_kernels.tiles import tile_for

        return tile_for(KERNEL, **self.kind())

    def kind(self) -> dict[str, Any]:
        """What decides a tile's bytes besides its shape."""
        return {"head_dim": self.workload.head_dim, "dtype": self.workload.dtype, "arch": self.arch}

    def values(self, tile: "Tile") -> dict[str, Any]:
        """A tile as the sentences about it want it."""
        shape = {"block_m": tile.block_m, "block_n": tile.block_n, "stages": tile.stages}
        return {**shape, "gpu": self.place.gpu, "limit_bytes": self.place.shared_limit_bytes}

    def compiled_bytes(self, tile: "Tile") -> int:
        """Shared memory of `tile`, from the compiler."""
        from l4guide_kernels.cross import compile_ahead

        return compile_ahead(KERNEL, tile=tile, causal=self.workload.causal, **self.kind()).shared_bytes

    def outcome(self, tile: "Tile", basis: str, required: int | None, text: str | None) -> dict[str, Any]:
        """One limit event's content, with its sentence; `text` is Triton's refusal, if it refused."""
        import triton

        key = "exceeded" if text else "fits" if required is not None else "fits_unknown"
        values = {**self.values(tile), "required_bytes": required}
        facts = {"kernel": KERNEL, **self.kind(), **values, "warps": tile.warps, "fits": text is None}
        compiler = {"basis": basis, "text": text, "triton_version": triton.__version__}
        return {**facts, **compiler, "key": f"measure.limit_{key}", "values": values}


class _Compile(_Trial):
    """Compiles for the chosen card; the bytes are the compiler's, the refusal is what Triton would say."""

    verb = "compiling"

    @property
    def arch(self) -> int:
        """The chosen card's."""
        assert self.place.arch is not None
        return self.place.arch

    def attempt(self, tile: "Tile") -> dict[str, Any]:
        """Compile `tile` and hold its bytes against the card's limit."""
        from triton.runtime.errors import OutOfResources

        required, limit = self.compiled_bytes(tile), self.place.shared_limit_bytes
        text = str(OutOfResources(required, limit, "shared memory")) if required > limit else None
        return self.outcome(tile, "compiled", required, text)


class _Launch(_Trial):
    """Launches on the attached card; what is too large is refused by Triton itself."""

    verb = "launching"

    @property
    def arch(self) -> int:
        """The one whose tiles the attached card runs."""
        import torch
        from l4guide_kernels.problem import device_arch

        return device_arch(torch.device("cuda"))

    def attempt(self, tile: "Tile") -> dict[str, Any]:
        """Launch `tile`, and where it runs check its gradients."""
        from l4guide_kernels.cross import CompileError
        from triton.runtime.errors import OutOfResources

        attention = partial(ours(self.workload), tiles={KERNEL: tile})
        oracle = Oracle(self.workload, draw(self.workload, self.place.device))
        try:
            gradients = oracle.judge(attention)["backward"]
        except OutOfResources as refusal:
            return self.outcome(tile, "measured", int(refusal.required), str(refusal))
        try:
            required: int | None = self.compiled_bytes(tile)
        except CompileError:
            required = None
        checked = {"max_error": gradients.max_error, "bound": gradients.bound, "passed": gradients.passed}
        return {**self.outcome(tile, "measured", required, None), **checked}
