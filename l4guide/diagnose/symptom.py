"""What the symptom files hold, as frozen records."""

from l4guide.catalogue import Source
from l4guide.diagnose.wording import Wording
from l4guide.frozen import frozen


@frozen
class Fix:
    """One way out and what it costs, both as keys of sentences."""

    text: str
    cost: str


@frozen
class Symptom:
    """One thing that a library prints, why it does, and what helps, the best way out first.

    A paste shows it where one of `wordings` stands in it, with at least one of the phrases `near` anywhere (if there
    are any) and none of `unless`. `rules` are the codes of support rules whose error texts count as wordings too.
    Where a text is `traced`, the frames of the traceback may name another library than `library`. A `general` symptom
    only says that something failed: what says why comes before it. `shared` says that its limit is shared memory per
    block; `operators` says how the list of refused operators after it is printed. `required_bytes` is a published
    figure for texts that print none.
    """

    code: str
    library: str
    traced: bool
    kernel: str | None
    wordings: tuple[Wording, ...]
    rules: tuple[str, ...]
    near: tuple[str, ...]
    unless: tuple[str, ...]
    general: bool
    shared: bool
    operators: str | None
    required_bytes: int | None
    cause: str
    fixes: tuple[Fix, ...]
    evidence: str
    source: Source
    place: str


@frozen
class Origin:
    """A library as its frames, modules and messages show it in a traceback."""

    library: str
    hints: tuple[str, ...]


@frozen
class Advice:
    """What helps where a support rule on one of `fields` was broken and no symptom says more."""

    fields: tuple[str, ...]
    fixes: tuple[Fix, ...]


@frozen
class SymptomBook:
    """All of `data/symptoms`."""

    symptoms: tuple[Symptom, ...]
    origins: tuple[Origin, ...]
    advice: tuple[Advice, ...]
