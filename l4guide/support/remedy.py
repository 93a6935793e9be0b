"""What lifts a broken rule, and so in which order a user should look at several of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile

from l4guide.catalogue import Gpu
from l4guide.support.answer import Answer
from l4guide.support.conditions import all_hold, label
from l4guide.support.releases import books, releases
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
}
CARD = "card"
#: Types that every library takes, the first one everywhere that it runs at all.
COMMON_DTYPES = ("fp16", "bf16")


def ordered(
    answer: Answer,
    workload: Workload,
    gpu: Gpu,
    library: str,
    version: str,
    ask: Callable[[Workload], Answers],
) -> tuple[Reason, ...]:
    """The reasons of `answer` with what lifts each, in the order in which a user should take them up.

    First what moots the rest: a limit that no release and no setting lifts, of the card before of the library. Then
    what another release lifts, since there the other limits may be gone too; last what a setting lifts. Reasons of
    one kind stay in the order in which a run meets them. `ask` answers a question for every release.
    """
    if answer.status == "unknown":
        return answer.reasons
    pairs = zip(answer.reasons, answer.rules, strict=True)
    found = [_remedied(reason, rule, answer, workload, gpu, library, version, ask) for reason, rule in pairs]
    return tuple(sorted(found, key=lambda reason: REMEDIES.index(str(reason.remedy))))


def _remedied(
    reason: Reason,
    rule: Rule,
    now: Answer,
    workload: Workload,
    gpu: Gpu,
    library: str,
    version: str,
    ask: Callable[[Workload], Answers],
) -> Reason:
    """The reason with its remedy."""
    named = {"library": library, "gpu": gpu.name}
    if release := _lifting(rule, library, version, now, ask(workload)):
        fix = Sentence("support.remedy_release", {**named, "version": release.version})
        return replace(reason, remedy="release", fix=fix)
    for field, value, other in (*_switched(workload), *_padded(workload)):
        if _keeps(rule, library, other, gpu):
            return replace(reason, remedy="setting", fix=_setting(field, value))
    for field, value, other in _switched(workload):
        if release := _lifting(rule, library, version, now, ask(other)):
            changed = {"field": label(f"workload.{field}"), "value": _shown(value)}
            values = {**named, "version": release.version, **changed}
            fix = Sentence("support.remedy_release_setting", values)
            return replace(reason, remedy="release", fix=fix)
    remedy = CARD if _thing(rule) == CARD else "library"
    return replace(reason, remedy=remedy, fix=Sentence(f"support.remedy_{remedy}", named))


def _setting(field: str, value: object) -> Sentence:
    if field == "head_dim":
        return Sentence("support.remedy_pad", {"head_dim": value})
    return Sentence("support.remedy_setting", {"field": label(f"workload.{field}"), "value": _shown(value)})


def _shown(value: object) -> object:
    """A value as a reader is told it; a feature is simply left out."""
    return Sentence("support.remedy_off") if value is None or value is False else value


def _lifting(rule: Rule, library: str, version: str, now: Answer, answers: Answers) -> Release | None:
    """The release to take: one that answers ok where there is any, else one that is only better than now."""
    read = [release for release in releases(library) if release.checked and release.version != version]
    fine = {release.version for release in read if answers[release.version].status == "ok"}
    if not fine:
        fine = {release.version for release in read if _lifts(rule, now, answers[release.version])}
    newest_first = list(reversed(read))
    if not fine:
        return None
    if newest_first[0].version not in fine:
        return next(release for release in newest_first if release.version in fine)
    return list(takewhile(lambda release: release.version in fine, newest_first))[-1]


def _lifts(rule: Rule, now: Answer, then: Answer) -> bool:
    """Whether a release lets pass what `rule` stops, takes the card, and stops at nothing that is new."""
    things = {_thing(other) for other in then.rules}
    return then.status != "unknown" and things <= {_thing(other) for other in now.rules} - {
        _thing(rule),
        CARD,
    }


def _thing(rule: Rule) -> str:
    """What a rule is about: every property of the card counts as the card."""
    return CARD if rule.needs.field.startswith("gpu.") else rule.needs.field


def _keeps(rule: Rule, library: str, workload: Workload, gpu: Gpu) -> bool:
    """Whether the rule is known to have nothing against the question, nor those that share its limit with it."""
    shared = (r for r in books()[library].rules if r.family == rule.family and r.versions == rule.versions)
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


def _padded(workload: Workload) -> Iterator[Change]:
    """The question with heads padded by zeros: to a multiple of 8, or to the next power of two."""
    wide = workload.head_dim
    for width in (-(-wide // 8) * 8, 1 << (wide - 1).bit_length()):
        if width > wide:
            yield "head_dim", width, replace(workload, head_dim=width, head_dim_v=width)
