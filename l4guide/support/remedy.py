"""What lifts a broken rule, and so in which order a user should look at several of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile

from l4guide.catalogue import Gpu
from l4guide.support.answer import Answer
from l4guide.support.conditions import all_hold, label
from l4guide.support.releases import book_of, releases
from l4guide.support.rulebook import Release, Rule
from l4guide.support.verdict import REMEDIES, Reason
from l4guide.text import Sentence
from l4guide.workload import Workload

#: A workload with one setting changed: the field, its new value, and the question.
Change = tuple[str, object, Workload]
Answers = Mapping[str, Answer]

#: What a question may do without: the field, and the value that switches it off.
SWITCHES: Mapping[str, object] = {
    "dropout": 0.0,
    "window": None,
    "softcap": 0.0,
    "alibi": False,
    "deterministic": False,
    "varlen": False,
    "block_sparse": False,
    "paged_block_size": None,
    "append_kv": False,
    "num_splits": None,
    "score_mod": False,
    "mask": "none",
    "mask_grad": False,
    "sinks": False,
    "enable_gqa": False,
    "own_scores": False,
}
#: Types that every library takes, the first one everywhere that it runs at all.
COMMON_DTYPES = ("fp16", "bf16")


def ordered(
    answer: Answer,
    workload: Workload,
    gpu: Gpu,
    library: str,
    ask: Callable[[Workload], Answers],
) -> tuple[Reason, ...]:
    """The reasons of `answer` with what lifts each, in the order in which a user should take them up.

    First what moots the rest: a limit that no release and no setting lifts, on no card before on this card. Then what
    another release lifts, since there the other limits may be gone too; last what a setting lifts. A release is only
    named where it runs the question. Reasons of one kind stay in the order in which a run meets them. `ask` answers a
    question for every release.
    """
    if answer.status == "unknown":
        return answer.reasons
    pairs = zip(answer.reasons, answer.rules, strict=True)
    found = [_remedied(reason, rule, workload, gpu, library, ask) for reason, rule in pairs]
    return tuple(sorted(found, key=lambda reason: REMEDIES.index(str(reason.remedy))))


def _remedied(
    reason: Reason,
    rule: Rule,
    workload: Workload,
    gpu: Gpu,
    library: str,
    ask: Callable[[Workload], Answers],
) -> Reason:
    """The reason with its remedy."""
    named: dict[str, object] = {"library": library, "gpu": gpu.name}
    if release := _taking(library, ask(workload)):
        fix = Sentence("support.remedy_release", {**named, "version": release.version})
        return replace(reason, remedy="release", fix=fix)
    for field, value, other in (*_wider_mask(workload), *_switched(workload), *_padded(workload)):
        if _keeps(rule, library, other, gpu):
            return replace(reason, remedy="setting", fix=_setting(field, value, workload.seqlen_kv))
    for field, value, other in _switched(workload):
        if release := _taking(library, ask(other)):
            changed = {"field": label(f"workload.{field}"), "value": _shown(value)}
            values = {**named, "version": release.version, **changed}
            fix = Sentence("support.remedy_release_setting", values)
            return replace(reason, remedy="release", fix=fix)
    if release := _taking(library, ask(_plain(workload))):
        fix = Sentence("support.remedy_release_settings", {**named, "version": release.version})
        return replace(reason, remedy="release", fix=fix)
    remedy = "card" if rule.needs.field.startswith("gpu.") else "library"
    return replace(reason, remedy=remedy, fix=Sentence(f"support.remedy_{remedy}", named))


def _setting(field: str, value: object, keys: int) -> Sentence:
    if field == "head_dim":
        return Sentence("support.remedy_pad", {"head_dim": value})
    if field == "seqlen_kv":
        return Sentence("support.remedy_pad_mask", {"wide": value, "keys": keys})
    return Sentence("support.remedy_setting", {"field": label(f"workload.{field}"), "value": _shown(value)})


def _shown(value: object) -> object:
    """A value as a reader is told it; a feature is simply left out."""
    return Sentence("support.remedy_off") if value is None or value is False else value


def _taking(library: str, answers: Answers) -> Release | None:
    """The release to take: the first since which every read one runs the question, else the newest that does."""
    read = [release for release in reversed(releases(library)) if release.checked]
    fine = [release for release in read if answers[release.version].status == "ok"]
    if not fine or fine[0] is not read[0]:
        return fine[0] if fine else None
    return list(takewhile(lambda release: answers[release.version].status == "ok", read))[-1]


def _keeps(rule: Rule, library: str, workload: Workload, gpu: Gpu) -> bool:
    """Whether the rule is known to have nothing against the question, nor those that share its limit with it."""
    shared = (r for r in book_of(library).rules if r.family == rule.family and r.versions == rule.versions)
    return all(_kept(other, workload, gpu) for other in shared)


def _kept(rule: Rule, workload: Workload, gpu: Gpu) -> bool:
    applies = all_hold(rule.when, workload, gpu)
    return applies is False or (applies is True and rule.needs.holds(workload, gpu) is True)


def _switched(workload: Workload) -> Iterator[Change]:
    """The question with one feature left out, or in another type."""
    for field, off in SWITCHES.items():
        if getattr(workload, field) != off:
            yield field, off, replace(workload, **{field: off})  # type: ignore[arg-type]
    if workload.kv_dtype != workload.dtype:
        yield "kv_dtype", workload.dtype, replace(workload, kv_dtype=workload.dtype)
    elif workload.dtype != COMMON_DTYPES[0]:
        for dtype in COMMON_DTYPES:
            if dtype != workload.dtype:
                yield "dtype", dtype, replace(workload, dtype=dtype, kv_dtype=dtype)
    if workload.head_dim_v != workload.head_dim:
        yield "head_dim_v", workload.head_dim, replace(workload, head_dim_v=workload.head_dim)
    if workload.kv_heads != workload.heads:
        yield "kv_heads", workload.heads, replace(workload, kv_heads=workload.heads)


def _plain(workload: Workload) -> Workload:
    """The question with every feature left out, in the type that is most widely taken."""
    dtype, wide, heads = COMMON_DTYPES[0], workload.head_dim, workload.heads
    plain = {"dtype": dtype, "kv_dtype": dtype, "head_dim_v": wide, "kv_heads": heads}
    return replace(workload, **SWITCHES, **plain)  # type: ignore[arg-type]


def _wider_mask(workload: Workload) -> Iterator[Change]:
    """The question with rows of its mask that start at whole multiples of 8 elements."""
    if workload.mask != "none" and workload.seqlen_kv % 8:
        wide = -(-workload.seqlen_kv // 8) * 8
        yield "seqlen_kv", wide, replace(workload, seqlen_kv=wide)


def _padded(workload: Workload) -> Iterator[Change]:
    """The question with heads padded by zeros: to a multiple of 8, or to the next power of two."""
    wide = workload.head_dim
    for width in (-(-wide // 8) * 8, 1 << (wide - 1).bit_length()):
        if width > wide:
            yield "head_dim", width, replace(workload, head_dim=width, head_dim_v=width)
