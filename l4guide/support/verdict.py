"""What the rules say: one `Verdict` with every `Reason`, readable in either language."""

import re
from datetime import date

from l4guide.catalogue import Source
from l4guide.frozen import frozen
from l4guide.support.conditions import quantity
from l4guide.text import Sentence

STATUSES = ("ok", "refused", "unsafe", "unknown")
#: What lifts a limit, in the order in which a user should take the reasons up: what moots the others comes first.
REMEDIES = ("library", "card", "release", "setting")


def said(text: Sentence | str | None, language: str) -> str | None:
    """A sentence in `language`; a library's own text as it is."""
    return text.say(language) if isinstance(text, Sentence) else text


def link(source: Source, place: str) -> str:
    """The page to open, down to the line where it is a file in a repository."""
    lines = re.search(r":(\d+)(?:-(\d+))?$", place)
    if lines and "/blob/" in source.url:
        return f"{source.url}#L{lines[1]}" + (f"-L{lines[2]}" if lines[2] else "")
    return source.url


def address(source: Source, place: str) -> str:
    """Where to look: the page, and the place in it where its address cannot name that."""
    page = link(source, place)
    return f"{page} ({place})" if place and page == source.url else page


@frozen
class Reason:
    """One broken rule, or the one thing that nobody knows.

    `found` is the value in this question, `needed` what the rule wants of it; `text` is the library's own
    error text where it is known. `evidence` says how the limit is known, `consequence_evidence` how its
    consequence is, where that differs. `remedy` is what lifts it, one of `REMEDIES`, and `fix` says so. A reason of
    status unknown has no evidence, source or remedy.
    """

    code: str
    status: str
    field: str
    found: str | int | float | bool | None
    needed: Sentence | None
    text: Sentence | str
    evidence: str | None
    consequence_evidence: str | None
    source: Source | None
    place: str
    remedy: str | None = None
    fix: Sentence | None = None

    @property
    def quantity(self) -> object:
        """`found` as a reader is told it, with its unit."""
        return quantity(self.field, self.found)

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The reason as JSON; what is not known is absent."""
        values = {
            "code": self.code,
            "status": self.status,
            "field": self.field,
            "found": self.found,
            "needed": said(self.needed, language),
            "text": said(self.text, language),
            "evidence": self.evidence,
            "consequence_evidence": self.consequence_evidence,
            "source": address(self.source, self.place) if self.source else None,
            "remedy": self.remedy,
            "fix": said(self.fix, language),
        }
        return {key: value for key, value in values.items() if value is not None}


@frozen
class Verdict:
    """The answer of one library at one version, for one question on one card.

    `status` is ok, refused, unsafe (no error, wrong result) or unknown. `message` is what a run meets first;
    `reasons` lists every broken rule in the order in which to take them up. `first_version` is the first release
    that answers ok, `last_refused` the newest one that does not run it; `raises` is the exception that a user sees,
    where it differs from `message` (PyTorch prints its reasons as warnings). `evidence` and `source` belong to an
    ok answer. `picks` is the library that a dispatcher hands the question to.
    """

    library: str
    version: str
    released: date | None
    status: str
    message: Sentence | str
    reasons: tuple[Reason, ...]
    raises: str | None
    first_version: str | None
    first_released: date | None
    last_refused: str | None
    evidence: str | None
    source: Source | None
    place: str
    picks: str | None = None

    @property
    def met_first(self) -> Reason | None:
        """The reason that `message` is the text of; None for an ok answer."""
        own = [reason for reason in self.reasons if reason.status == self.status]
        return next((reason for reason in own if reason.text == self.message), own[0] if own else None)

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The verdict as JSON; what is not known is absent."""
        values = {
            "library": self.library,
            "version": self.version,
            "released": self.released.isoformat() if self.released else None,
            "status": self.status,
            "message": said(self.message, language),
            "raises": self.raises,
            "picks": self.picks,
            "reasons": [reason.to_json(language) for reason in self.reasons],
            "first_version": self.first_version,
            "first_version_date": self.first_released.isoformat() if self.first_released else None,
            "last_refused": self.last_refused,
            "evidence": self.evidence,
            "source": address(self.source, self.place) if self.source else None,
        }
        return {key: value for key, value in values.items() if value is not None}
