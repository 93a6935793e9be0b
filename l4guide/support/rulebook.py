"""What the rule files hold, as frozen records."""

from collections.abc import Mapping
from datetime import date

from packaging.version import Version

from l4guide.catalogue import Source
from l4guide.frozen import frozen
from l4guide.support.conditions import Condition


@frozen
class Release:
    """A version. `checked` is False where nobody read it: its neighbours answer for it.

    `on_index` is False for a tag that the package index does not offer; `tag` is its name where that is not
    `v` and the version.
    """

    version: str
    date: date | None
    checked: bool
    on_index: bool
    tag: str

    @property
    def key(self) -> Version:
        """The version as it is ordered."""
        return Version(self.version)


@frozen
class Rule:
    """One limit: where `when` holds, `needs` must hold too. `text` is the library's own error text.

    `late` marks what no gate checks: the kernel raises it once the question was handed over.
    """

    libraries: tuple[str, ...]
    code: str
    family: str
    versions: frozenset[str]
    passes: tuple[str, ...]
    when: tuple[Condition, ...]
    needs: Condition
    status: str
    late: bool
    text: str | None
    partial: bool
    finding: str | None
    evidence: str
    consequence_evidence: str | None
    source: Source
    place: str


@frozen
class Cover:
    """What was found to work, for the releases, cards, passes and features that it names, where `when` holds.

    `note` is the key of a sentence about how it works.
    """

    libraries: tuple[str, ...]
    versions: frozenset[str]
    passes: tuple[str, ...]
    when: tuple[Condition, ...]
    note: str | None
    capabilities: tuple[str, ...]
    head_dim: tuple[int, int]
    multiple_of: int
    dtypes: tuple[str, ...]
    features: frozenset[str]
    evidence: str
    source: Source
    place: str


@frozen
class Call:
    """The function that a user calls for some questions, and how; the first that matches is meant.

    `options` holds, by feature, what the call needs on top; the snippet takes them at `{options}`.
    """

    libraries: tuple[str, ...]
    versions: frozenset[str]
    when: tuple[Condition, ...]
    entry: str
    raises: str | None
    snippet: str
    options: Mapping[str, str]


@frozen
class Dispatch:
    """A library that picks among others: the first of `order` that takes the question runs it.

    `fallback` is the one of them that is no fused kernel.
    """

    libraries: tuple[str, ...]
    versions: frozenset[str]
    when: tuple[Condition, ...]
    order: tuple[str, ...]
    fallback: str
    evidence: str
    source: Source
    place: str


@frozen
class Rulebook:
    """All that is known of the libraries of one file; `distribution` is what pip calls their package.

    `installs` has the install line of a library that needs less, or more, than the others of its file.
    """

    libraries: tuple[str, ...]
    distribution: str
    aliases: Mapping[str, str]
    install: str
    install_tag: str
    installs: Mapping[str, str]
    vendor: str
    releases: tuple[Release, ...]
    rules: tuple[Rule, ...]
    covers: tuple[Cover, ...]
    calls: tuple[Call, ...]
    dispatches: tuple[Dispatch, ...]
