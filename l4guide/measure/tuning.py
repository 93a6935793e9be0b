"""`l4guide measure --tune`: the tiles near the table's, timed on the attached card, the fastest beside the table's.

The candidates of a kernel are first compiled side by side, each by a launch of its own process, which fills Triton's
cache; then they are timed one after another. The record is written anew with each kernel.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l4guide.errors import CannotDo
from l4guide.files import write_text
from l4guide.frozen import frozen
from l4guide.measure.identity import card_named, kernels_digest
from l4guide.measure.measurement import check_writable
from l4guide.measure.place import find_place
from l4guide.measure.probe import libraries
from l4guide.measure.records import TILES, new_file
from l4guide.measure.run import Event, Run
from l4guide.text import Sentence, digits, say

if TYPE_CHECKING:
    import torch
    from l4guide_kernels.tiles import Tile

    Emit = Callable[..., None]

FORM = 1
BUDGET_S = 270.0
#: What a process takes of the card's memory besides its tensors is some hundred MiB.
MOST_PROCESSES = 8
TOKENS, LENGTH, COLUMNS = 8192, 4096, 2048
CACHE = {"batch": 16, "keys": 8192, "heads": 32, "kv_heads": 8}


@frozen
class Task:
    """One kernel on one kind of tensors, in bf16."""

    kernel: str
    head_dim: int
    causal: bool

    @property
    def mask(self) -> str:
        """Causal or full."""
        return "causal" if self.causal else "full"

    def tensors(self, device: str) -> "tuple[torch.Tensor, ...]":
        """Random q, k and v (batch, seqlen, heads, head_dim), of the sizes of the benchmark."""
        import torch

        if self.kernel == "decode":
            batch, keys = CACHE["batch"], CACHE["keys"]
            shapes = [(batch, 1, CACHE["heads"]), *[(batch, keys, CACHE["kv_heads"])] * 2]
        else:
            shapes = [(TOKENS // LENGTH, LENGTH, COLUMNS // self.head_dim)] * 3
        return tuple(
            torch.randn((*shape, self.head_dim), dtype=torch.bfloat16, device=device) for shape in shapes
        )


def tasks() -> Iterable[Task]:
    """What is tuned, the most telling first: a run that is cut short is still of use."""
    for width in (128, 64, 256):
        for causal in (True, False):
            yield Task(kernel="forward", head_dim=width, causal=causal)
    for width in (128, 64, 256):
        for kernel in ("backward-dkdv", "backward-dq"):
            yield Task(kernel=kernel, head_dim=width, causal=True)
    yield Task(kernel="decode", head_dim=128, causal=False)
    for width in (96, 192, 80):
        for kernel in ("forward", "backward-dkdv", "backward-dq"):
            yield Task(kernel=kernel, head_dim=width, causal=True)


@frozen
class Tuned:
    """What a run found: for each task the table's tile, the fastest, and every candidate's milliseconds."""

    measured_at: str
    gpu: str
    driver: str | None
    libraries: Mapping[str, str]
    kernels: str
    complete: bool
    tiles: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return {"form": FORM, **asdict(self)}

    def say(self, language: str = "en") -> str:
        """A line for each kernel: the table's tile and the fastest, with their times."""
        lines = [say("tune.card", language, gpu=self.gpu, kernels=len(self.tiles))]
        for found in self.tiles:
            lines.append(
                say(
                    "tune.line",
                    language,
                    kernel=found["kernel"],
                    head_dim=found["head_dim"],
                    mask="causal" if found["causal"] else "full",
                    table=_words(found["table"]),
                    table_ms="–" if found["table_ms"] is None else digits(found["table_ms"]),
                    tile=_words(found["tile"]),
                    ms=digits(found["ms"]),
                    tried=found["tried"],
                )
            )
        return "\n".join(lines)


def tune(
    out: Path | None = None,
    on_event: Callable[[Event], object] = lambda event: None,
    **worker: Any,  # noqa: ANN401 - of `Run`
) -> Tuned:
    """Tune on the attached GPU; `tiles-<card>-<day>.json` among the records when `out` is None.

    Raises:
        CannotDo: there is no GPU, nothing could be timed, or the file cannot be written.
    """
    if out is not None:
        check_writable(out)
    tiles: list[dict[str, Any]] = []
    card, where = card_named(None), out

    def hear(event: Event) -> None:
        nonlocal where
        if event["kind"] == "tile":
            tiles.append(event["tile"])
            where = where or new_file(str(run.gpu), prefix=TILES)
            write_text(where, json.dumps(made(complete=False).to_json(), indent=1) + "\n")
        on_event(event)

    def made(*, complete: bool) -> Tuned:
        return Tuned(
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            gpu=str(run.gpu),
            driver=card.driver if card else None,
            libraries=dict(libraries()),
            kernels=kernels_digest(),
            complete=complete,
            tiles=tuple(tiles),
        )

    run = Run(hear, deadline_s=BUDGET_S + 30, **worker)
    run.start({"kind": "tune"})
    try:
        run.join()
    except KeyboardInterrupt:
        run.cancel()
        run.join()
        raise
    last = run.last or {}
    if not tiles or where is None:
        reason = Sentence(last["key"], last.get("values", {})) if "key" in last else "-"
        raise CannotDo("error.nothing_measured", reason=reason)
    tuned = made(complete=last.get("kind") == "finished" and len(tiles) == len(list(tasks())))
    write_text(where, json.dumps(tuned.to_json(), indent=1) + "\n")
    return tuned


