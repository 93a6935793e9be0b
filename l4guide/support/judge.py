"""Rules x question x card -> Verdict. No answer goes beyond what the rule files say was found."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from l4guide.catalogue import Gpu, Source
from l4guide.support.answer import Answer, unknown
from l4guide.support.calls import blanks_of, call_of
from l4guide.support.conditions import FEATURES, Condition, all_hold, features_of, label, quantity
from l4guide.support.dispatch import dispatched
from l4guide.support.kinds import about, kind_of
from l4guide.support.releases import (
    beside,
    book_of,
    dispatches,
    find_library,
    find_release,
    is_newer,
    newest_read,
    rule_set,
    table,
)
from l4guide.support.remedy import ordered
from l4guide.support.rulebook import Cover, Release, Rule
from l4guide.support.verdict import Reason, Verdict
from l4guide.text import Sentence
from l4guide.workload import Workload

ANSWERS_KEPT = 4096


def _text(rule: Rule, library: str, condition: Condition, blanks: Mapping[str, object]) -> Sentence | str:
    """The library's own text, filled in; where nobody read it, the rule in our words."""
    if rule.text is not None:
        text = rule.text.format_map(blanks)
        return f"{text} …" if rule.partial else text
    values = {**blanks, "library": library, "field": label(condition.field), "needed": condition.needed}
    return Sentence(rule.finding or "support.broken", values)


def _reason(rule: Rule, workload: Workload, gpu: Gpu, library: str, version: str) -> Reason:
    """The reason that a broken rule gives."""
    blanks = blanks_of(workload, gpu, library, version)
    found = rule.needs.found(workload, gpu)
    return Reason(
        code=rule.code,
        status=rule.status,
        field=rule.needs.field,
        found=found,
        needed=rule.needs.needed,
        text=_text(rule, library, rule.needs, {**blanks, "found": quantity(rule.needs.field, found)}),
        evidence=rule.evidence,
        consequence_evidence=rule.consequence_evidence,
        source=rule.source,
        place=rule.place,
    )


def _uncovered(workload: Workload, gpu: Gpu, library: str, version: str, on: str) -> Answer | Cover:
    """The entry that says that the pass `on` works; otherwise what it is that no entry covers."""
    names = {"library": library, "version": version, "on": Sentence(f"support.pass_{on}")}
    covers = [c for c in table(library, version)[1] if on in c.passes and all_hold(c.when, workload, gpu)]
    if not covers:
        return unknown("UNKNOWN-RELEASE", "version", version, "support.unknown_release", **names)
    covers = [c for c in covers if gpu.capability in c.capabilities]
    if not covers:
        shown = gpu.capability or "–"
        key = "support.unknown_gpu"
        return unknown("UNKNOWN-GPU", "gpu.capability", shown, key, **names, gpu=gpu.name, capability=shown)
    covers = [c for c in covers if workload.dtype in c.dtypes]
    if not covers:
        key = "support.unknown_dtype"
        return unknown("UNKNOWN-DTYPE", "workload.dtype", workload.dtype, key, **names, dtype=workload.dtype)
    wide = workload.head_dim
    covers = [c for c in covers if c.head_dim[0] <= wide <= c.head_dim[1] and wide % c.multiple_of == 0]
    if not covers:
        key = "support.unknown_head_dim"
        return unknown(
            "UNKNOWN-HEAD-DIM", "workload.head_dim", wide, key, **names, head_dim=wide, gpu=gpu.name
        )
    used = features_of(workload)
    for cover in covers:
        if used <= cover.features:
            return cover
    nearest = min(covers, key=lambda cover: len(used - cover.features))
    missing = next(name for name in FEATURES if name in used - nearest.features)
    feature = Sentence("support.feature_" + missing.replace("-", "_"))
    return unknown(
        "UNKNOWN-FEATURE", "features", missing, "support.unknown_feature", **names, feature=feature
    )


def _outcome(rule: Rule, workload: Workload, gpu: Gpu) -> bool | None:
    """Whether the rule is broken; None where that hangs on a value that is not known."""
    applies = not set(rule.passes).isdisjoint(workload.passes) and all_hold(rule.when, workload, gpu)
    if applies is False:
        return False
    kept = rule.needs.holds(workload, gpu)
    if kept is True:
        return False
    return True if applies and kept is False else None


