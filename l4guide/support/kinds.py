"""Cards that no rule can tell apart: what is answered for one of them holds for all."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from l4guide.catalogue import Gpu, gpus
from l4guide.support.conditions import GPU_FIELDS
from l4guide.support.verdict import Reason, Verdict
from l4guide.text import Joined, Sentence

#: All that the rules read of a card.
READ = ("vendor", *GPU_FIELDS)


def _read(gpu: Gpu, fields: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(getattr(gpu, name) for name in fields)


@cache
def _kinds(fields: tuple[str, ...]) -> Mapping[tuple[object, ...], Gpu]:
    """One card of the catalogue for each kind."""
    return {_read(gpu, fields): gpu for gpu in reversed(gpus())}


def kind_of(gpu: Gpu, fields: tuple[str, ...] = READ) -> Gpu:
    """The card that answers for `gpu` where only these fields are read: one that has the same, or itself."""
    return _kinds(fields).get(_read(gpu, fields), gpu)


def about(verdict: Verdict, answered: Gpu, gpu: Gpu) -> Verdict:
    """The verdict on the card `answered`, said of `gpu`."""
    if answered.name == gpu.name:
        return verdict
    reasons = tuple(_reason(reason, answered.name, gpu.name) for reason in verdict.reasons)
    return replace(verdict, message=_said(verdict.message, answered.name, gpu.name), reasons=reasons)


def _reason(reason: Reason, old: str, new: str) -> Reason:
    fix = reason.fix and _sentence(reason.fix, old, new)
    return replace(reason, text=_said(reason.text, old, new), fix=fix)


def _said(text: Sentence | str, old: str, new: str) -> Sentence | str:
    """A library's own text names no card."""
    return _sentence(text, old, new) if isinstance(text, Sentence) else text


def _sentence(sentence: Sentence, old: str, new: str) -> Sentence:
    """The sentence with its card, and that of the sentences within it, exchanged."""
    values = {name: _value(name, value, old, new) for name, value in sentence.values.items()}
    return Sentence(sentence.key, values)


def _value(name: str, value: object, old: str, new: str) -> object:
    if isinstance(value, Sentence):
        return _sentence(value, old, new)
    if isinstance(value, Joined):
        return Joined(tuple(_said(item, old, new) for item in value.items))
    return new if name == "gpu" and value == old else value
