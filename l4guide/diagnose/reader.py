"""`data/symptoms/*.toml` read strictly: a symptom that could never be said or found does not load."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from l4guide.catalogue import Source, data_folder, sources_by_key
from l4guide.diagnose.arithmetic import ARITHMETIC
from l4guide.diagnose.facts import FACTS, FILLED_BY_ALL
from l4guide.diagnose.operators import PRINTED
from l4guide.diagnose.paste import LOWER
from l4guide.diagnose.site import Origin, Site
from l4guide.diagnose.symptom import CONFIDENCES, Advice, Fix, Kind, Symptom, SymptomBook
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
#: Blanks that a size in the text fills.
FROM_SIZE = frozenset({"required_gib"})


@cache
def rules_by_code() -> Mapping[str, Rule]:
    """Every support rule that has a text of the library's own."""
    return {rule.code: rule for book in rulebooks() for rule in book.rules if rule.text is not None}


def fixes(entry: Entry, filled: frozenset[str]) -> tuple[Fix, ...]:
    """The table `fixes` of an entry: each way out, by the key of its sentence, with the key of what it costs."""
    table = entry.take("fixes", dict)
    if not table:
        raise entry.fault("fixes", Sentence("error.rule_missing"))
    found = []
    for fix, cost in table.items():
        pair = Entry(
            {"fix": f"symptom.{fix}", "cost": f"symptom.{cost}"}, entry.file, f"{entry.where}, fixes"
        )
        found.append(Fix(text=sentence(pair, "fix", filled), cost=sentence(pair, "cost", frozenset())))
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


class _Symptoms:
    """Reads the symptoms of one file, which may repeat the texts and fixes of one above them (`like`).

    Args:
        sources: those that may be named.
        kinds: the closed list of kinds.
        sites: what a program may have been running.
    """

    def __init__(self, sources: Mapping[str, Source], kinds: Sequence[str], sites: Sequence[str]) -> None:
        self.sources, self.kinds, self.sites = sources, kinds, sites
        self.read: dict[str, Symptom] = {}

    def symptom(self, entry: Entry) -> Symptom:
        """One symptom."""
        code = entry.take("code", str)
        rules = entry.choices("rules", rules_by_code()) if "rules" in entry.rest else ()
        texts = [str(text) for text in entry.take("texts", list, [])]
        found = wordings(entry, texts + [rules_by_code()[rule].text or "" for rule in rules])
        if "like" in entry.rest:
            found += self.read[entry.choice("like", self.read)].wordings
        if not found:
            raise entry.fault("texts", Sentence("error.rule_missing"))
        always = frozenset.intersection(*(frozenset(one.blanks) for one in found))
        arithmetic = entry.choice("arithmetic", ARITHMETIC) if "arithmetic" in entry.rest else None
        facts = entry.choices("facts", FACTS) if "facts" in entry.rest else ()
        filled = always | FILLED_BY_ALL | (FROM_SIZE if "required_size" in always else frozenset())
        later = filled | (frozenset(ARITHMETIC[arithmetic].blanks) if arithmetic else frozenset())
        one = Symptom(
            code=code,
            kind=entry.choice("kind", self.kinds),
            confidence=entry.choice("confidence", CONFIDENCES) if "confidence" in entry.rest else "certain",
            library=entry.take("library", str),
            traced=entry.take("traced", bool, False),
            kernel=entry.maybe("kernel", str),
            wordings=found,
            rules=rules,
            near=phrases(entry, "near"),
            unless=phrases(entry, "unless"),
            ran=entry.choices("ran", self.sites) if "ran" in entry.rest else (),
            facts=facts,
            precedence=entry.take("precedence", int, 0),
            general=entry.take("general", bool, False),
            shared=entry.take("shared", bool, False),
            operators=entry.choice("operators", OPERATORS) if "operators" in entry.rest else None,
            arithmetic=arithmetic,
            required_bytes=entry.maybe("required_bytes", int),
            cause=sentence(entry, "cause", filled),
            fixes=fixes(entry, later),
            evidence=entry.choice("evidence", EVIDENCE),
            source=self.sources[entry.choice("source", self.sources)],
            place=entry.take("place", str, ""),
        )
        entry.done()
        self.read[code] = one
        return one


