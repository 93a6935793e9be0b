"""The engine that serves: its release, and what it does where nobody says otherwise."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from l4guide.catalogue import Gpu, data_folder
from l4guide.errors import BadData, BadInput
from l4guide.frozen import frozen
from l4guide.toml import read_toml
from l4guide.workload import one_of

GIB = 2**30
#: From this memory on a card takes the larger steps; an A100 does not.
LARGE_GIB, NOT_LARGE = 70.0, "A100"
#: From so many GPUs on SGLang captures larger graphs; on a card of more GiB it reserves no less than a fixed amount.
MANY_GPUS, RESERVES_MORE_GIB = 4, 60.0
#: Of the memory that a card is sold with, what CUDA finds: error correction takes a part of GDDR6 on server cards.
SHOWN_GDDR6, SHOWN_OTHER = (0.91, 0.92, 0.98), (0.97, 0.985, 0.992)


@frozen
class Defaults:
    """What a release does where nobody says otherwise.

    `_large` is of cards of 70 GiB and more. `chunked` cuts prompts so that a step mixes them with answers;
    `whole_answers` are given room before they begin, so that none is put off. `hybrid` pages layers with a window and
    states by themselves, a state taking `state_pages`; `prints_groups` tells the cache as if every layer kept every
    token. `profiles` takes the largest step that it runs beforehand out of the cache's memory, `sampler` bytes of each
    logit among it; `graphs_inside` CUDA graphs too; `of_free` gives the cache a share of what is left, not of the card.
    Without a `utilization` all is given but what is `reserved`: so much, so much for each token of the largest step,
    for each sequence of the largest CUDA graph and for each GPU; on a large card no less than `reserved_mib_large`.
    `steps` are, for cards below so many GiB: the tokens of the largest step, and the sequences of the largest graph on
    fewer than four GPUs and on more.
    """

    batched_tokens: int
    batched_tokens_large: int
    sequences: int
    sequences_large: int
    chunked: bool
    page_tokens: int
    whole_answers: bool
    hybrid: bool
    prints_groups: bool
    state_pages: int
    graphs_inside: bool
    profiles: bool
    of_free: bool
    utilization: float | None = None
    reserved_mib: float = 0.0
    reserved_mib_per_token: float = 0.0
    reserved_mib_per_graph: float = 0.0
    reserved_mib_per_gpu: float = 0.0
    reserved_mib_large: float = 0.0
    steps: tuple[tuple[float, int, int, int], ...] = ()
    sampler_low: float = 0.0
    sampler_value: float = 0.0
    sampler_high: float = 0.0


@frozen
class Engine:
    """An engine of one release."""

    name: str
    release: str
    binary: str
    defaults: Defaults

    def batched_tokens(self, gpu: Gpu) -> int:
        """Tokens of the largest step on a card."""
        if self.defaults.steps:
            return self._step(gpu)[1]
        large = is_large(gpu)
        return self.defaults.batched_tokens_large if large else self.defaults.batched_tokens

    def utilization(self, gpu: Gpu, batched_tokens: int, gpus: int = 1) -> float:
        """The share of a card's memory that it takes where nobody says otherwise."""
        told = self.defaults
        if told.utilization is not None:
            return told.utilization
        shown = shown_gib(gpu)[1]
        graph = self._step(gpu)[2 if gpus < MANY_GPUS else 3]
        reserved = told.reserved_mib + told.reserved_mib_per_token * max(batched_tokens, told.batched_tokens)
        reserved += told.reserved_mib_per_graph * graph + told.reserved_mib_per_gpu * gpus
        if shown > RESERVES_MORE_GIB:
            reserved = max(reserved, told.reserved_mib_large)
        return max(0.1, round(1.0 - reserved / (1024.0 * shown), 3))

    def _step(self, gpu: Gpu) -> tuple[float, int, int, int]:
        """The row of `steps` for a card: the first below whose memory it is."""
        return next(row for row in self.defaults.steps if shown_gib(gpu)[1] < row[0])

    def sequences(self, gpu: Gpu) -> int:
        """The most sequences in a step on a card."""
        return self.defaults.sequences_large if is_large(gpu) else self.defaults.sequences


def is_large(gpu: Gpu) -> bool:
    """Whether a card takes the larger steps."""
    return shown_gib(gpu)[1] >= LARGE_GIB and NOT_LARGE not in gpu.name


@cache
def _tables() -> Mapping[str, Any]:
    path = data_folder() / "engines.toml"
    try:
        return read_toml(path)
    except (OSError, ValueError) as error:
        raise BadData("error.bad_calibration", file=path.name, problem=str(error)) from error


def shown_gib(gpu: Gpu) -> tuple[float, float, float]:
    """GiB of a card as CUDA shows them: low, middle, high."""
    known = None if "memory_gb" in gpu.own else _tables()["shown"].get(gpu.base or gpu.name)
    if known is not None:
        low, high = known
        return low, (low + high) / 2, high
    shares = SHOWN_GDDR6 if gpu.memory_type == "GDDR6" else SHOWN_OTHER
    low, value, high = (share * gpu.memory_gb for share in shares)
    return low, value, high


def names() -> tuple[str, ...]:
    """The engines that are known."""
    return tuple(one["name"] for one in _tables()["engine"])


@cache
def engine_of(said: str) -> Engine:
    """The engine that is asked for: a name, or a name and a release after a colon.

    Raises:
        BadInput: the engine is not known, or its release is older than what is.
    """
    name, _, release = said.strip().lower().partition(":")
    name = one_of("engine", name, names())
    table = next(one for one in _tables()["engine"] if one["name"] == name)
    wanted = release.lstrip("v") or table["newest"]
    steps = table["from"]
    oldest = steps[0]["release"]
    if not _is_release(wanted) or _parts(wanted) < _parts(oldest):
        raise BadInput(
            "error.engine_release", engine=name, release=release, oldest=oldest, newest=table["newest"]
        )
    values: dict[str, Any] = {}
    for step in steps:
        if _parts(step["release"]) <= _parts(wanted):
            values |= {key: value for key, value in step.items() if key != "release"}
    values["steps"] = tuple(map(tuple, values.get("steps", ())))
    return Engine(name=name, release=wanted, binary=table["binary"], defaults=Defaults(**values))


def _is_release(text: str) -> bool:
    return all(part.isdigit() for part in text.split("."))


def _parts(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
