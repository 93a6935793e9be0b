"""The paste against every symptom and every error text of the support rules -> `Diagnosis`."""

import math
from collections.abc import Iterator, Mapping
from functools import cache

from l4guide.diagnose.cards import about_limit, cards_with
from l4guide.diagnose.finding import Diagnosis, Finding, Remedy
from l4guide.diagnose.operators import operators_of
from l4guide.diagnose.paste import Paste, clean
from l4guide.diagnose.reader import rules_by_code, symptom_book
from l4guide.diagnose.symptom import Fix, Symptom
from l4guide.diagnose.trace import kernel_of, library_of
from l4guide.diagnose.wording import Match, Wording, bytes_of, places, wording
from l4guide.frozen import frozen
from l4guide.support.conditions import label
from l4guide.support.releases import releases
from l4guide.support.rulebook import Rule
from l4guide.text import Sentence

#: The same message with other numbers is told so many times.
MOST_PLACES = 5
MOST_FINDINGS = 20
#: Words of the paste that are shown again.
LONGEST_PASSAGE = 300
#: What an example of N x N scores is reckoned with: a usual number of heads, and two bytes a score.
EXAMPLE_HEADS, SCORE_BYTES = 32, 2
#: Blanks that are told as numbers of their own, or that mean nothing by themselves.
TOLD = {"required_bytes", "limit_bytes", "required_size", "limit_size", "listed", "number", "size"}


@frozen
class Sighting:
    """One place where the paste shows a symptom, a rule's text, or both."""

    match: Match
    symptom: Symptom | None
    rules: tuple[Rule, ...]

    @property
    def weight(self) -> tuple[bool, bool, int]:
        """How specific it is: a symptom with a condition before one without, then the longer text."""
        symptom = self.symptom
        return symptom is not None, symptom is not None and bool(symptom.near), self.match.letters


@cache
def _rule_texts() -> Mapping[Wording, tuple[Rule, ...]]:
    """The error texts of the support rules, each with the rules that print it."""
    texts: dict[str, list[Rule]] = {}
    for rule in rules_by_code().values():
        texts.setdefault(rule.text or "", []).append(rule)
    return {wording(text): tuple(rules) for text, rules in texts.items()}


def _shows(symptom: Symptom, paste: Paste) -> bool:
    """Whether the conditions of a symptom hold in the paste."""
    small = paste.spaced.small
    if symptom.near and not any(phrase in small for phrase in symptom.near):
        return False
    return not any(phrase in small for phrase in symptom.unless)


def _sightings(paste: Paste) -> Iterator[Sighting]:
    """Everything that the paste shows, overlapping or not."""
    for symptom in symptom_book().symptoms:
        if _shows(symptom, paste):
            for match in places(symptom.wordings, paste, MOST_PLACES):
                yield Sighting(match=match, symptom=symptom, rules=())
    for one, rules in _rule_texts().items():
        for match in places((one,), paste, MOST_PLACES):
            yield Sighting(match=match, symptom=None, rules=rules)


def _distinct(found: list[Sighting]) -> list[Sighting]:
    """The most specific sighting of each passage; a symptom takes over the rules that have the same words."""
    kept: list[Sighting] = []
    for one in sorted(found, key=lambda one: one.weight, reverse=True):
        place = next((n for n, other in enumerate(kept) if one.match.overlaps(other.match)), None)
        if place is None:
            kept.append(one)
        elif kept[place].symptom is not None and one.rules:
            above = kept[place]
            kept[place] = Sighting(match=above.match, symptom=above.symptom, rules=above.rules + one.rules)
    return kept


