"""Which release broke which test: distributions are put back to their locked versions until the test passes again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: Distributions that can only be put back together, since one asks for exactly one version of the other.
Group = tuple[str, ...]
#: Which of some tests fail when the first so many groups are put back.
Fails = Callable[[int, frozenset[str]], frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of the tests that failed with the newest releases.

    `broken` has, for each group, the tests that pass once it is put back too. `unmended` fail with everything put
    back as well; `passing` did not fail when they were run again.
    """

    broken: Mapping[Group, frozenset[str]]
    unmended: frozenset[str]
    passing: frozenset[str]


def groups(moved: Sequence[str], requires: Mapping[str, Sequence[Requirement]]) -> list[Group]:
    """The distributions that moved, in the order of putting back: who needs another comes before it.

    An older release mostly works with newer ones of what it needs; a newer one often asks for newer ones.

    Args:
        moved: Their names.
        requires: What each distribution needs, by its metadata.
    """
    order: dict[str, None] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        for needed in sorted(canonicalize_name(requirement.name) for requirement in requires.get(name, ())):
            if needed not in order and needed not in above:
                visit(needed, above | {needed})
        order[name] = None

    for name in sorted(moved):
        if name not in order:
            visit(name, frozenset({name}))
    together: dict[str, list[str]] = {}
    leader: dict[str, str] = {}
    for name in (name for name in reversed(order) if name in moved):
        first = leader.setdefault(name, name)
        together.setdefault(first, []).append(name)
        for requirement in requires.get(name, ()):
            if any(specifier.operator == "==" for specifier in requirement.specifier):
                leader.setdefault(canonicalize_name(requirement.name), first)
    return [tuple(names) for names in together.values()]


def culprits(failed: frozenset[str], moved: Sequence[Group], fails: Fails) -> Verdict:
    """Halve the groups until each test that failed has one that mends it."""
    again = fails(0, failed)
    unmended = fails(len(moved), again) if again else again
    broken: dict[Group, frozenset[str]] = {}

    def search(tests: frozenset[str], low: int, high: int) -> None:
        """`tests` fail with the first `low` groups put back and pass with the first `high`."""
        if not tests:
            return
        if high - low == 1:
            broken[moved[low]] = tests
            return
        middle = (low + high) // 2
        still = fails(middle, tests)
        search(tests - still, low, middle)
        search(still, middle, high)

    search(again - unmended, 0, len(moved))
    return Verdict(broken=broken, unmended=unmended, passing=failed - again)
