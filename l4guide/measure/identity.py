"""What decides whether two runs may be continued or compared: the card, its driver, libraries, kernels and suite."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from l4guide import __version__
from l4guide.frozen import frozen
from l4guide.measure import suite
from l4guide.measure.place import Place
from l4guide.measure.probe import Attached, attached, libraries
from l4guide.measure.suite import Item


@frozen
class Device:
    """What PyTorch says of the card that it uses."""

    name: str
    capability: str
    memory_bytes: int
    l2_bytes: int
    sm_count: int


def device() -> Device:
    """The attached card."""
    import torch

    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    return Device(
        name=found.name,
        capability=f"{found.major}.{found.minor}",
        memory_bytes=found.total_memory,
        l2_bytes=found.L2_cache_size,
        sm_count=found.multi_processor_count,
    )


def card_named(name: str | None) -> Attached | None:
    """The card of the driver's that a run used: CUDA_VISIBLE_DEVICES may have hidden its first."""
    cards = attached()
    named = [card for card in cards if name in (card.catalogue_name, card.name)]
    return next(iter([*named, *cards]), None)


def kernels_digest() -> str:
    """Twelve hex digits that change with any source of our kernels, what launches them included."""
    import l4guide_kernels

    folder = Path(l4guide_kernels.__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(sources).hexdigest()[:12]


def identity(place: Place, items: Iterable[Item]) -> dict[str, str]:
    """By name, everything that must be the same for a run to be continued."""
    card = card_named(place.gpu) if place.basis == "gpu" else None
    return {
        "gpu": place.gpu,
        "basis": place.basis,
        "driver": (card.driver if card else None) or "-",
        "l4guide": __version__,
        "kernels": kernels_digest(),
        "suite": suite.digest(items),
        **dict(libraries()),
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is not the same, each by name with both values."""
    return [
        f"{name} {before.get(name, '-')} → {now.get(name, '-')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
