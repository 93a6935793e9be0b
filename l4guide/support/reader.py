"""`data/rules/<library>.toml` read strictly: a rule that cannot be right does not load."""

import re
import string
from collections.abc import Collection, Mapping
from datetime import date
from functools import cache
from pathlib import Path

from l4guide.catalogue import Source, data_folder, sources_by_key
from l4guide.errors import BadData
from l4guide.support.conditions import (
    BARE_TESTS,
    FEATURES,
    FIELD_TESTS,
    FIELDS,
    LIST_TESTS,
    ORDER_TESTS,
    TESTS,
    Condition,
    fits,
)
from l4guide.support.entry import Entry
from l4guide.support.rulebook import Call, Cover, Dispatch, Release, Rule, Rulebook
from l4guide.text import Sentence, sentences
from l4guide.toml import read_toml
from l4guide.workload import DTYPES

PASSES = ("forward", "backward")
STATUSES = ("refused", "unsafe")
EVIDENCE = ("source", "binary", "header", "compiled", "measured", "documented", "quoted", "inferred")
#: What an error text, a call or a snippet may have filled in.
BLANKS = frozenset(
    {"head_dim", "head_dim_v", "heads", "kv_heads", "seqlen_q", "seqlen_kv", "dtype", "kv_dtype", "dropout"}
    | {
        "capability",
        "capability_pair",
        "arch",
        "shared_bytes",
        "tag",
        "entry",
        "version",
        "batch",
        "causal",
        "torch_dtype",
        "gqa",
        "enable_gqa",
        "repeat",
        "mask",
        "mask_argument",
        "is_causal",
        "gradient",
        "window",
        "softcap",
        "num_splits",
        "options",
        "major",
        "minor",
    }
)


