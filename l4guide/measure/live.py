"""Attention on the attached GPU, or in Triton's interpreter where there is none; runs inside the worker.

On a GPU every implementation gets the same inputs: its error against fp64 first, then its time. In the
interpreter our kernels run on small shapes for correctness alone, and no row has a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from l4guide.errors import CannotDo
from l4guide.frozen import frozen
from l4guide.measure.accuracy import Accuracy, Inputs, Oracle, draw
from l4guide.measure.arithmetic import rates
from l4guide.measure.measurement import Measurement
from l4guide.measure.ours import OURS, ours
from l4guide.measure.peer import Attention, Peer
from l4guide.measure.peers import OTHERS, SDPA, explained
from l4guide.measure.place import Place, check_supported, find_place
from l4guide.measure.timing import Stopwatch, Timing
from l4guide.workload import Workload, ask

Emit = Callable[..., None]

#: (queries, keys) in the interpreter: multiples of a tile, odd ones, more keys than queries; a second each.
SMALL_SHAPES = ((16, 16), (33, 33), (48, 96), (97, 97), (128, 128), (129, 257), (256, 256))
SMALL_CACHES = (16, 97, 128, 200, 256, 384)
MOST_SMALL_GROUPS = 4
BUDGET_MS = 200.0
REASON_LENGTH = 400


def run_live(request: Mapping[str, Any], emit: Emit) -> None:
    """Answer a `live` request: `workload`, `gpu` (chosen), `peers` ("torch" or "all"), `timing` (True).

    Raises:
        Problem: the workload is malformed or not ours to run, or this machine lacks what the run needs.
    """
    workload, _ = ask(request.get("workload", {}))
    check_supported(workload)
    place = find_place(request.get("gpu"))
    cases = [workload] if place.basis == "gpu" else small_workloads(workload)
    others = OTHERS if request.get("peers") == "all" else ()
    peers = (OURS, *SDPA, *others) if place.basis == "gpu" else (OURS,)
    budget_ms = BUDGET_MS if request.get("timing", True) and place.basis == "gpu" else None
    _measure(cases, peers, place, budget_ms, emit)


def small_workloads(workload: Workload) -> list[Workload]:
    """The workload in sizes that the interpreter runs in about a second each.

    Task, head_dim, dtype and mask are kept, and so are the query heads of a KV head, up to four.
    """
    group = min(workload.heads // workload.kv_heads, MOST_SMALL_GROUPS)
    small = replace(workload, batch=1, heads=group, kv_heads=1)
    if workload.task == "decode":
        return [replace(small, batch=2, seqlen_q=1, seqlen_kv=length) for length in SMALL_CACHES]
    return [replace(small, seqlen_q=queries, seqlen_kv=keys) for queries, keys in SMALL_SHAPES]


@frozen
class Case:
    """One workload with all that every implementation is measured by."""

    workload: Workload
    inputs: Inputs
    oracle: Oracle
    place: Place
    stopwatch: Stopwatch | None


def _measure(
    cases: Sequence[Workload], peers: Sequence[Peer], place: Place, budget_ms: float | None, emit: Emit
) -> None:
    """Every implementation on every workload: progress, rows, and the closing sentence."""
    total, done = len(cases) * len(peers), 0
    key = "measure.started_gpu" if place.basis == "gpu" else "measure.started_interpreter"
    where = {"mode": place.basis, "gpu": place.gpu, "arch": place.arch}
    emit("started", **where, total=total, key=key, values={"gpu": place.gpu})
    stopwatch = None if budget_ms is None else Stopwatch(budget_ms=budget_ms)
    rows: list[Measurement] = []
    for workload in cases:
        emit("progress", done=done, total=total, key="measure.checking", values=_shape(workload))
        case = prepare(workload, place, stopwatch)
        for peer in peers:
            if place.basis == "gpu":
                values = {**_shape(workload), "implementation": peer.name}
                emit("progress", done=done, total=total, key="measure.timing", values=values)
            for row in measure(peer, case):
                rows.append(row)
                emit("row", row=row.to_json())
            done += 1
    emit("finished", **closing(rows))


def prepare(workload: Workload, place: Place, stopwatch: Stopwatch | None) -> Case:
    """Random inputs and their exact answer.

    Raises:
        CannotDo: the card has no room for them.
    """
    import torch

    try:
        inputs = draw(workload, place.device)
        oracle = Oracle(workload, inputs)
    except torch.OutOfMemoryError as problem:
        values = {"gpu": place.gpu, "batch": workload.batch, "seqlen_kv": workload.seqlen_kv}
        raise CannotDo("error.out_of_memory", **values) from problem
    return Case(workload=workload, inputs=inputs, oracle=oracle, place=place, stopwatch=stopwatch)


def measure(peer: Peer, case: Case) -> Iterator[Measurement]:
    """The rows of one implementation: one a pass, or one that says why it could not run.

    Raises:
        CannotDo: the GPU reported a fault, after which nothing more can run in this process.
    """
    version, on = peer.version, (case.workload, case.place.basis)
    if version is None:
        yield empty_row(peer, *on, status="not_installed")
        return
    trains = peer.trains and case.inputs.grad_out is not None
    rows, reason = _tried(peer, case, trains=trains)
    if reason is not None and trains:
        # A library may have no backward here and run forward all the same.
        rows, forward_reason = _tried(peer, case, trains=False)
        if forward_reason is None:
            rows.append(empty_row(peer, *on, status="refused", attention_pass="backward", reason=reason))
    if not rows:
        rows.append(empty_row(peer, *on, status="refused", reason=reason))
    yield from rows


def _tried(peer: Peer, case: Case, *, trains: bool) -> tuple[list[Measurement], str | None]:
    """A row a pass, or why there is none."""
    rows: list[Measurement] = []
    with explained() as warned:
        try:
            bind = partial(ours, arch=case.place.arch) if peer is OURS else peer.bind
            attention = bind(case.workload)
            accuracies = case.oracle.judge(_on_rows(peer, attention, case.workload), trains=trains)
            timings = _timings(peer, attention, case, tuple(accuracies))
        except Exception as failure:  # whatever a library raises is its answer
            check_device(case.place, failure)
            accuracies, raised = {}, f"{type(failure).__name__}: {failure}"
    if not accuracies:
        return [], " ".join(" ".join([raised, *warned]).split())[:REASON_LENGTH]
    for attention_pass, accuracy in accuracies.items():
        status = "ok" if accuracy.passed or peer.approximate else "wrong"
        row = empty_row(peer, case.workload, case.place.basis, status=status, attention_pass=attention_pass)
        row = _with_accuracy(row, accuracy, case, approximate=peer.approximate)
        rows.append(_with_timing(row, case.workload, timings.get(attention_pass)))
    return rows, None


def _on_rows(peer: Peer, attention: Attention, workload: Workload) -> Attention:
    """The call on q, k and v as they are, its output as wide as a head: what the reference is compared with."""

    def on_rows(q: Any, k: Any, v: Any) -> Any:  # noqa: ANN401 - tensors
        return attention(*peer.laid(workload, q, k, v))[..., : workload.head_dim]

    return on_rows


def _timings(peer: Peer, attention: Attention, case: Case, passes: tuple[str, ...]) -> dict[str, Timing]:
    """The time of each pass, empty where nothing is timed; a backward alone, on a graph kept for it."""
    import torch

    stopwatch, inputs = case.stopwatch, case.inputs
    if stopwatch is None:
        return {}
    laid = peer.laid(case.workload, inputs.q, inputs.k, inputs.v)
    if "backward" not in passes:
        with torch.no_grad():
            return {"forward": stopwatch.time(lambda: attention(*laid))}
    leaves = [x.detach().requires_grad_() for x in laid]
    out = attention(*leaves)
    assert inputs.grad_out is not None
    grad_out = torch.nn.functional.pad(inputs.grad_out, (0, out.shape[-1] - inputs.grad_out.shape[-1]))
    return {
        "forward": stopwatch.time(lambda: attention(*leaves)),
        "backward": stopwatch.time(lambda: torch.autograd.grad(out, leaves, grad_out, retain_graph=True)),
    }


def check_device(place: Place, failure: Exception) -> None:
    """Whether the device survived `failure`: a fault stays with the process, an ordinary refusal does not."""
    if place.basis != "gpu":
        return
    import torch

    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError as fault:
        reason = str(failure).strip().splitlines()[0]
        raise CannotDo("error.device_fault", gpu=place.gpu, reason=reason) from fault


def empty_row(
    peer: Peer,
    workload: Workload,
    basis: str,
    *,
    status: str,
    attention_pass: str = "forward",
    reason: str | None = None,
) -> Measurement:
    """A row that says what was asked and what became of it, and no number yet."""
    return Measurement(
        implementation=peer.name,
        version=peer.version,
        status=status,
        reason=reason,
        basis=basis,
        attention_pass=attention_pass,
        task=workload.task,
        causal=workload.causal,
        kv_dtype=peer.kv_dtype,
        **_shape(workload),
    )


def _shape(workload: Workload) -> dict[str, Any]:
    names = ("batch", "seqlen_q", "seqlen_kv", "heads", "kv_heads", "head_dim", "dtype")
    return {name: getattr(workload, name) for name in names}


def _with_accuracy(row: Measurement, accuracy: Accuracy, case: Case, *, approximate: bool) -> Measurement:
    return replace(
        row,
        max_error=accuracy.max_error,
        torch_error=accuracy.torch_error,
        bound=None if approximate else accuracy.bound,
        cosine=accuracy.cosine,
        worst_tensor=accuracy.worst_tensor,
        rows_checked=case.inputs.rows,
    )


def _with_timing(row: Measurement, workload: Workload, timing: Timing | None) -> Measurement:
    if timing is None:
        return row
    stored = replace(workload, kv_dtype=row.kv_dtype or workload.kv_dtype)
    tflops, gb_per_s = rates(stored, row.attention_pass, timing.latency_ms)
    return replace(
        row,
        latency_ms=timing.latency_ms,
        low_ms=timing.low_ms,
        high_ms=timing.high_ms,
        warm_ms=timing.warm_ms,
        repeats=timing.repeats,
        tflops=tflops,
        gb_per_s=gb_per_s,
        sm_clock_mhz=timing.sm_clock_mhz,
        power_w=timing.power_w,
        temperature_c=timing.temperature_c,
    )


def closing(rows: Sequence[Measurement]) -> dict[str, Any]:
    """The sentence that ends a run: wrong results outweigh refusals."""
    wrong, refused = (sum(row.status == status for row in rows) for status in ("wrong", "refused"))
    key = "measure.finished_wrong" if wrong else "measure.finished_refused" if refused else "measure.finished"
    return {"key": key, "values": {"rows": len(rows), "wrong": wrong, "refused": refused}}
