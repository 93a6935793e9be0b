"""A library that picks among others, as PyTorch's default does: who gets the question, and who was passed over."""

from collections.abc import Mapping
from dataclasses import replace

from l4guide.catalogue import Gpu
from l4guide.support.answer import Answer, unknown
from l4guide.support.conditions import all_hold
from l4guide.support.releases import order_of
from l4guide.support.rulebook import Dispatch
from l4guide.text import Joined, Sentence
from l4guide.workload import Workload


def dispatched(
    workload: Workload,
    gpu: Gpu,
    library: str,
    version: str,
    asked: Mapping[str, Answer],
) -> Answer:
    """The answer of `library` at `version`, from those of the libraries that it picks among (`asked`)."""
    named = {"library": library, "version": version, "gpu": gpu.name}
    orders = order_of(library, version)
    order = next((entry for entry in orders if all_hold(entry.when, workload, gpu)), None)
    if order is None:
        return unknown("UNKNOWN-DISPATCH", "version", version, "support.unknown_dispatch", **named)
    tried = {name: asked[name] for name in order.order}
    picked = next((name for name, answer in tried.items() if _takes(answer)), None)
    if picked is None:
        return _nobody(tried)
    if tried[picked].status != "ok":
        return replace(tried[picked], picks=picked)
    passed = {name: tried[name] for name in order.order[: order.order.index(picked)]}
    return _picks(order, picked, tried[picked], passed, named)


def _takes(answer: Answer) -> bool:
    """Whether a dispatcher hands over the question: an error after that comes too late for it to try another."""
    return answer.status in ("ok", "unsafe") or answer.late


def _nobody(tried: Mapping[str, Answer]) -> Answer:
    """Nobody takes it: unknown where one of them is, otherwise what the last of them said."""
    answers = list(tried.values())
    return next((answer for answer in answers if answer.status == "unknown"), answers[-1])


def _picks(
    order: Dispatch, picked: str, answer: Answer, passed: Mapping[str, Answer], named: Mapping[str, object]
) -> Answer:
    """The answer of the picked one, with a message that names it and says why the others were passed over."""
    evidence = "inferred" if order.evidence == "inferred" else answer.evidence
    values = {**named, "picked": picked, "evidence": Sentence(f"support.evidence_{evidence}")}
    key = "support.dispatch_fallback" if picked == order.fallback else "support.dispatch_picks"
    message = Sentence(key, values)
    if passed:
        why = tuple(_why(name, other) for name, other in passed.items())
        message = Sentence("support.dispatch_passed", {"message": message, "why": Joined(why)})
    return replace(answer, evidence=evidence, picks=picked, message=message)


def _why(name: str, answer: Answer) -> Sentence:
    """Why one was passed over; nothing where only the status was asked for."""
    text = next((reason.text for reason in answer.reasons if reason.status == answer.status), "")
    return Sentence(f"support.dispatch_{answer.status}", {"name": name, "text": text})