def _values(match: Match, library: str) -> dict[str, object]:
    """What the sentences of a finding may want filled in."""
    values: dict[str, object] = {**match.values, "library": library}
    required = bytes_of(match.values, "required")
    if required is not None:
        values["required_gib"] = f"{required / 2**30:.2f}"
        values["tokens"] = math.isqrt(required // (EXAMPLE_HEADS * SCORE_BYTES))
        values["heads_assumed"] = EXAMPLE_HEADS
    return values


def _remedies(fixes: tuple[Fix, ...], values: Mapping[str, object]) -> tuple[Remedy, ...]:
    return tuple(Remedy(text=Sentence(fix.text, values), cost=Sentence(fix.cost)) for fix in fixes)


def _whose(one: Sighting) -> tuple[str, tuple[Rule, ...]]:
    """The library that printed the words and its rules; every rule with these words where no frame tells whose."""
    origins = symptom_book().origins
    if one.symptom is not None and not one.symptom.traced:
        return one.symptom.library, one.rules
    printing = tuple(dict.fromkeys(library for rule in one.rules for library in rule.libraries))
    traced = library_of(one.match, origins, printing)
    if traced is None:
        return (one.symptom.library if one.symptom else printing[0]), one.rules
    return traced, tuple(rule for rule in one.rules if traced in rule.libraries)


def _rule_cause(rule: Rule, library: str) -> Sentence:
    """What a rule wants, in our words, and from which release to which."""
    known = [release.version for release in releases(library) if release.version in rule.versions]
    values = {"library": library, "code": rule.code, "first": known[0], "last": known[-1]}
    wants = {"field": label(rule.needs.field), "needed": rule.needs.needed}
    return Sentence("diagnose.rule", {**values, **wants})


def _rule_fixes(rule: Rule) -> tuple[Fix, ...]:
    """What helps against a broken rule on this field."""
    advice = symptom_book().advice
    return next(one.fixes for one in advice if rule.needs.field in one.fields or not one.fields)


def _finding(one: Sighting, paste: Paste) -> Finding:
    """The finding of a sighting."""
    library, rules = _whose(one)
    match, symptom = one.match, one.symptom
    values = _values(match, library)
    required, limit = bytes_of(match.values, "required"), bytes_of(match.values, "limit")
    shared = symptom is not None and symptom.shared
    if symptom is None:
        cause, fixes = _rule_cause(rules[0], library), _rule_fixes(rules[0])
        evidence, source, place = rules[0].evidence, rules[0].source, rules[0].place
    else:
        cause, fixes = Sentence(symptom.cause, values), symptom.fixes
        evidence, source, place = symptom.evidence, symptom.source, symptom.place
        required = required if required is not None else symptom.required_bytes
    return Finding(
        library=library,
        kernel=(symptom.kernel if symptom else None) or (kernel_of(match) if shared else None),
        code=rules[0].code if rules or symptom is None else symptom.code,
        symptom=symptom.code if symptom else None,
        rules=tuple(dict.fromkeys(rule.code for rule in rules)),
        required_bytes=required,
        limit_bytes=limit,
        cause=(cause, *(about_limit(required, limit) if shared else ())),
        fixes=_remedies(fixes, values),
        operators=operators_of(match, paste, symptom.operators) if symptom and symptom.operators else {},
        values={name: value for name, value in match.values.items() if name not in TOLD},
        cards=tuple(gpu.name for gpu in cards_with(limit)) if shared and limit else (),
        passage=match.reading.text[match.start : min(match.end, match.start + LONGEST_PASSAGE)],
        evidence=evidence,
        source=source,
        place=place,
    )


def _same(finding: Finding) -> tuple[object, ...]:
    return finding.library, finding.code, finding.required_bytes, finding.limit_bytes, str(finding.values)


def diagnose(text: str | bytes) -> Diagnosis:
    """What a pasted traceback, warning or log says, why, and what helps.

    Every symptom in it is told, the most specific first: what names a number, a rule or a condition before what
    only says that something failed. A text that nobody described gives a diagnosis of status unknown.

    Args:
        text: the paste; bytes may be UTF-8 or UTF-16, and whatever is not text is passed over.

    Raises:
        BadInput: the text is empty.
        BadData: a symptom file is broken.
    """
    paste = clean(text)
    kept = _distinct(list(_sightings(paste)))
    kept.sort(key=lambda one: (one.symptom is not None and one.symptom.general, -one.match.letters))
    findings = {_same(finding): finding for one in reversed(kept) if (finding := _finding(one, paste))}
    return Diagnosis(findings=tuple(reversed(findings.values()))[:MOST_FINDINGS], remarks=paste.remarks)
