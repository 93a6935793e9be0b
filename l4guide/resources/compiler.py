"""Ask Triton's own compiler, for any architecture and without a GPU, through a worker process."""

import os
import sys
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from l4guide.errors import CannotDo
from l4guide.kernels import unmet
from l4guide.process_group import Answerer
from l4guide.resources.mix import Mix
from l4guide.resources.specialisation import Figures, Specialisation

#: A sensible tile compiles in 1 to 5 seconds, one that spills heavily in 10 to 50.
DEADLINE_S = 180.0
WORKER = (sys.executable, "-m", "l4guide.resources.worker")
#: Settings that change what the compiler makes; without them every machine finds the recorded figures.
_FOREIGN = ("TRITON_", "PTXAS_OPTIONS", "DISABLE_PTXAS_OPT", "NVPTX_ENABLE_DUMP", "MLIR_", "LLVM_")


def require_compiler() -> None:
    """Refuse where Triton or torch is not installed.

    Raises:
        CannotDo: with the line that installs them.
    """
    missing = [name for name in ("triton", "torch") if not _installed(name)]
    if missing:
        raise CannotDo("error.no_compiler", missing=", ".join(missing))


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # imported by hand, without a spec
        return name in sys.modules


def _environment(own_cache: str, triton: Path | None) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    first = [] if triton is None else [str(triton)]
    clean["PYTHONPATH"] = os.pathsep.join([*first, *(entry for entry in sys.path if entry)])
    clean["TRITON_CACHE_DIR"] = os.environ.get("TRITON_CACHE_DIR", own_cache)
    clean["TRITON_ALWAYS_COMPILE"] = (
        "1"  # for a cached kernel ptxas does not run, so nothing tells its registers
    )
    clean["TRITON_DEFAULT_FP_FUSION"] = "1"  # Triton 3.9 warns where this is not said
    return clean


class Compiler:
    """A compiler process for many questions; it is replaced when it dies or overstays its deadline.

    Use as a context manager: leaving it ends the process and removes its cache. `triton` is a folder with another
    version of Triton, which the process takes in place of the installed one. Without `mixes` no binary is
    disassembled, which takes a third of a second each.
    """

    def __init__(
        self, *, deadline_s: float = DEADLINE_S, triton: Path | None = None, mixes: bool = True
    ) -> None:
        self._mixes = mixes
        self._cancelled = False
        self._folder = tempfile.TemporaryDirectory(prefix="l4guide-compiler-", ignore_cleanup_errors=True)
        self._complaints = Path(self._folder.name, "stderr")
        self._worker = Answerer(
            WORKER,
            lambda: _environment(self._folder.name, triton),
            deadline_s=deadline_s,
            complaints=self._complaints,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.stop()
        self._folder.cleanup()

    def compile(self, wanted: Specialisation) -> Figures:
        """Compile one specialisation now.

        Raises:
            CannotDo: Triton is not installed or too old, the compiler refuses this tile, its process dies (mostly for
                lack of memory), the deadline passes, or somebody cancelled.
        """
        require_compiler()
        if self._cancelled:
            raise CannotDo("error.compiler_cancelled", **_named(wanted))
        try:
            answer = self._worker.ask(_question(wanted, self._mixes))
        except TimeoutError:
            deadline_s = f"{self._worker.deadline_s:g}"
            raise CannotDo("error.compiler_too_slow", **_named(wanted), deadline_s=deadline_s) from None
        except EOFError:
            if self._cancelled:
                raise CannotDo("error.compiler_cancelled", **_named(wanted)) from None
            raise CannotDo("error.compiler_died", **_named(wanted), reason=self._last_complaint()) from None
        if "unmet" in answer:
            raise unmet(**answer["unmet"])
        if "error" in answer:
            raise CannotDo("error.compiler_refused", **_named(wanted), reason=answer["error"])
        counts = answer.pop("instructions", None)
        return Figures(basis="compiled", instructions=Mix(**counts) if counts else None, **answer)

    def cancel(self) -> None:
        """Give up what is being compiled and compile nothing more; from any thread."""
        self._cancelled = True
        self._worker.end()

    def _last_complaint(self) -> str:
        lines = self._complaints.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "-")


def _question(wanted: Specialisation, mixes: bool) -> dict[str, object]:
    return {
        "kernel": wanted.kernel,
        "head_dim": wanted.head_dim,
        "head_dim_v": wanted.head_dim_v,
        "dtype": wanted.dtype,
        "arch": wanted.arch,
        "causal": wanted.causal,
        "mix": mixes,
        "tile": asdict(wanted.tile),
    }


def _named(wanted: Specialisation) -> dict[str, object]:
    tile = wanted.tile
    return {
        "kernel": wanted.kernel,
        "tile": f"{tile.block_m}x{tile.block_n}",
        "warps": tile.warps,
        "stages": tile.stages,
        "arch": wanted.arch,
    }