def _read(
    workload: Workload, gpu: Gpu, library: str, version: str, outcomes: dict[int, bool | None]
) -> Answer:
    """The answer for a release that somebody read, without the words of its reasons.

    `outcomes` remembers what became of each rule, since most releases share most of their rules.
    """
    broken, undecided = [], []
    for rule in table(library, version)[0]:
        if id(rule) not in outcomes:
            outcomes[id(rule)] = _outcome(rule, workload, gpu)
        if outcomes[id(rule)]:
            broken.append(rule)
        elif outcomes[id(rule)] is None:
            undecided.append(rule)
    statuses = {rule.status for rule in broken}
    if "refused" in statuses or (broken and not undecided):
        return Answer(
            status="refused" if "refused" in statuses else "unsafe",
            rules=tuple(broken),
            late=all(rule.late for rule in broken),
        )
    if undecided:
        field = undecided[0].needs.field
        named = {"library": library, "gpu": gpu.name, "field": label(field), "code": undecided[0].code}
        return unknown("UNKNOWN-VALUE", field, None, "support.unknown_value", **named)
    covers = [_uncovered(workload, gpu, library, version, on) for on in workload.passes]
    for cover in covers:
        if isinstance(cover, Answer):
            return cover
    last = next(cover for cover in reversed(covers) if isinstance(cover, Cover))
    return Answer(status="ok", cover=last, evidence=last.evidence)


def _worded(workload: Workload, gpu: Gpu, library: str, version: str) -> Answer:
    """The answer for a release that somebody read, with its reasons in words."""
    answer = _read(workload, gpu, library, version, {})
    reasons = tuple(_reason(rule, workload, gpu, library, version) for rule in answer.rules)
    return replace(answer, reasons=reasons) if reasons else answer


def _inferred(first: Answer, second: Answer, below: Release, above: Release, version: str) -> Answer:
    """The answer of two releases that agree, for one between them; says so where their wording differs."""
    if first.status == "unknown":
        return replace(first, reasons=tuple(_about(reason, version) for reason in first.reasons))
    others = {
        rule.family: _about(other, version) for rule, other in zip(second.rules, second.reasons, strict=True)
    }
    reasons = []
    for rule, quoted in zip(first.rules, first.reasons, strict=True):
        reason = _about(quoted, version)
        values = {"text": reason.text, "below": below.version, "above": above.version}
        text = reason.text
        if rule.family not in others:
            text = Sentence("support.text_other", values)
        elif text != others[rule.family].text:
            text = Sentence("support.text_between", values)
        reasons.append(replace(reason, text=text, evidence="inferred"))
    return replace(first, reasons=tuple(reasons), evidence="inferred" if first.evidence else None)


def _about(reason: Reason, version: str) -> Reason:
    """The same reason, said of another release; a library's own words stay as they are."""
    if isinstance(reason.text, str):
        return reason
    return replace(reason, text=Sentence(reason.text.key, {**reason.text.values, "version": version}))


def _disagreed(
    library: str, version: str, first: Answer, second: Answer, neighbours: tuple[Release, Release]
) -> Answer:
    """What is said of a release whose neighbours say different things."""
    key = "support.unknown_between"
    values = {"library": library, "below": neighbours[0].version, "above": neighbours[1].version}
    said = {
        "below_status": Sentence(f"support.status_{first.status}"),
        "above_status": Sentence(f"support.status_{second.status}"),
    }
    return unknown("UNKNOWN-BETWEEN", "version", version, key, **values, **said)


def _unread(library: str, version: str) -> Answer:
    """What is said of a release at the end of the list that nobody read."""
    values = {"library": library, "version": version, "on": Sentence("support.pass_forward")}
    return unknown("UNKNOWN-RELEASE", "version", version, "support.unknown_release", **values)


def _elsewhere(gpu: Gpu, library: str) -> Answer | None:
    """What is said of a card that the library's build is not made for; None where it is."""
    vendor = book_of(library).vendor
    if gpu.vendor == vendor:
        return None
    values = {"library": library, "gpu": gpu.name, "made_by": gpu.vendor, "vendor": vendor}
    return unknown("UNKNOWN-VENDOR", "gpu.vendor", gpu.vendor, "support.unknown_vendor", **values)


# A library that picks among others asks them again what they were just asked.
@lru_cache(maxsize=ANSWERS_KEPT)
def _answers(workload: Workload, gpu: Gpu, library: str) -> Mapping[str, Answer]:
    """What becomes of the question in every release: status and broken rules, without their words."""
    known = book_of(library).releases
    if (other := _elsewhere(gpu, library)) is not None:
        return dict.fromkeys((release.version for release in known), other)
    if backends := dispatches(library):
        asked_of = {name: _answers(workload, gpu, name) for name in backends}
        return {
            r.version: dispatched(
                workload, gpu, library, r.version, {name: asked_of[name][r.version] for name in backends}
            )
            for r in known
        }
    # Most releases share their rules with the one before: each set is asked once, and each rule of it.
    asked: dict[object, Answer] = {}
    outcomes: dict[int, bool | None] = {}
    answers: dict[str, Answer] = {}
    for release in known:
        if release.checked:
            key = rule_set(library, release.version)
            if key not in asked:
                asked[key] = _read(workload, gpu, library, release.version, outcomes)
            answers[release.version] = asked[key]
    for release in known:
        if not release.checked:
            answers[release.version] = _between(library, release.version, answers)
    return {release.version: answers[release.version] for release in known}


