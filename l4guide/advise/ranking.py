"""Other cards for the same attention, compared by time alone, and the implementation to use on the asked one."""

import math
from dataclasses import replace

from l4guide.advise.choice import Choice, choose
from l4guide.advise.records import Alternative, Question
from l4guide.catalogue import Gpu, gpus
from l4guide.estimate import Estimate, LiveEstimator
from l4guide.support import Verdict
from l4guide.text import Sentence, digits
from l4guide.workload import Workload

#: Where a card stands that has no time to be compared by.
PLACES = {"ok": 1, "unknown": 2, "unsafe": 3, "refused": 3}


def alternatives_to(question: Question, mine: Choice, estimator: LiveEstimator) -> tuple[Alternative, ...]:
    """Every other card for the attention, the fastest first, then those without a time, then those without a yes."""
    found = [_alternative(gpu, question, mine, estimator) for gpu in gpus() if gpu.name != question.gpu.name]
    return tuple(sorted(found, key=_order))


def _order(item: Alternative) -> tuple[int, float]:
    return (0, item.estimate.latency_ms) if item.estimate is not None else (PLACES[item.status], math.inf)


def asked_of(question: Question, gpu: Gpu) -> Workload:
    """The question as another card is asked it: in fp16 where it has no bf16 tensor cores and nobody asked for bf16."""
    workload = question.workload
    if gpu.bf16_tensor_cores or workload.dtype != "bf16" or "dtype" not in question.assumed:
        return workload
    kept = workload.kv_dtype if workload.kv_dtype != workload.dtype else "fp16"
    return replace(workload, dtype="fp16", kv_dtype=kept)


def _alternative(gpu: Gpu, question: Question, mine: Choice, estimator: LiveEstimator) -> Alternative:
    found = choose(asked_of(question, gpu), gpu, estimator)
    return Alternative(
        gpu=gpu,
        status=found.verdict.status,
        library=found.verdict.library,
        estimate=found.estimate,
        reason=_reason(found, mine.estimate),
    )


def _reason(found: Choice, mine: Estimate | None) -> Sentence:
    if not found.runs:
        return Sentence(f"alternative.{found.verdict.status}", {"text": found.verdict.message})
    named = {"library": found.verdict.library}
    if found.estimate is None:
        return Sentence("alternative.no_estimate", named)
    if mine is None:
        return Sentence("alternative.no_comparison", named)
    values = {**named, "speed": digits(mine.latency_ms / found.estimate.latency_ms, 2)}
    return Sentence(f"alternative.{_pace(found.estimate, mine)}", values)


def _pace(other: Estimate, mine: Estimate) -> str:
    """Whether the intervals of two times lie apart, and on which side."""
    if other.high_ms < mine.low_ms:
        return "faster"
    return "slower" if other.low_ms > mine.high_ms else "alike"


def recommend(
    question: Question, choice: Choice, fallback: Verdict | None, alternatives: tuple[Alternative, ...]
) -> Sentence:
    """Which implementation to use on the asked card, what is left there, or which card runs it."""
    verdict, estimate = choice.verdict, choice.estimate
    values: dict[str, object] = {"gpu": question.gpu.name}
    if choice.runs:
        values |= {"library": verdict.library, "version": verdict.version}
        if estimate is None:
            return Sentence("recommend.use", values)
        times = ("latency_ms", "low_ms", "high_ms")
        return Sentence(
            "recommend.use_timed", values | {name: digits(getattr(estimate, name)) for name in times}
        )
    if fallback is not None:
        values |= {"library": fallback.library, "version": fallback.version, "text": fallback.message}
        return Sentence("recommend.last", values)
    asked = "unknown" if verdict.status == "unknown" else "refused"
    other = next((item for item in alternatives if item.status == "ok"), None)
    if other is None:
        return Sentence(f"recommend.{asked}_alone", values)
    return Sentence(f"recommend.{asked}_take", values | {"other": other.gpu.name, "library": other.library})
