"""What is found of one release, before it is set beside the others."""

from l4guide.frozen import frozen
from l4guide.support.rulebook import Cover, Rule
from l4guide.support.verdict import Reason
from l4guide.text import Sentence


@frozen
class Answer:
    """The verdict on one release. `rules` are the broken ones, each with its reason, in the order of a run.

    `late` says that the library lets the question pass and only its kernel refuses. `picks` is the library that
    a dispatcher hands the question to, and `message` what it says of that.
    """

    status: str
    reasons: tuple[Reason, ...] = ()
    rules: tuple[Rule, ...] = ()
    late: bool = False
    cover: Cover | None = None
    evidence: str | None = None
    picks: str | None = None
    message: Sentence | None = None


def unknown(code: str, field: str, found: object, key: str, /, **values: object) -> Answer:
    """An answer that says what nobody knows."""
    value = found if isinstance(found, str | int | float | bool) else None
    reason = Reason(
        code=code,
        status="unknown",
        field=field,
        found=value,
        needed=None,
        text=Sentence(key, values),
        evidence=None,
        consequence_evidence=None,
        source=None,
        place="",
    )
    return Answer(status="unknown", reasons=(reason,))