def _between(library: str, version: str, read: Mapping[str, Answer]) -> Answer:
    """The answer for a release that nobody read, from the read ones on either side."""
    neighbours = beside(library, version)
    if neighbours is None:
        return _unread(library, version)
    first, second = (read[release.version] for release in neighbours)
    if first.status == second.status:
        return first
    return _disagreed(library, version, first, second, neighbours)


@lru_cache(maxsize=ANSWERS_KEPT)
def _answer(workload: Workload, gpu: Gpu, library: str, version: str) -> Answer:
    """What becomes of the question in one release, in words."""
    if (other := _elsewhere(gpu, library)) is not None:
        return other
    if backends := dispatches(library):
        asked_of = {name: _answer(workload, gpu, name, version) for name in backends}
        return dispatched(workload, gpu, library, version, asked_of)
    if find_release(library, version).checked:
        return _worded(workload, gpu, library, version)
    neighbours = beside(library, version)
    if neighbours is None:
        return _unread(library, version)
    first, second = (_worded(workload, gpu, library, release.version) for release in neighbours)
    if first.status != second.status:
        return _disagreed(library, version, first, second, neighbours)
    return _inferred(first, second, *neighbours, version)


def history(workload: Workload, gpu: Gpu, library: str) -> tuple[tuple[Release, str], ...]:
    """The status of every known release of `library`, oldest first.

    Raises:
        BadInput: the library is not known; names the nearest ones.
    """
    library = find_library(library)
    answers = _answers(workload, kind_of(gpu), library)
    return tuple((release, answers[release.version].status) for release in book_of(library).releases)


def _message(answer: Answer, gpu: Gpu, library: str, version: str) -> Sentence | str:
    """The text of the first reason of the verdict's own status; for ok, what was found."""
    if answer.status != "ok":
        return next(reason.text for reason in answer.reasons if reason.status == answer.status)
    if answer.message is not None:
        return answer.message
    evidence = Sentence(f"support.evidence_{answer.evidence}")
    values = {"library": library, "version": version, "gpu": gpu.name, "evidence": evidence}
    if answer.cover is not None and answer.cover.note is not None:
        return Sentence("support.ok_note", {**values, "note": Sentence(answer.cover.note)})
    return Sentence("support.ok", values)


def check(workload: Workload, gpu: Gpu, library: str, version: str | None = None) -> Verdict:
    """What `library` at `version` (None: the newest known) does with `workload` on `gpu`.

    A release newer than every known one is unknown, with what the newest release that was read says.

    Raises:
        BadInput: the library is not known, or never had this release; names the nearest ones.
    """
    library = find_library(library)
    kind = kind_of(gpu)
    newer = version is not None and is_newer(library, version)
    release = newest_read(library) if newer else find_release(library, version)
    found = _verdict(workload, kind, library, release)
    found = found if kind is gpu else about(found, kind, gpu)
    return found if version is None or not newer else _of_a_newer_release(found, version.strip())


def runs(workload: Workload, gpu: Gpu, library: str) -> bool:
    """Whether the newest known release of `library` runs `workload` on `gpu`: `check` without the words and history.

    Raises:
        BadInput: the library is not known; names the nearest ones.
    """
    library = find_library(library)
    return _answer(workload, kind_of(gpu), library, find_release(library).version).status == "ok"


def _of_a_newer_release(newest: Verdict, version: str) -> Verdict:
    """What is said of a release that came after the rules were read: unknown, and what the newest read one says."""
    said = Sentence(f"support.newest_{newest.status}")
    values = {"library": newest.library, "version": version, "newest": newest.version, "said": said}
    answer = unknown("UNKNOWN-RELEASE", "version", version, "support.newer_release", **values)
    return replace(
        newest,
        version=version,
        released=None,
        status=answer.status,
        message=answer.reasons[0].text,
        reasons=answer.reasons,
        raises=None,
        evidence=None,
        source=None,
        place="",
        picks=None,
    )


@lru_cache(maxsize=ANSWERS_KEPT)
def _verdict(workload: Workload, gpu: Gpu, library: str, release: Release) -> Verdict:
    """The verdict on one release."""
    answers = _answers(workload, gpu, library)
    answer = _answer(workload, gpu, library, release.version)
    known = book_of(library).releases
    first = next((r for r in known if answers[r.version].status == "ok"), None)
    not_run = [r.version for r in known if answers[r.version].status in ("refused", "unsafe")]
    call = call_of(workload, gpu, library, release.version)
    source: Source | None = answer.cover.source if answer.cover else None
    return Verdict(
        library=library,
        version=release.version,
        released=release.date,
        status=answer.status,
        message=_message(answer, gpu, library, release.version),
        reasons=ordered(answer, workload, gpu, library, lambda asked: _answers(asked, gpu, library)),
        raises=call.raises if call and answer.status == "refused" else None,
        first_version=first.version if first else None,
        first_released=first.date if first else None,
        last_refused=not_run[-1] if not_run else None,
        evidence=answer.evidence,
        source=source,
        place=answer.cover.place if answer.cover else "",
        picks=answer.picks,
    )
