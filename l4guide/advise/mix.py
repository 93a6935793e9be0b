"""Which implementations run a model whose attention calls differ: one for all of them, or one for each."""

from collections.abc import Iterable, Sequence

from l4guide.advise.choice import FIRST, NOT_COUNTED
from l4guide.advise.own import LIBRARY
from l4guide.advise.records import Part
from l4guide.frozen import frozen

#: What runs whole models, servers first; the others are functions that somebody has to put into one.
ENGINES = ("vllm", "transformers")


@frozen
class Mix:
    """What runs a model's calls. `common` are the implementations that run every call, the one to take first.

    `chosen` names one for each part, in their order, as few different ones as there can be: of `common` where there
    is one; None where nothing that counts runs the call.
    """

    common: tuple[str, ...]
    chosen: tuple[str | None, ...]

    @property
    def is_one(self) -> bool:
        """Whether one implementation runs every call."""
        return bool(self.common)


def running(part: Part) -> tuple[str, ...]:
    """The implementations that run a part; fallbacks and a model's own code do not count."""
    return tuple(v.library for v in part.implementations if v.status == "ok" and v.library not in NOT_COUNTED)


def mix_of(parts: Sequence[Part], preferred: Iterable[str] = ()) -> Mix:
    """What runs the parts of a model together.

    Args:
        parts: the calls with their verdicts.
        preferred: implementations to take where they do, the best first; then come those that a user reaches for
            first, what runs whole models, the others, and our own.
    """
    able = [running(part) for part in parts]
    every = sorted(dict.fromkeys(name for names in able for name in names), key=_place)
    order = list(dict.fromkeys((*preferred, *every)))
    common = tuple(name for name in order if all(name in names for names in able))
    if common:
        return Mix(common=common, chosen=(common[0],) * len(parts))
    # Those that run the most calls first, so that few are needed.
    ranked = sorted(order, key=lambda name: -sum(name in names for names in able))
    return Mix(
        common=(), chosen=tuple(next((name for name in ranked if name in names), None) for names in able)
    )


def _place(name: str) -> int:
    """Where an implementation stands among those that do."""
    package = name.partition("/")[0]
    if name in FIRST and name != LIBRARY:
        return 0
    if package in ENGINES:
        return 1 + ENGINES.index(package)
    return len(ENGINES) + (2 if name == LIBRARY else 1)
