"""Which libraries and releases there are rules for, and how they are named."""

from collections.abc import Mapping
from functools import cache, lru_cache

from packaging.version import InvalidVersion, Version

from l4guide.errors import BadInput
from l4guide.support.reader import rule_files, rulebook, rulebooks
from l4guide.support.rulebook import Call, Cover, Dispatch, Release, Rule, Rulebook


def book_of(library: str) -> Rulebook:
    """The rule file of a library, which is called what stands in front of the slash in its name."""
    return rulebook(library.partition("/")[0])


@cache
def table(library: str, version: str) -> tuple[tuple[Rule, ...], tuple[Cover, ...], tuple[Call, ...]]:
    """The rules, covers and calls of one release."""
    book = book_of(library)
    return (
        tuple(r for r in book.rules if library in r.libraries and version in r.versions),
        tuple(c for c in book.covers if library in c.libraries and version in c.versions),
        tuple(c for c in book.calls if library in c.libraries and version in c.versions),
    )


@cache
def rule_set(library: str, version: str) -> tuple[int, ...]:
    """What tells the rules of one release from those of another."""
    return tuple(id(entry) for entries in table(library, version) for entry in entries)


@cache
def dispatches(library: str) -> tuple[str, ...]:
    """The libraries that `library` picks among; none for one that has kernels of its own."""
    entries = (entry for entry in book_of(library).dispatches if library in entry.libraries)
    return tuple(dict.fromkeys(name for entry in entries for name in entry.order))


@cache
def order_of(library: str, version: str) -> tuple[Dispatch, ...]:
    """In which orders `library` at `version` tries others, each with its conditions."""
    entries = book_of(library).dispatches
    return tuple(entry for entry in entries if library in entry.libraries and version in entry.versions)


@cache
def beside(library: str, version: str) -> tuple[Release, Release] | None:
    """The read releases on either side of one that nobody read; None where one side has none."""
    known = book_of(library).releases
    place = next(number for number, release in enumerate(known) if release.version == version)
    below = next((r for r in reversed(known[:place]) if r.checked), None)
    above = next((r for r in known[place:] if r.checked), None)
    return None if below is None or above is None else (below, above)


@cache
def libraries() -> tuple[str, ...]:
    """Every library that there are rules for, by the name it is asked with."""
    return tuple(library for book in rulebooks() for library in book.libraries)


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """A name as it is compared: letters and digits only, lower case."""
    return "".join(c for c in name.casefold() if c.isalnum())


@cache
def _directory() -> Mapping[str, str]:
    """Every way to write a library's name, in the form of `_plain`."""
    known = {_plain(library): library for library in libraries()}
    for book in rulebooks():
        known |= {_plain(alias): library for alias, library in book.aliases.items()}
    return known


def find_library(name: str) -> str:
    """The library that `name` means; case, hyphens and the usual other names do not matter.

    Raises:
        BadInput: no library is called so; names the nearest.
    """
    if name.partition("/")[0] in rule_files() and name in book_of(name).libraries:
        return name
    known, written = _directory(), _plain(name)
    if written in known:
        return known[written]
    from difflib import get_close_matches  # only a mistyped name needs it

    near = get_close_matches(written[:40], known, n=3, cutoff=0.0)
    names = ", ".join(dict.fromkeys(known[match] for match in near))
    raise BadInput("error.unknown_library", name=name[:60], near=names, choices=", ".join(libraries()))


def releases(library: str) -> tuple[Release, ...]:
    """Every release of `library` that is known, oldest first.

    Raises:
        BadInput: no library is called so.
    """
    return book_of(find_library(library)).releases


@cache
def _by_version(library: str) -> Mapping[Version, Release]:
    """The releases of `library` by their version as it is ordered."""
    return {release.key: release for release in book_of(library).releases}


def newest_read(library: str) -> Release:
    """The newest release of `library` that somebody read.

    Raises:
        BadInput: no library is called so.
    """
    return next(release for release in reversed(releases(library)) if release.checked)


def is_newer(library: str, version: str) -> bool:
    """Whether `version` comes after every known release of `library`; what is no version at all does not.

    Raises:
        BadInput: no library is called so.
    """
    try:
        return Version(Version(version.strip()).public) > releases(library)[-1].key
    except InvalidVersion:
        return False


def find_release(library: str, version: str | None = None) -> Release:
    """The release that `version` means; None is the newest known.

    Raises:
        BadInput: there is no such release, or none that is known; names the newest and the nearest ones.
    """
    known = releases(library)
    if version is None:
        return known[-1]
    if (written := next((release for release in known if release.version == version), None)) is not None:
        return written
    from difflib import get_close_matches  # as above

    try:
        asked = Version(Version(version.strip()).public)
    except InvalidVersion:
        near = get_close_matches(version[:40], [r.version for r in known], n=3, cutoff=0.0)
    else:
        found = _by_version(find_library(library)).get(asked)
        if found is not None:
            return found
        below = [r.version for r in known if r.key < asked][-1:]
        near = below + [r.version for r in known if r.key > asked][:1]
    values = {"library": find_library(library), "version": version[:60], "newest": known[-1].version}
    raise BadInput("error.unknown_version", **values, near=", ".join(near))


def distribution(library: str) -> str:
    """What pip calls the package of `library`.

    Raises:
        BadInput: no library is called so.
    """
    return book_of(find_library(library)).distribution


def install_line(library: str, version: str | None = None) -> str:
    """The shell line that installs `library` at `version` (None: the newest known).

    Raises:
        BadInput: the library or the version is not known.
    """
    name = find_library(library)
    book, release = book_of(name), find_release(name, version)
    line = book.installs.get(name, book.install) if release.on_index else book.install_tag
    return line.format(version=release.version, tag=release.tag)
