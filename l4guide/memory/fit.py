"""Whether a model fits a card, the most that does, and how many cards it takes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from l4guide.catalogue import Gpu
from l4guide.frozen import frozen
from l4guide.memory.sizes import Sizes, sizes
from l4guide.model import Architecture
from l4guide.step.plan import MAX_GPUS, Plan

MIB = 2**20
#: Of the memory that a card is sold with, what programs find where nobody has published it: error correction takes a
#: sixteenth of GDDR6 (L4 22,888 of 24,576 MiB), the driver a little everywhere (B200 182,631 of 184,320 MiB).
USABLE_GDDR6, USABLE_OTHER = 0.92, 0.975
#: Where a search for the largest batch or context stops.
MOST_BATCH, MOST_CONTEXT = 2**16, 2**24


@frozen
class Usable:
    """Bytes that programs find on a card, and whether somebody published that or it follows from the size."""

    bytes: float
    kind: str


@frozen
class Largest:
    """The largest number that fits, with its 80 % interval; 0 where not even one does."""

    low: int
    value: int
    high: int


@frozen
class Fit:
    """What a plan needs of each card, against what the card has.

    `fits` is yes, no, or tight: the usable memory lies inside the interval.
    """

    model: Architecture
    plan: Plan
    gpu: Gpu
    batch: int
    context: int
    sizes: Sizes
    usable: Usable

    @property
    def fits(self) -> str:
        """Whether each card holds its part."""
        low, _, high = self.sizes.bytes.ends()
        return "yes" if high <= self.usable.bytes else "no" if low > self.usable.bytes else "tight"

    @property
    def largest_batch(self) -> Largest:
        """The most sequences at the asked context."""
        return self._largest(MOST_BATCH, lambda n: (n, self.context))

    @property
    def largest_context(self) -> Largest:
        """The most tokens of a sequence at the asked batch."""
        most = min(self.model.max_context or MOST_CONTEXT, MOST_CONTEXT)
        return self._largest(most, lambda n: (self.batch, n))

    def _largest(self, most: int, shape: Callable[[int], tuple[int, int]]) -> Largest:
        """The largest number whose batch and context have room, at each end of what they need."""

        def need(number: int, end: str) -> float:
            return _need(self.model, self.plan, *shape(number), end)

        room = self.usable.bytes
        low, value, high = (_largest(most, partial(need, end=end), room) for end in ("high", "value", "low"))
        return Largest(low=low, value=value, high=high)

    @property
    def gpus_needed(self) -> int | None:
        """The smallest number of such cards that holds it; None where none does or nothing joins them."""
        return gpus_needed(self.model, self.plan, self.gpu, self.batch, self.context)


def usable(gpu: Gpu) -> Usable:
    """Memory that programs find on a card."""
    if gpu.usable_memory_mib is not None:
        return Usable(bytes=gpu.usable_memory_mib * MIB, kind="published")
    share = USABLE_GDDR6 if gpu.memory_type == "GDDR6" else USABLE_OTHER
    return Usable(bytes=gpu.memory_gb * 1024 * MIB * share, kind="estimated")


def fit(model: Architecture, plan: Plan, gpu: Gpu, batch: int, context: int) -> Fit:
    """Whether `batch` sequences of `context` tokens fit each of the plan's cards."""
    found = sizes(model, plan, np.array([float(batch)]), np.array([float(context)]))
    return Fit(
        model=model,
        plan=plan,
        gpu=gpu,
        batch=batch,
        context=context,
        sizes=found,
        usable=usable(gpu),
    )


def _need(model: Architecture, plan: Plan, batch: float, context: float, end: str = "value") -> float:
    """Bytes on each card, the middle of the interval or another end of it."""
    found = sizes(model, plan, np.array([float(batch)]), np.array([float(context)])).bytes
    need: float = getattr(found, end).item()
    return need


def _largest(most: int, need: Callable[[int], float], room: float) -> int:
    """The largest number whose need has room, by halving; need never falls."""
    if need(1) > room:
        return 0
    low, high = 1, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if need(middle) <= room else (low, middle)
    return low


def gpus_needed(model: Architecture, plan: Plan, gpu: Gpu, batch: int, context: int) -> int | None:
    """The smallest power of two of such cards that holds it; None where there is none, or no link is known."""
    room = usable(gpu).bytes
    cards = 1
    while cards <= MAX_GPUS:
        if cards > 1 and not (gpu.nvlink_gb_per_s or gpu.pcie_gen):
            return None
        if _need(model, replace(plan, gpus=cards), batch, context) <= room:
            return cards
        cards *= 2
    return None
