"""Which cards have so much shared memory per block, and which have enough of it."""

from collections.abc import Iterable

from l4guide.catalogue import Gpu, gpus
from l4guide.text import Joined, Sentence

#: A reader recognises a class by a few of its cards.
MOST_NAMES = 4


def cards_with(limit_bytes: int) -> tuple[Gpu, ...]:
    """The cards whose blocks may have exactly `limit_bytes` of shared memory."""
    return tuple(gpu for gpu in gpus() if gpu.shared_bytes_per_block == limit_bytes)


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
        enough = tuple(gpu for gpu in gpus() if (gpu.shared_bytes_per_block or 0) >= required_bytes)
        key = "diagnose.fits_on" if enough else "diagnose.fits_nowhere"
        told = {"required": required_bytes, "capabilities": _capabilities(enough), "names": _names(enough)}
        sentences.append(Sentence(key, told))
    return tuple(sentences)
