"""The paste against every symptom and every error text of the support rules -> `Diagnosis`."""

from collections.abc import Iterator, Mapping

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


def _finding(one: Sighting) -> Finding:
    """The finding of a sighting."""
    library, rules = _whose(one)
    match, setting, symptom = one.match, one.setting, one.symptom
    values = _values(one, library)
    required, limit = bytes_of(match.values, "required"), bytes_of(match.values, "limit")
    shared = symptom is not None and symptom.shared
    added: tuple[Sentence, ...] = ()
    if symptom is None:
        advice = _advice(rules[0])
        cause, fixes, kind, confidence = _rule_cause(rules[0], library), advice.fixes, advice.kind, "certain"
        told, source, place = rules[0].evidence, rules[0].source, rules[0].place
    else:
        cause, fixes = Sentence(symptom.cause, values), symptom.fixes
        kind, confidence = symptom.kind, symptom.confidence
        told, source, place = symptom.evidence, symptom.source, symptom.place
        required = required if required is not None else symptom.required_bytes
        if symptom.arithmetic is not None:
            added, filled = ARITHMETIC[symptom.arithmetic].reckon(setting)
            values |= filled
    if shared:
        added += about_limit(required, limit)
    if shared and required is not None and not cards_enough(required):
        fixes = tuple(fix for fix in fixes if fix.text != BIGGER_SHARED)
    kernel = (symptom.kernel if symptom else None) or (setting.kernel if shared else None)
    question = question_of(setting, library, kernel)
    memory = kind.startswith("memory.")
    code = rules[0].code if rules or symptom is None else symptom.code
    return Finding(
        title=_title(library, code, kind, confidence),
        library=library,
        kind=kind,
        confidence=confidence,
        kernel=kernel,
        code=code,
        symptom=symptom.code if symptom else None,
        rules=tuple(dict.fromkeys(rule.code for rule in rules)),
        required_bytes=required if required is not None or not memory else setting.amounts.asked,
        limit_bytes=limit if limit is not None or not memory else setting.amounts.free,
        amounts=setting.amounts if memory else None,
        cause=(cause, *added, *(about_model(question) if memory else ())),
        fixes=tuple(_remedies(fixes, kind, values, question)),
        operators=operators_of(setting, symptom.operators) if symptom and symptom.operators else {},
        values={name: value for name, value in match.values.items() if name not in TOLD},
        card=question.get("gpu"),
        cards=tuple(gpu.name for gpu in cards_with(limit)) if shared and limit else (),
        question=question,
        passage=match.text[:LONGEST_PASSAGE],
        evidence=_evidence(setting),
        evidence_kind=told,
        source=source,
        place=place,
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
