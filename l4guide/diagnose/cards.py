"""The cards of a paste: the one it names, those with so much shared memory per block, and those with enough."""

import re
from collections.abc import Iterable
from functools import cache
from itertools import chain, islice

from l4guide.catalogue import Gpu, gpu_aliases, gpus
from l4guide.text import Joined, Sentence

#: A reader recognises a class by a few of its cards.
MOST_NAMES = 4
#: Names so short that they mean a card only beside a maker's name or the word GPU.
SHORTEST = 5
MAKERS = ("nvidia", "tesla", "geforce", "quadro", "rtx", "gpu", "card", "device")
MAKER = r"(?:nvidia|tesla|quadro|gpu|card|gpu 0:|device 0:)"
#: What follows these words is a card that a message wants, not the one that is there.
WANTED = re.compile(r"\b(?:requires?|needs?|such as|e\.g\.|only supports?|using an?)\b")
#: Lines, and characters of each, that are searched for a card's name.
MOST_LINES, MOST_OF_LINE = 400, 600


def cards_with(limit_bytes: int) -> tuple[Gpu, ...]:
    """The cards whose blocks may have exactly `limit_bytes` of shared memory."""
    return tuple(gpu for gpu in gpus() if gpu.shared_bytes_per_block == limit_bytes)


def cards_enough(required_bytes: int) -> tuple[Gpu, ...]:
    """The cards whose blocks may have at least `required_bytes` of shared memory."""
    return tuple(gpu for gpu in gpus() if (gpu.shared_bytes_per_block or 0) >= required_bytes)


@cache
def _named() -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern of every spelling of a card, the longest first, and whose spelling it is."""
    spelt = {gpu.name.lower(): gpu.name for gpu in gpus()}
    spelt |= {one.alias.lower(): one.name for one in gpu_aliases()}
    ordered = sorted(spelt, key=len, reverse=True)
    long = "|".join(re.escape(name) for name in ordered if len(name) >= SHORTEST)
    short = "|".join(re.escape(name) for name in ordered if len(name) < SHORTEST)
    around = rf"{MAKER}[ :-]{{1,3}}(?:{short})|(?:{short})(?= (?:gpu|card|with ))"
    return re.compile(rf"(?<![\w-])(?:{long}|{around})(?![\w-])"), spelt


def card_named(lines: Iterable[str]) -> Gpu | None:
    """The card that lines in small letters name; None where they name none, or several."""
    pattern, spelt = _named()
    telling = islice((line for line in lines if any(word in line for word in MAKERS)), MOST_LINES)
    names = set()
    own = (WANTED.split(line[:MOST_OF_LINE], maxsplit=1)[0] for line in telling)
    for found in chain.from_iterable(map(pattern.findall, own)):
        name = found if found in spelt else re.split(r"[ :-]{1,3}", found)[-1]
        names.add(spelt.get(name))
    known = names - {None}
    return next((gpu for gpu in gpus() if {gpu.name} == known), None)


def _capabilities(cards: Iterable[Gpu]) -> Joined:
    found = {gpu.capability: gpu.arch or 0 for gpu in cards if gpu.capability}
    ordered: list[str] = sorted(found, key=found.__getitem__)
    return Joined(tuple(ordered))


def _names(cards: tuple[Gpu, ...]) -> Joined:
    """A few cards, as different as they come: one of each capability first."""
    first = list({gpu.capability: gpu.name for gpu in reversed(cards)}.values())[::-1]
    rest = [gpu.name for gpu in cards if gpu.name not in first]
    return Joined(tuple((first + rest)[:MOST_NAMES]))


def about_limit(required_bytes: int | None, limit_bytes: int | None) -> tuple[Sentence, ...]:
    """What the limit says of the card, that it is not the card's memory, and where the block would fit."""
    sentences = []
    cards = cards_with(limit_bytes) if limit_bytes else ()
    if cards and limit_bytes:
        values: dict[str, object] = {
            "limit": limit_bytes,
            "capabilities": _capabilities(cards),
            "names": _names(cards),
        }
        sentences.append(Sentence("diagnose.limit_of", values))
    sentences.append(Sentence("diagnose.not_vram"))
    if required_bytes is not None:
        enough = cards_enough(required_bytes)
        key = "diagnose.fits_on" if enough else "diagnose.fits_nowhere"
        told = {"required": required_bytes, "capabilities": _capabilities(enough), "names": _names(enough)}
        sentences.append(Sentence(key, told))
    return tuple(sentences)
