"""What the symptom files hold, as frozen records."""

from collections.abc import Mapping

from l4guide.catalogue import Source
from l4guide.diagnose.site import Origin, Site
from l4guide.diagnose.wording import Wording
from l4guide.frozen import frozen

#: How sure a cause is, with the key of its sentence: the message says it; the frames or numbers beside it do; several
#: causes print this.
CONFIDENCES = {
    "certain": "confidence.certain",
    "likely": "confidence.likely",
    "one of several": "confidence.one_of_several",
}


@frozen
class Fix:
    """One way out and what it costs, both as keys of sentences."""

    text: str
    cost: str


@frozen
class Kind:
    """One of the closed list of kinds: what one would ask the guide after meeting it.

    `title` is the key of its name in words. `command` is a command line of l4guide with blanks; options whose blanks
    the paste does not fill are left out.
    """

    name: str
    title: str
    command: str


@frozen
class Symptom:
    """One thing that a library prints, why it does, and what helps, the cheapest way out first.

    A paste shows it where one of `wordings` stands in it, and its surroundings (the traceback that it ends, or the
    lines around it) hold at least one of the phrases `near` (if there are any) and none of `unless`. `ran` are the
    sites of which one must have been running, `facts` what must follow from the numbers and frames; the symptom with
    the larger `precedence` is told, and of equal ones the one with more conditions. `rules` are the codes of
    support rules whose error texts count as wordings too.
    Where a text is `traced`, the frames may name another library than `library`. A `general` symptom only says that
    something failed: what says why comes before it. `shared` says that its limit is shared memory per block;
    `operators` says how the list of refused operators after it is printed, `arithmetic` which calculation its numbers
    allow. `required_bytes` is a published figure for texts that print none.
    """

    code: str
    kind: str
    confidence: str
    library: str
    traced: bool
    kernel: str | None
    wordings: tuple[Wording, ...]
    rules: tuple[str, ...]
    near: tuple[str, ...]
    unless: tuple[str, ...]
    ran: tuple[str, ...]
    facts: tuple[str, ...]
    precedence: int
    general: bool
    shared: bool
    operators: str | None
    arithmetic: str | None
    required_bytes: int | None
    cause: str
    fixes: tuple[Fix, ...]
    evidence: str
    source: Source
    place: str

    @property
    def conditions(self) -> int:
        """How many conditions must hold beside the words."""
        return sum(map(bool, (self.near, self.ran))) + len(self.facts)


@frozen
class Advice:
    """What helps where a support rule on one of `fields` was broken and no symptom says more; its kind."""

    fields: tuple[str, ...]
    kind: str
    fixes: tuple[Fix, ...]


@frozen
class SymptomBook:
    """All of `data/symptoms`. `commands` are those of single fixes, by the key of their sentence."""

    symptoms: tuple[Symptom, ...]
    origins: tuple[Origin, ...]
    advice: tuple[Advice, ...]
    kinds: tuple[Kind, ...]
    commands: Mapping[str, str]
    sites: tuple[Site, ...]
    plumbing: tuple[str, ...]
