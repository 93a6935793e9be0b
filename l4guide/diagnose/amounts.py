"""How much memory an out-of-memory message asked for, and what it says of the card, in every allocator's words."""

import re
from collections.abc import Mapping
from math import prod

from l4guide.diagnose.wording import size_bytes
from l4guide.frozen import frozen

SIZE = r"(\d{1,15}(?:\.\d{1,3})? ?(?:[kmgt]i?b?(?![a-z])|bytes|b(?![a-z])))"
#: How much of the text after the message's first word is searched.
REACH = 1500
#: PyTorch since 1.8 (whose capacity had a slip until 2.1), its asynchronous allocator (ComfyUI), CUDA, JAX.
TOLD: Mapping[str, tuple[re.Pattern[str], ...]] = {
    name: tuple(re.compile(one.replace("SIZE", SIZE)) for one in wordings)
    for name, wordings in {
        "asked": (
            "tried to allocate SIZE",
            "requested ?: SIZE",
            "trying to allocate SIZE",
            r"allocating SIZE on device \d",
            "failed to allocate SIZE",
            "you tried to allocate SIZE",
            "unable to allocate SIZE",
        ),
        "free": ("of which SIZE is free", "SIZE free[;,]", r"free \(according to cuda\): ?SIZE"),
        "total": (r"total capaci?ty of SIZE", "SIZE total capacity", "device limit ?: SIZE"),
        "used": ("this process has SIZE memory in use",),
        "allocated": (
            "SIZE is allocated by pytorch",
            "SIZE already allocated",
            "currently allocated ?: SIZE",
        ),
        "idle": ("SIZE is reserved by pytorch but unallocated",),
        "reserved": ("SIZE reserved in total by pytorch", "SIZE cached"),
    }.items()
}
OTHERS = re.compile(rf"process \d{{1,9}} has {SIZE} memory in use")
SHAPE = re.compile(r"(?:torch\.size|shape|size)\s?=?:?\s?\(?([\[(] ?\d{1,9}(?: ?, ?\d{1,9}){1,6},? ?[\])])")
VOCABULARY = re.compile(r"vocab(?:ulary)?_?size\W{1,4}(\d{4,7})")
#: Bytes of a value that tensors are kept in.
WIDTHS = (4, 2, 1)
#: PyTorch hands out blocks of 2 MiB and prints two digits, so a size is met within so much.
ROUNDING = 0.006


@frozen
class Amounts:
    """Bytes as the message tells them; None where it does not."""

    asked: int | None = None
    free: int | None = None
    total: int | None = None
    used: int | None = None
    allocated: int | None = None
    idle: int | None = None
    reserved: int | None = None
    others: int | None = None

    def to_json(self) -> dict[str, int]:
        """What is told, by name."""
        told = {name: getattr(self, name) for name in (*TOLD, "others")}
        return {f"{name}_bytes": value for name, value in told.items() if value is not None}

    @property
    def is_fragmented(self) -> bool:
        """Whether the allocator holds as much unused as was asked for, only not in one piece."""
        return self.asked is not None and self.idle is not None and self.idle >= self.asked > (self.free or 0)

    @property
    def is_taken(self) -> bool:
        """Whether other processes hold most of what is used, and it would have fitted without them."""
        own = self.used or self.reserved or self.allocated or 0
        fits = self.total is None or (self.asked or 0) + own <= self.total
        return self.others is not None and self.others > max(own, 2**30) and fits


def amounts_in(text: str) -> Amounts:
    """What a message in small letters says of memory."""
    text = text[:REACH]
    told = {
        name: size_bytes(found[1])
        for name, patterns in TOLD.items()
        if (found := next(filter(None, (pattern.search(text) for pattern in patterns)), None))
    }
    if "idle" not in told and {"reserved", "allocated"} <= told.keys():
        told["idle"] = max(0, told["reserved"] - told["allocated"])
    others = [size_bytes(size) for size in OTHERS.findall(text)]
    if len(others) == 1 and "used" not in told:
        # PyTorch 2.0 and 2.1, and any in a container, call the process itself by its number. Of a message that is cut
        # before what PyTorch allocated nobody knows whose process it is.
        if "allocated" in told:
            told["used"] = others[0]
        others = []
    held = [told[name] for name in ("used", "reserved") if name in told]
    if others:
        told["others"] = sum(others)
    elif {"total", "free"} <= told.keys() and held:
        told["others"] = max(0, told["total"] - told["free"] - held[0])
    return Amounts(**told)


def shapes_in(text: str) -> tuple[tuple[int, ...], ...]:
    """The shapes of tensors that a text in small letters prints."""
    return tuple(tuple(int(n) for n in re.findall(r"\d+", shape)) for shape in SHAPE.findall(text)[:200])


def vocabulary_in(text: str) -> int | None:
    """The size of the vocabulary, where a text in small letters names it."""
    found = VOCABULARY.search(text)
    return int(found[1]) if found else None


def shape_of(asked: int, text: str) -> tuple[tuple[int, ...], int] | None:
    """The shape in a text whose tensor has the bytes asked for, and the bytes of each value."""
    for shape in dict.fromkeys(shapes_in(text)):
        for width in WIDTHS:
            if prod(shape) > 2**16 and abs(prod(shape) * width / asked - 1) < ROUNDING:
                return shape, width
    return None


def is_square(shape: tuple[int, ...]) -> bool:
    """Whether a shape is one of scores: each query of several heads against as many keys."""
    return len(shape) >= 3 and shape[-1] == shape[-2] >= 256
