"""Whether a card runs a model's attention, every kind of call of it, and whether a time is that of what runs it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from l4guide.advise.calls import named_calls, options_of, reads_at_once
from l4guide.advise.choice import EAGER, UNTIMED, choose, judge
from l4guide.advise.own import LIBRARY
from l4guide.catalogue import Gpu
from l4guide.cost import Question
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate import LiveEstimator
from l4guide.support import Verdict, check, libraries, runs
from l4guide.support.conditions import features_of, named
from l4guide.text import Joined, Sentence
from l4guide.workload import Workload

#: What a user would reach for first, and what always runs: PyTorch's fallback, and a model's own code.
RUNNERS = ("flash-attn", "torch/flash", "torch/efficient", "torch/math", EAGER)
#: What runs attention in a server, over caches of types and pages that the others do not have.
SERVERS = ("vllm/flash-attn", "vllm/flashinfer", "vllm/triton")
#: A verdict that says that it does not run.
NOT_RUN = ("refused", "unsafe")


def workloads_of(question: Question, gpu: Gpu) -> Iterator[tuple[str, Workload]]:
    """Every kind of call of a model as it is asked on a card: in fp16 where that has no bf16 tensor cores."""
    workload = question.workload
    if not gpu.bf16_tensor_cores and workload.dtype == "bf16":
        cache = "fp16" if workload.kv_dtype == "bf16" else workload.kv_dtype
        workload = replace(workload, dtype="fp16", kv_dtype=cache)
    try:
        calls = named_calls(question.model)
    except BadInput:  # a model of states alone attends nowhere
        return
    for name, call in calls.items():
        shaped = replace(workload, **options_of(call, question.model, workload.task))  # type: ignore[arg-type]
        if workload.task == "decode" and reads_at_once(call):
            shaped = replace(shaped, task="prefill", seqlen_q=shaped.seqlen_kv)
        yield name, shaped


def refusal(question: Question, gpu: Gpu, runners: Sequence[str] = ()) -> Sentence | None:
    """Why no library is known to run the model's attention on a card; None where one is, for each of its calls.

    Of the given runners alone, where any are given.
    """
    for _, shaped in workloads_of(question, gpu):
        said: list[Verdict] = []
        for library in runners or RUNNERS:
            said.append(check(shaped, gpu, library))
            if said[-1].status == "ok":
                break
        else:
            if not runners and any(runs(shaped, gpu, name) for name in libraries() if name not in RUNNERS):
                continue
            if "unknown" in (verdict.status for verdict in said):
                return Sentence("contender.unproven")
            return Sentence("contender.refused", {"text": said[0].message})
    return None


def borrowed_time(question: Question, gpu: Gpu, implementation: str | None) -> tuple[Sentence, ...]:
    """That attention is timed as an implementation that does not run some of its calls, or without what they need."""
    calls = tuple(workloads_of(question, gpu))
    untimed = frozenset[str]().union(*(features_of(shaped) & UNTIMED for _, shaped in calls))
    found = []
    if implementation is not None and _is_judged(implementation):
        others = tuple(n for n, shaped in calls if judge(shaped, gpu, implementation).status in NOT_RUN)
        if others:
            values = {"calls": Joined(others), "implementation": implementation}
            found.append(Sentence("remark.time_borrowed", values))
    if untimed:
        found.append(Sentence("remark.time_without", {"features": Joined(named(untimed))}))
    return tuple(found)


def check_timed(workload: Workload, gpu: Gpu, implementation: str) -> None:
    """Refuse a time with a mask, sinks or scores of the model's own for what does not run them.

    Raises:
        CannotDo: the implementation does not run the question, and nobody measured it so.
    """
    asked = features_of(workload) & UNTIMED
    if not asked or not _is_judged(implementation):
        return
    verdict = judge(workload, gpu, implementation)
    if verdict.status in NOT_RUN:
        values = {"implementation": implementation, "gpu": gpu.name, "text": verdict.message}
        raise CannotDo("error.time_of_nothing", **values)


def usual(workload: Workload, gpu: Gpu, estimator: LiveEstimator) -> str | None:
    """The implementation to time where nobody names one: the fastest, of those that run a mask or sinks where asked.

    Raises:
        CannotDo: what runs them was not measured with them.
    """
    if not features_of(workload) & UNTIMED:
        return estimator.best_implementation(workload, gpu)
    found = choose(workload, gpu, estimator)
    if found.estimate is None and found.gap is not None:
        raise CannotDo(found.gap.key, **found.gap.values)
    return found.verdict.library


def _is_judged(implementation: str) -> bool:
    return implementation == LIBRARY or implementation in libraries()
