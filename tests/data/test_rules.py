"""The rule files themselves: unique codes, ranges without overlap or hole, and texts that can be said."""

from datetime import date
from itertools import pairwise

import pytest
from packaging.version import Version

from l4guide.support.reader import rulebooks
from l4guide.support.rulebook import Cover, Dispatch, Rule, Rulebook

BOOKS = rulebooks()
RULES = [rule for book in BOOKS for rule in book.rules]


def test_codes_are_unique() -> None:
    """A code names one rule, so that a reader can quote it."""
    codes = [rule.code for rule in RULES]
    assert sorted(set(codes)) == sorted(codes)


def test_libraries_belong_to_one_file() -> None:
    """No library is described by two files."""
    names = [library for book in BOOKS for library in book.libraries]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.libraries[0])
def test_releases_are_ordered_and_dated_in_order(book: Rulebook) -> None:
    """Within one minor series, a later release is never dated before an earlier one."""
    assert len({release.key for release in book.releases}) == len(book.releases)
    for one, other in pairwise(r for r in book.releases if r.date):
        if Version(one.version).release[:2] == Version(other.version).release[:2]:
            assert (one.date or date.min) <= (other.date or date.max), (one.version, other.version)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.libraries[0])
def test_the_ends_of_the_list_were_read(book: Rulebook) -> None:
    """The newest release is a checked one: nothing stands beyond what somebody read."""
    assert book.releases[-1].checked


def _families() -> list[tuple[Rulebook, str, list[Rule]]]:
    found = []
    for book in BOOKS:
        for family in dict.fromkeys(rule.family for rule in book.rules):
            found.append((book, family, [rule for rule in book.rules if rule.family == family]))
    return found


@pytest.mark.parametrize(("book", "family", "rules"), _families(), ids=lambda item: str(item)[:40])
def test_ranges_of_a_family_neither_overlap_nor_leave_holes(
    book: Rulebook, family: str, rules: list[Rule]
) -> None:
    """Rules that replace one another hand over at one release; those of the same range ask different things."""
    ranges = list(dict.fromkeys(rule.versions for rule in rules))
    for place, one in enumerate(ranges):
        for other in ranges[place + 1 :]:
            assert not one & other, family
    places = sorted(
        number for number, release in enumerate(book.releases) if any(release.version in r for r in ranges)
    )
    assert list(range(places[0], places[-1] + 1)) == places
    asked = [(rule.versions, rule.when, rule.needs) for rule in rules]
    assert len(asked) == len(set(map(str, asked)))


#: What a library for inference does with training: it refuses, or cuts the gradient off in silence.
NO_BACKWARD = ("support.forward_only", "support.sage_no_gradient")
#: From when on there is such a library in the file that describes it with others.
FIRST = {"torch/cudnn": Version("2.5.0"), "xformers/triton-splitk": Version("0.0.24")}
FIRST["xformers/flash3"] = Version("0.0.35")
FIRST |= {f"transformers/flash-attention-{number}": Version("5.4.0") for number in (3, 4)}


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.libraries[0])
def test_every_checked_release_has_an_entry_of_what_works(book: Rulebook) -> None:
    """A checked release is covered in both passes, or refuses training; one that picks has an order instead."""
    for library in book.libraries:
        for release in book.releases:
            if not release.checked or release.key < FIRST.get(library, release.key):
                continue
            entries: list[Cover | Dispatch | Rule] = [*book.covers, *book.dispatches, *book.rules]
            here = [e for e in entries if library in e.libraries and release.version in e.versions]
            orders = [entry for entry in here if isinstance(entry, Dispatch)]
            covered = {on for entry in here if isinstance(entry, Cover) for on in entry.passes}
            refused = [e for e in here if isinstance(e, Rule) and e.finding in NO_BACKWARD]
            wanted = {"forward"} if refused else {"forward", "backward"}
            assert bool(orders) != (wanted == covered), (library, release.version)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_an_unsafe_rule_says_what_happens(rule: Rule) -> None:
    """Where no error is raised there is no error text: the finding is a sentence of ours."""
    assert rule.status != "unsafe" or rule.finding is not None
    assert rule.text is None or rule.finding is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_points_at_a_public_page(rule: Rule) -> None:
    """The source of a rule can be opened by anyone."""
    assert rule.source.url.startswith("https://")