class Reader:
    """Reads one rule file."""

    def __init__(self, path: Path, sources: Mapping[str, Source]) -> None:
        self.path, self.sources = path, sources
        try:
            self.top = Entry(read_toml(path), path.name, "top")
        except (OSError, ValueError) as error:
            raise BadData("error.unreadable_table", file=path.name, reason=error) from error
        self.libraries = tuple(self.top.take("libraries", list))
        self.releases: tuple[Release, ...] = ()
        self.places: dict[str, int] = {}
        #: The releases inside bounds that were read before: most rules share theirs with others.
        self.ranges: dict[str, frozenset[str]] = {}

    def read(self) -> Rulebook:
        """The whole file.

        Raises:
            BadData: a key, field, test, source, version or value is not one that can be.
        """
        top = self.top
        found = [self.release(entry) for entry in self.tables("release")]
        self.releases = tuple(sorted(found, key=lambda release: release.key))
        self.places = {release.version: place for place, release in enumerate(self.releases)}
        book = Rulebook(
            libraries=self.libraries,
            distribution=top.take("distribution", str, self.path.stem),
            aliases={str(alias): str(name) for alias, name in top.take("aliases", dict).items()},
            install=self.text(top, "install"),
            install_tag=self.text(top, "install_tag"),
            installs=self.texts(top, "installs", self.libraries),
            vendor=top.take("vendor", str),
            releases=self.releases,
            rules=tuple(self.rule(entry) for entry in self.tables("rule")),
            covers=tuple(self.cover(entry) for entry in self.tables("covers")),
            calls=tuple(self.call(entry) for entry in self.tables("call")),
            dispatches=tuple(self.dispatch(entry) for entry in self.tables("dispatch", [])),
        )
        top.check("aliases", list(book.aliases.values()), self.libraries)
        top.done()
        return book

    def tables(self, name: str, default: list[object] | None = None) -> list[Entry]:
        """Every table of the array `name`."""
        found = []
        for number, table in enumerate(self.top.take(name, list, default), start=1):
            where = f"{name} {number}"
            if isinstance(table, dict) and "code" in table:
                where = f"{name} {table['code']}"
            found.append(Entry(table, self.path.name, where))
        return found

    def release(self, entry: Entry) -> Release:
        """One release."""
        version = entry.take("version", str)
        release = Release(
            version=version,
            tag=entry.take("tag", str, f"v{version}"),
            date=entry.maybe("date", date),
            checked=entry.take("checked", bool, True),
            on_index=entry.take("on_index", bool, True),
        )
        entry.done()
        return release

    def rule(self, entry: Entry) -> Rule:
        """One rule."""
        code = entry.take("code", str)
        needs = self.conditions(entry, "needs", [entry.take("needs", dict)])[0]
        rule = Rule(
            libraries=self.concerned(entry),
            code=code,
            family=entry.take("family", str, code),
            versions=self.versions(entry),
            passes=entry.choices("passes", PASSES),
            when=self.conditions(entry, "when", entry.take("when", list, [])),
            needs=needs,
            status=entry.choice("status", STATUSES, "refused"),
            late=entry.take("late", bool, False),
            text=self.text(entry, "text") if "text" in entry.rest else None,
            partial=entry.take("partial", bool, False),
            finding=self.key(entry, "finding"),
            evidence=entry.choice("evidence", EVIDENCE),
            consequence_evidence=self.consequence(entry),
            source=self.source(entry),
            place=entry.take("place", str),
        )
        entry.done()
        return rule

    def cover(self, entry: Entry) -> Cover:
        """One entry of what works."""
        low, high = entry.take("head_dim", list)
        cover = Cover(
            libraries=self.concerned(entry),
            versions=self.versions(entry),
            passes=entry.choices("passes", PASSES),
            when=self.conditions(entry, "when", entry.take("when", list, [])),
            note=self.key(entry, "note"),
            capabilities=tuple(entry.take("capabilities", list)),
            head_dim=(int(low), int(high)),
            multiple_of=entry.take("multiple_of", int, 1),
            dtypes=entry.choices("dtypes", DTYPES),
            features=frozenset(entry.choices("features", FEATURES)),
            evidence=entry.choice("evidence", EVIDENCE),
            source=self.source(entry),
            place=entry.take("place", str),
        )
        entry.done()
        return cover

    def call(self, entry: Entry) -> Call:
        """One way to call a library."""
        call = Call(
            libraries=self.concerned(entry),
            versions=self.versions(entry),
            when=self.conditions(entry, "when", entry.take("when", list, [])),
            entry=entry.take("entry", str),
            raises=entry.maybe("raises", str),
            snippet=self.text(entry, "snippet"),
            options=self.texts(entry, "options", FEATURES),
        )
        entry.done()
        return call

    def dispatch(self, entry: Entry) -> Dispatch:
        """One order in which a library tries others."""
        order = entry.choices("order", self.libraries)
        dispatch = Dispatch(
            libraries=self.concerned(entry),
            versions=self.versions(entry),
            when=self.conditions(entry, "when", entry.take("when", list, [])),
            order=order,
            fallback=entry.choice("fallback", order),
            evidence=entry.choice("evidence", EVIDENCE),
            source=self.source(entry),
            place=entry.take("place", str),
        )
        entry.done()
        return dispatch

    def key(self, entry: Entry, key: str) -> str | None:
        """The key of a sentence of ours, or None where the entry has none."""
        name = entry.maybe(key, str)
        if name is not None:
            entry.check(key, [name], sentences("en"))
        return name

    def concerned(self, entry: Entry) -> tuple[str, ...]:
        """The libraries that an entry is about; all of the file's where it does not say."""
        return entry.choices("libraries", self.libraries) if "libraries" in entry.rest else self.libraries

    def texts(self, entry: Entry, key: str, choices: Collection[str]) -> Mapping[str, str]:
        """The table `key` of texts, whose names are all among `choices`; empty where the entry has none."""
        table = Entry(entry.take(key, dict, {}), entry.file, f"{entry.where}, {key}")
        table.check(key, list(table.rest), choices)
        return {name: self.text(table, name) for name in list(table.rest)}

    def consequence(self, entry: Entry) -> str | None:
        """How the consequence is known, where that differs from how the limit is known."""
        if "consequence_evidence" not in entry.rest:
            return None
        return entry.choice("consequence_evidence", EVIDENCE)

    def source(self, entry: Entry) -> Source:
        """The source that an entry names by its key."""
        return self.sources[entry.choice("source", self.sources)]

    def text(self, entry: Entry, key: str) -> str:
        """A text whose blanks are all known."""
        text = entry.take(key, str)
        try:
            blanks = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        except ValueError as error:
            fault = Sentence("error.rule_expected", {"expected": f"str.format ({error})"})
            raise entry.fault(key, fault) from error
        entry.check(key, blanks, BLANKS)
        return text

    def versions(self, entry: Entry) -> frozenset[str]:
        """The releases inside bounds such as `>=2.0.0,<2.5.5`, the two clauses that a version range needs."""
        bounds = entry.take("versions", str)
        if bounds not in self.ranges:
            self.ranges[bounds] = self.inside(entry, bounds)
        return self.ranges[bounds]

    def inside(self, entry: Entry, bounds: str) -> frozenset[str]:
        """The releases inside bounds that were not met before."""
        inside = set(self.places)
        for clause in bounds.split(","):
            match = re.fullmatch(r"\s*(>=|<)\s*([\w.]+)\s*", clause)
            if not match or match[2] not in self.places:
                expected = Sentence("error.rule_bounds")
                raise entry.fault("versions", Sentence("error.rule_expected", {"expected": expected}))
            bound = self.places[match[2]]
            below = match[1] == "<"
            inside = {name for name in inside if (self.places[name] < bound) is below}
        if not inside:
            expected = Sentence("error.rule_bounds")
            raise entry.fault("versions", Sentence("error.rule_expected", {"expected": expected}))
        return frozenset(inside)

    def conditions(self, entry: Entry, key: str, tables: list[object]) -> tuple[Condition, ...]:
        """The conditions under `key`."""
        return tuple(self.condition(Entry(table, entry.file, f"{entry.where}, {key}")) for table in tables)

    def condition(self, entry: Entry) -> Condition:
        """One condition, with a value that its test can use."""
        field = entry.choice("field", FIELDS)
        test = entry.choice("test", TESTS)
        value = None if test in BARE_TESTS else entry.rest.pop("value", None)
        if test in FIELD_TESTS:
            entry.check("value", [str(value)], FIELDS)
        elif test not in BARE_TESTS:
            value = self.bound(entry, field, test, value)
        entry.done()
        return Condition(field=field, test=test, value=value)

    def bound(self, entry: Entry, field: str, test: str, value: object) -> object:
        """`value`, if it is what `test` compares and of the kind that `field` holds."""
        listed = test in LIST_TESTS
        values = value if listed and isinstance(value, list) else [value]
        numbers = int in FIELDS[field] or test not in ORDER_TESTS
        right = not listed or (isinstance(value, list) and (test != "within" or len(value) == 2))
        if not (right and values and numbers and all(fits(field, one) for one in values)):
            kinds = ", ".join(kind.__name__ for kind in FIELDS[field])
            expected = Sentence("error.rule_bound", {"test": test, "field": field, "kinds": kinds})
            raise entry.fault("value", Sentence("error.rule_expected", {"expected": expected}))
        return tuple(values) if listed else value


def read_rulebook(path: Path, sources: Mapping[str, Source]) -> Rulebook:
    """The rules of one file, whose sources must be among `sources`.

    Raises:
        BadData: an entry is broken; names file, entry and key.
    """
    return Reader(path, sources).read()


@cache
def rule_files() -> Mapping[str, Path]:
    """The rule files under `data/rules`, by what stands in front of the slash in the names of their libraries."""
    paths = sorted((data_folder() / "rules").glob("*.toml"), key=lambda path: path.stem)
    return {path.stem: path for path in paths}


@cache
def rulebook(stem: str) -> Rulebook:
    """The rule file `stem`, one of `rule_files`: read when a library of it is asked for."""
    return read_rulebook(rule_files()[stem], sources_by_key())


def rulebooks() -> tuple[Rulebook, ...]:
    """Every rule file."""
    return tuple(rulebook(stem) for stem in rule_files())