def run_tuning(request: Mapping[str, Any], emit: "Emit") -> None:
    """Answer a `tune` request inside the worker: `seconds` (of budget); an event `tile` for each kernel.

    Raises:
        CannotDo: there is no GPU to time on.
    """
    place = find_place()
    if place.basis != "gpu":
        raise CannotDo("error.tune_needs_gpu")
    wanted = list(tasks())
    emit(
        "started",
        mode="gpu",
        gpu=place.gpu,
        arch=None,
        total=len(wanted),
        key="tune.started",
        values={"gpu": place.gpu},
    )
    began, seconds = time.monotonic(), request.get("seconds", BUDGET_S)
    with compilers() as pool:
        for at, task in enumerate(wanted):
            if time.monotonic() - began > seconds:
                break
            _tune_one(task, place.device, pool, partial(_tell, emit, task, at, len(wanted)), emit)
    emit("finished", key="tune.finished", values={"kernels": len(wanted)})


def _tune_one(
    task: Task, device: str, pool: ProcessPoolExecutor, tell: Callable[..., None], emit: "Emit"
) -> None:
    tell("tune.at_work")
    try:
        compile_beside(task, pool)
        emit("tile", tile=timed(task, device))
    except Exception as failure:  # a kernel that has no tile here leaves the others theirs
        tell("tune.no_tile", reason=str(failure)[:200])


def _tell(emit: "Emit", task: Task, at: int, total: int, key: str, **more: object) -> None:
    values = {"kernel": task.kernel, "head_dim": task.head_dim, "mask": task.mask, **more}
    emit("progress", done=at, total=total, key=key, values=values)


def timed(
    task: Task, device: str, measure: "Callable[[Callable[[], object]], float] | None" = None
) -> dict[str, Any]:
    """Every candidate's time on `task`, the table's tile and the fastest by themselves."""
    from l4guide_kernels.candidates import candidates
    from l4guide_kernels.problem import device_arch
    from l4guide_kernels.tune import tile_times

    q, k, v = task.tensors(device)
    arch = device_arch(q.device)
    table = candidates(task.kernel, head_dim=task.head_dim, dtype="bf16", arch=arch)
    times = tile_times(task.kernel, q, k, v, causal=task.causal, arch=arch, measure=measure)
    fastest = min(times, key=times.__getitem__)
    return {
        **asdict(task),
        "dtype": "bf16",
        "arch": arch,
        "batch": q.shape[0],
        "seqlen_q": q.shape[1],
        "seqlen_kv": k.shape[1],
        "heads": q.shape[2],
        "kv_heads": k.shape[2],
        "table": asdict(table[0]),
        "table_ms": times.get(table[0]),
        "tile": asdict(fastest),
        "ms": times[fastest],
        "tried": len(table),
        "times": [{**asdict(tile), "ms": ms} for tile, ms in sorted(times.items(), key=lambda pair: pair[1])],
    }


def compilers() -> ProcessPoolExecutor:
    """Processes with a CUDA context each, for as many tasks as there are."""
    processes = max(1, min(MOST_PROCESSES, (os.cpu_count() or 1) - 1))
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))


def compile_beside(task: Task, pool: ProcessPoolExecutor) -> None:
    """Have every candidate compiled, several at a time; what fails here fails again, and is told, when it is timed."""
    import torch
    from l4guide_kernels.candidates import candidates
    from l4guide_kernels.problem import device_arch

    arch = device_arch(torch.device("cuda"))
    choice = candidates(task.kernel, head_dim=task.head_dim, dtype="bf16", arch=arch)
    with suppress(BrokenProcessPool):
        list(pool.map(_launch, [task] * len(choice), choice))


def _launch(task: Task, tile: "Tile") -> None:
    """One launch in a process of its own."""
    import torch
    from l4guide_kernels.problem import device_arch
    from l4guide_kernels.tune import call

    q, k, v = task.tensors("cuda")
    # A tile that does not fit is an answer too.
    with suppress(Exception):
        call(task.kernel, q, k, v, task.causal, device_arch(q.device), tile)()
        torch.cuda.synchronize()


def _words(tile: Mapping[str, Any]) -> str:
    return f"{tile['block_m']}×{tile['block_n']} w{tile['warps']} s{tile['stages']}"
