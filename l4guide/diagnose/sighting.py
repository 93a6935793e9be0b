"""Every place where a paste shows a symptom or the error text of a support rule; the most specific of each passage."""

from collections.abc import Iterator, Mapping
from functools import cache

from l4guide.diagnose.facts import FACTS
from l4guide.diagnose.operators import REACH
from l4guide.diagnose.paste import Paste
from l4guide.diagnose.reader import rules_by_code
from l4guide.diagnose.setting import Setting
from l4guide.diagnose.symptom import Symptom, SymptomBook
from l4guide.diagnose.trace import traces
from l4guide.diagnose.wording import Match, Wording, places, wording
from l4guide.frozen import frozen
from l4guide.support.rulebook import Rule

#: The same message with other numbers is told so many times.
MOST_PLACES = 5


@frozen
class Sighting:
    """One place where the paste shows a symptom, a rule's text, or both."""

    match: Match
    setting: Setting
    symptom: Symptom | None
    rules: tuple[Rule, ...]

    @property
    def weight(self) -> tuple[bool, int, int, int]:
        """How specific it is: a symptom before a rule, the more conditions it has, then the longer text."""
        symptom = self.symptom
        if symptom is None:
            return False, 0, 0, self.match.letters
        return True, symptom.precedence, symptom.conditions, self.match.letters

    @property
    def order(self) -> tuple[bool, bool, int]:
        """When it is told: what only says that something failed last, warnings after failures, the first line first."""
        general = self.symptom is not None and self.symptom.general
        line = self.setting.paste.lines[self.setting.index]
        return general, self.setting.is_warning, line.number


def _shows(symptom: Symptom, setting: Setting) -> bool:
    """Whether the conditions of a symptom hold where its words stand."""
    if setting.is_code:
        return False
    if symptom.near and not any(phrase in setting.scope for phrase in symptom.near):
        return False
    if symptom.unless and any(phrase in setting.scope for phrase in symptom.unless):
        return False
    if symptom.ran and setting.site not in symptom.ran:
        return False
    return all(FACTS[fact](setting) for fact in symptom.facts)


@cache
def _rule_texts() -> Mapping[Wording, tuple[Rule, ...]]:
    """The error texts of the support rules, each with the rules that print it."""
    texts: dict[str, list[Rule]] = {}
    for rule in rules_by_code().values():
        texts.setdefault(rule.text or "", []).append(rule)
    return {wording(text): tuple(rules) for text, rules in texts.items()}


class _Search:
    """Looks for every text once, and keeps one setting for each place."""

    def __init__(self, paste: Paste, book: SymptomBook) -> None:
        self.paste, self.book = paste, book
        self.traces = traces(paste)
        self.settings: dict[tuple[int, int, int], Setting] = {}
        self.places: dict[tuple[Wording, ...], list[Match]] = {}

    def find(self) -> Iterator[Sighting]:
        """Everything that the paste shows, overlapping or not."""
        for symptom in self.book.symptoms:
            for match in self._places(symptom.wordings):
                setting = self._setting(match)
                if _shows(symptom, setting):
                    yield Sighting(match=match, setting=setting, symptom=symptom, rules=())
        for one, rules in _rule_texts().items():
            for match in self._places((one,)):
                yield Sighting(match=match, setting=self._setting(match), symptom=None, rules=rules)

    def _places(self, wordings: tuple[Wording, ...]) -> list[Match]:
        if wordings not in self.places:
            self.places[wordings] = places(wordings, self.paste, MOST_PLACES)
        return self.places[wordings]

    def _setting(self, match: Match) -> Setting:
        key = (id(match.reading), match.start, match.end)
        if key not in self.settings:
            self.settings[key] = Setting(match, self.paste, self.traces, self.book)
        return self.settings[key]


def sightings(paste: Paste, book: SymptomBook) -> list[Sighting]:
    """The most specific sighting of each passage; a symptom takes over the rules that have the same words."""
    kept: list[Sighting] = []
    for one in sorted(_Search(paste, book).find(), key=lambda one: one.weight, reverse=True):
        place = next((n for n, other in enumerate(kept) if one.match.overlaps(other.match)), None)
        if place is None:
            kept.append(one)
        elif kept[place].symptom is not None and one.rules:
            above = kept[place]
            kept[place] = Sighting(
                match=above.match,
                setting=above.setting,
                symptom=above.symptom,
                rules=above.rules + one.rules,
            )
    return sorted((one for one in kept if not _is_listed(one, kept)), key=lambda one: one.order)


def _is_listed(one: Sighting, kept: list[Sighting]) -> bool:
    """Whether the text of a rule is one of the reasons in a list that is told as a whole."""
    return one.symptom is None and any(
        other.symptom is not None
        and other.symptom.operators is not None
        and other.match.reading is one.match.reading
        and other.match.start < one.match.start < other.match.end + REACH
        for other in kept
    )