def origin(entry: Entry) -> Origin:
    """One library as a traceback shows it."""
    one = Origin(
        library=entry.take("library", str),
        hints=phrases(entry, "hints"),
        attention=entry.take("attention", bool, True),
    )
    entry.done()
    return one


def site(entry: Entry) -> Site:
    """One thing that a program may have been running."""
    one = Site(
        name=entry.take("name", str),
        code=phrases(entry, "code"),
        functions=phrases(entry, "functions"),
        files=phrases(entry, "files"),
        outer=phrases(entry, "outer"),
        unless=phrases(entry, "unless"),
        raw=entry.take("raw", bool, False),
    )
    entry.done()
    return one


def kind(entry: Entry) -> Kind:
    """One kind."""
    one = Kind(
        name=entry.take("name", str),
        title=sentence(entry, "title", frozenset()),
        command=entry.take("command", str),
    )
    entry.done()
    return one


def advice(entry: Entry, kinds: Sequence[str]) -> Advice:
    """What helps against broken rules on some fields."""
    one = Advice(
        fields=entry.choices("fields", FIELDS),
        kind=entry.choice("kind", kinds),
        fixes=fixes(entry, FILLED_BY_ALL),
    )
    entry.done()
    return one


def _tables(top: Entry, name: str) -> list[Entry]:
    """Every table of the array `name`, called by its code where it has one."""
    found = []
    for number, table in enumerate(top.take(name, list, []), start=1):
        called = table.get("code", number) if isinstance(table, dict) else number
        found.append(Entry(table, top.file, f"{name} {called}"))
    return found


def _top(path: Path) -> Entry:
    try:
        return Entry(read_toml(path), path.name, "top")
    except (OSError, ValueError) as error:
        raise BadData("error.unreadable_table", file=path.name, reason=error) from error


#: The file of what the others may name: kinds, sites, and whose frames are whose.
WORDS = "words.toml"


@cache
def _words() -> tuple[SymptomBook, tuple[str, ...], tuple[str, ...]]:
    """The book without its symptoms, the names of the kinds, and those of the sites."""
    top = _top(data_folder() / "symptoms" / WORDS)
    kinds = tuple(kind(entry) for entry in _tables(top, "kind"))
    names = tuple(one.name for one in kinds)
    sites = tuple(site(entry) for entry in _tables(top, "site"))
    book = SymptomBook(
        symptoms=(),
        origins=tuple(origin(entry) for entry in _tables(top, "origin")),
        advice=tuple(advice(entry, names) for entry in _tables(top, "advice")),
        kinds=kinds,
        commands={f"symptom.{fix}": str(command) for fix, command in top.take("commands", dict).items()},
        sites=sites,
        plumbing=phrases(top, "plumbing"),
    )
    top.done()
    return book, names, ("other", *dict.fromkeys(one.name for one in sites))


def read_symptoms(path: Path, sources: Mapping[str, Source]) -> tuple[Symptom, ...]:
    """The symptoms of one file, whose sources must be among `sources`.

    Raises:
        BadData: an entry is broken; names file, entry and key.
    """
    top = _top(path)
    _, kinds, sites = _words()
    reader = _Symptoms(sources, kinds, sites)
    found = tuple(reader.symptom(entry) for entry in _tables(top, "symptom"))
    top.done()
    return found


@cache
def symptom_book() -> SymptomBook:
    """Every symptom file under `data/symptoms`, as one book."""
    sources = sources_by_key()
    paths = (path for path in sorted((data_folder() / "symptoms").glob("*.toml")) if path.name != WORDS)
    found = tuple(chain.from_iterable(read_symptoms(path, sources) for path in paths))
    book, _, _ = _words()
    return SymptomBook(
        symptoms=found,
        origins=book.origins,
        advice=book.advice,
        kinds=book.kinds,
        commands=book.commands,
        sites=book.sites,
        plumbing=book.plumbing,
    )
