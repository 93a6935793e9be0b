"""The paste against every symptom and every error text of the support rules -> `Diagnosis`."""

from collections.abc import Iterator, Mapping

from l4guide.catalogue import Source
from l4guide.diagnose.arithmetic import ARITHMETIC
from l4guide.diagnose.cards import about_limit, cards_enough, cards_with
from l4guide.diagnose.finding import Diagnosis, Evidence, Finding, Remedy
from l4guide.diagnose.model_memory import about_model
from l4guide.diagnose.operators import operators_of
from l4guide.diagnose.paste import clean
from l4guide.diagnose.question import command_of, question_of
from l4guide.diagnose.reader import symptom_book
from l4guide.diagnose.setting import Setting
from l4guide.diagnose.sighting import Sighting, sightings
from l4guide.diagnose.symptom import CONFIDENCES, Advice, Fix
from l4guide.diagnose.wording import bytes_of
from l4guide.frozen import frozen
from l4guide.support.conditions import label
from l4guide.support.releases import releases
from l4guide.support.rulebook import Rule
from l4guide.text import Sentence, placeholders, sentences

MOST_FINDINGS = 20
#: Words of the paste that are shown again, and lines of it that are named as evidence.
LONGEST_PASSAGE, MOST_EVIDENCE = 300, 6
#: Blanks that are told as numbers of their own, or that mean nothing by themselves.
TOLD = {"required_bytes", "limit_bytes", "required_size", "limit_size", "listed", "number", "size"}
#: How the key of a way out ends that says a number of the paste.
WITH_NUMBER = "_to"
#: Of a text that several causes print, the rules count only where a frame names their library.
SEVERAL = "one of several"
#: The way out that needs another card is none where no card is enough.
BIGGER_SHARED = "symptom.fix_bigger_shared"


def _values(one: Sighting, library: str) -> dict[str, object]:
    """What the sentences of a finding may want filled in."""
    values: dict[str, object] = {**one.match.values, "library": library}
    required = bytes_of(one.match.values, "required")
    if required is not None:
        values["required_gib"] = f"{required / 2**30:.2f}"
    return values


def _whose(one: Sighting) -> tuple[str, tuple[Rule, ...]]:
    """The library that printed the words and its rules; every rule with these words where no frame tells whose."""
    if one.symptom is not None and not one.symptom.traced:
        return one.symptom.library, one.rules
    printing = tuple(dict.fromkeys(library for rule in one.rules for library in rule.libraries))
    traced = one.setting.origin(printing)
    if traced is None and one.symptom is not None and one.symptom.confidence == SEVERAL:
        return one.symptom.library, ()
    if traced is None:
        own = one.symptom.library if one.symptom else printing[0]
        return (printing[0] if printing and own not in printing else own), one.rules
    return traced.library, tuple(rule for rule in one.rules if traced.library in rule.libraries)


def _rule_cause(rule: Rule, library: str) -> Sentence:
    """What a rule wants, in our words, and from which release to which."""
    known = [release.version for release in releases(library) if release.version in rule.versions]
    values = {"library": library, "code": rule.code, "first": known[0], "last": known[-1]}
    wants = {"field": label(rule.needs.field), "needed": rule.needs.needed}
    return Sentence("diagnose.rule", {**values, **wants})


def _advice(rule: Rule) -> Advice:
    """What helps against a broken rule on this field."""
    advice = symptom_book().advice
    return next(one for one in advice if rule.needs.field in one.fields or not one.fields)


def _remedies(
    fixes: tuple[Fix, ...], kind: str, values: Mapping[str, object], question: Mapping[str, str]
) -> Iterator[Remedy]:
    """The ways out whose blanks the paste fills, each with the command that tells more."""
    book = symptom_book()
    usual = next(one.command for one in book.kinds if one.name == kind)
    said = ""
    for fix in fixes:
        # A way out with the number of the paste stands for the same without it, which comes next.
        if fix.text != said and placeholders(sentences("en")[fix.text]) <= values.keys():
            said = fix.text.removesuffix(WITH_NUMBER) if fix.text.endswith(WITH_NUMBER) else ""
            command = command_of(book.commands.get(fix.text, usual), question)
            yield Remedy(text=Sentence(fix.text, values), cost=Sentence(fix.cost), command=command)


def _title(library: str, code: str, kind: str, confidence: str) -> Sentence:
    named = next(one.title for one in symptom_book().kinds if one.name == kind)
    told = {"kind": Sentence(named), "confidence": Sentence(CONFIDENCES[confidence])}
    return Sentence("diagnose.title", {"library": library, "code": code, **told})


