"""`data/symptoms/*.toml` read strictly: a symptom that could never be said or found does not load."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from l4guide.catalogue import Source, data_folder
from l4guide.catalogue import sources as all_sources
from l4guide.diagnose.operators import PRINTED
from l4guide.diagnose.paste import LOWER
from l4guide.diagnose.symptom import Advice, Fix, Origin, Symptom, SymptomBook
from l4guide.diagnose.wording import Wording, wording
from l4guide.errors import BadData
from l4guide.support.conditions import FIELDS
from l4guide.support.entry import Entry
from l4guide.support.reader import EVIDENCE, rulebooks
from l4guide.support.rulebook import Rule
from l4guide.text import Sentence, placeholders, sentences
from l4guide.toml import read_toml

#: How a list of refused operators may be printed.
OPERATORS = tuple(PRINTED)
#: Blanks of a sentence that every finding fills, beside those of its texts.
GIVEN = frozenset({"library"})
#: Blanks that a size in the text fills.
FROM_SIZE = frozenset({"required_gib", "tokens", "heads_assumed"})


@cache
def rules_by_code() -> Mapping[str, Rule]:
    """Every support rule that has a text of the library's own."""
    return {rule.code: rule for book in rulebooks() for rule in book.rules if rule.text is not None}


def fixes(entry: Entry) -> tuple[Fix, ...]:
    """The list `fixes` of an entry: each a text and a cost, both known sentences without blanks."""
    found = []
    for table in entry.take("fixes", list):
        one = Entry(table, entry.file, f"{entry.where}, fixes")
        found.append(Fix(text=sentence(one, "text", GIVEN), cost=sentence(one, "cost", frozenset())))
        one.done()
    if not found:
        raise entry.fault("fixes", Sentence("error.rule_missing"))
    return tuple(found)


def sentence(entry: Entry, key: str, filled: frozenset[str]) -> str:
    """The sentence that `key` names, whose blanks are all among `filled`."""
    name = entry.choice(key, sentences("en"))
    entry.check(key, sorted(placeholders(sentences("en")[name])), filled)
    return name


def phrases(entry: Entry, key: str) -> tuple[str, ...]:
    """The phrases under `key`, in the small letters that they are looked for in."""
    return tuple(str(phrase).translate(LOWER) for phrase in entry.take(key, list, []))


def wordings(entry: Entry, texts: list[str]) -> tuple[Wording, ...]:
    """The texts of an entry made ready."""
    try:
        return tuple(wording(text) for text in texts)
    except ValueError as error:
        expected = Sentence("error.symptom_text", {"text": error})
        raise entry.fault("texts", Sentence("error.rule_expected", {"expected": expected})) from error


def symptom(entry: Entry, sources: Mapping[str, Source]) -> Symptom:
    """One symptom."""
    code = entry.take("code", str)
    rules = entry.choices("rules", rules_by_code()) if "rules" in entry.rest else ()
    texts = [str(text) for text in entry.take("texts", list, [])]
    found = wordings(entry, texts + [rules_by_code()[rule].text or "" for rule in rules])
    if not found:
        raise entry.fault("texts", Sentence("error.rule_missing"))
    always = frozenset.intersection(*(frozenset(one.blanks) for one in found))
    filled = always | GIVEN | (FROM_SIZE if "required_size" in always else frozenset())
    one = Symptom(
        code=code,
        library=entry.take("library", str),
        traced=entry.take("traced", bool, False),
        kernel=entry.maybe("kernel", str),
        wordings=found,
        rules=rules,
        near=phrases(entry, "near"),
        unless=phrases(entry, "unless"),
        general=entry.take("general", bool, False),
        shared=entry.take("shared", bool, False),
        operators=entry.choice("operators", OPERATORS) if "operators" in entry.rest else None,
        required_bytes=entry.maybe("required_bytes", int),
        cause=sentence(entry, "cause", filled),
        fixes=fixes(entry),
        evidence=entry.choice("evidence", EVIDENCE),
        source=sources[entry.choice("source", sources)],
        place=entry.take("place", str, ""),
    )
    entry.done()
    return one


def origin(entry: Entry) -> Origin:
    """One library as a traceback shows it."""
    one = Origin(library=entry.take("library", str), hints=phrases(entry, "hints"))
    entry.done()
    return one


def advice(entry: Entry) -> Advice:
    """What helps against broken rules on some fields."""
    one = Advice(fields=entry.choices("fields", FIELDS), fixes=fixes(entry))
    entry.done()
    return one


def _tables(top: Entry, name: str) -> list[Entry]:
    """Every table of the array `name`, called by its code where it has one."""
    found = []
    for number, table in enumerate(top.take(name, list, []), start=1):
        called = table.get("code", number) if isinstance(table, dict) else number
        found.append(Entry(table, top.file, f"{name} {called}"))
    return found


def read_symptoms(path: Path, sources: Mapping[str, Source]) -> SymptomBook:
    """The symptoms of one file, whose sources must be among `sources`.

    Raises:
        BadData: an entry is broken; names file, entry and key.
    """
    try:
        top = Entry(read_toml(path), path.name, "top")
    except (OSError, ValueError) as error:
        raise BadData("error.unreadable_table", file=path.name, reason=error) from error
    book = SymptomBook(
        symptoms=tuple(symptom(entry, sources) for entry in _tables(top, "symptom")),
        origins=tuple(origin(entry) for entry in _tables(top, "origin")),
        advice=tuple(advice(entry) for entry in _tables(top, "advice")),
    )
    top.done()
    return book


@cache
def symptom_book() -> SymptomBook:
    """Every symptom file under `data/symptoms`, as one book."""
    sources = {source.key: source for source in all_sources()}
    folder = data_folder() / "symptoms"
    books = [read_symptoms(path, sources) for path in sorted(folder.glob("*.toml"))]
    return SymptomBook(
        symptoms=tuple(one for book in books for one in book.symptoms),
        origins=tuple(one for book in books for one in book.origins),
        advice=tuple(one for book in books for one in book.advice),
    )