def _evidence(setting: Setting) -> tuple[Evidence, ...]:
    """The lines that the finding rests on: those whose numbers were used, what ran, then the message."""
    lines, ran = setting.paste.lines, setting.ran
    indexes = [*range(setting.index, setting.last + 1)][:MOST_EVIDENCE]
    if ran is not None:
        code = [ran.index + 1] if ran.file and ran.index + 1 < setting.index else []
        indexes = [ran.index, *code, *indexes]
    indexes = [*sorted(set(setting.used) - set(indexes)), *indexes]
    told = {
        lines[n].number: lines[n].text.strip()[:LONGEST_PASSAGE] for n in indexes if lines[n].text.strip()
    }
    return tuple(Evidence(line=number, text=text) for number, text in told.items())


@frozen
class _Told:
    """What a symptom says, or where there is none the rule whose words they are; and what its numbers fill in."""

    kind: str
    confidence: str
    cause: tuple[Sentence, ...]
    fixes: tuple[Fix, ...]
    filled: Mapping[str, object]
    evidence: str
    source: Source
    place: str


def _told(one: Sighting, rules: tuple[Rule, ...], values: Mapping[str, object]) -> _Told:
    """The cause and the ways out of a sighting, with the arithmetic of its numbers."""
    symptom = one.symptom
    if symptom is None:
        rule, advice = rules[0], _advice(rules[0])
        return _Told(
            kind=advice.kind,
            confidence="certain",
            cause=(_rule_cause(rule, str(values["library"])),),
            fixes=advice.fixes,
            filled={},
            evidence=rule.evidence,
            source=rule.source,
            place=rule.place,
        )
    added, filled = ARITHMETIC[symptom.arithmetic].reckon(one.setting) if symptom.arithmetic else ((), {})
    return _Told(
        kind=symptom.kind,
        confidence=symptom.confidence,
        cause=(Sentence(symptom.cause, values), *added),
        fixes=symptom.fixes,
        filled=filled,
        evidence=symptom.evidence,
        source=symptom.source,
        place=symptom.place,
    )


def _limits(one: Sighting, kind: str) -> tuple[int | None, int | None]:
    """Bytes asked for and bytes there were, of shared memory or of the card's."""
    values, amounts = one.match.values, one.setting.amounts
    required, limit = bytes_of(values, "required"), bytes_of(values, "limit")
    if required is None and one.symptom is not None:
        required = one.symptom.required_bytes
    if not kind.startswith("memory."):
        return required, limit
    return amounts.asked if required is None else required, amounts.free if limit is None else limit


def _finding(one: Sighting) -> Finding:
    """The finding of a sighting."""
    library, rules = _whose(one)
    match, setting, symptom = one.match, one.setting, one.symptom
    values = _values(one, library)
    told = _told(one, rules, values)
    required, limit = _limits(one, told.kind)
    shared, memory = symptom is not None and symptom.shared, told.kind.startswith("memory.")
    nowhere = shared and required is not None and not cards_enough(required)
    fixes = tuple(fix for fix in told.fixes if not (nowhere and fix.text == BIGGER_SHARED))
    kernel = (symptom.kernel if symptom else None) or (setting.kernel if shared else None)
    question = question_of(setting, library, kernel)
    code = rules[0].code if rules or symptom is None else symptom.code
    beside = about_limit(required, limit) if shared else about_model(question) if memory else ()
    return Finding(
        title=_title(library, code, told.kind, told.confidence),
        library=library,
        kind=told.kind,
        confidence=told.confidence,
        kernel=kernel,
        code=code,
        symptom=symptom.code if symptom else None,
        rules=tuple(dict.fromkeys(rule.code for rule in rules)),
        required_bytes=required,
        limit_bytes=limit,
        amounts=setting.amounts if memory else None,
        cause=(*told.cause, *beside),
        fixes=tuple(_remedies(fixes, told.kind, {**values, **told.filled}, question)),
        operators=operators_of(setting, symptom.operators) if symptom and symptom.operators else {},
        values={name: value for name, value in match.values.items() if name not in TOLD},
        card=question.get("gpu"),
        cards=tuple(gpu.name for gpu in cards_with(limit)) if shared and limit else (),
        question=question,
        passage=match.text[:LONGEST_PASSAGE],
        evidence=_evidence(setting),
        evidence_kind=told.evidence,
        source=told.source,
        place=told.place,
    )


def _same(finding: Finding) -> tuple[object, ...]:
    return finding.library, finding.code, finding.required_bytes, finding.limit_bytes, str(finding.values)


def diagnose(text: str | bytes) -> Diagnosis:
    """What a pasted traceback, warning or log says, why, and what helps.

    Every failure in it is told, the first cause first: warnings come after failures, and what only says that
    something failed comes last. A text that nobody described gives a diagnosis of status unknown.

    Args:
        text: the paste; bytes may be UTF-8 or UTF-16, and whatever is not text is passed over.

    Raises:
        BadInput: the text is empty.
        BadData: a symptom file is broken.
    """
    paste = clean(text)
    kept = sightings(paste, symptom_book())
    findings: dict[tuple[object, ...], Finding] = {}
    for finding in map(_finding, kept):
        findings.setdefault(_same(finding), finding)
    return Diagnosis(findings=tuple(findings.values())[:MOST_FINDINGS], remarks=paste.remarks)
