"""What a sequence takes of the cache in whole pages: of a uniform model, and of one whose layers keep unlike things."""

from dataclasses import replace

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Numbers
from l4guide.memory import cache_bytes
from l4guide.model import FULL, LINEAR, WINDOW, Architecture, FeedForward, Layers, Mixer
from l4guide.serving.engine import Engine
from l4guide.step import Plan

#: Attention pages that grow to the size of a state's page grow by so many tokens.
GROWTH = 16


@frozen
class Pages:
    """How a cache is paged on each card of a plan.

    `tokens` of one sequence share a page; `bytes` is a page of all layers of a group together. Uniform models have one
    group. `batched_tokens` may stand in a layer with a window beside it.
    """

    model: Architecture
    plan: Plan
    engine: Engine
    batched_tokens: int
    tokens: int
    bytes: float
    #: Layers of one kind that share a table of pages, and how many such groups there are, by their attention.
    groups: tuple[tuple[Mixer, int], ...]

    def of_sequence(self, tokens: Numbers) -> Numbers:
        """Bytes on one card that a sequence of so many tokens takes."""
        if len(self.groups) > 1:
            return self.pages(tokens) * self.bytes
        whole = np.ceil(tokens / self.tokens) * self.tokens
        return cache_bytes(self.model, self.plan, np.ones_like(whole), whole)

    def pages(self, tokens: Numbers) -> Numbers:
        """Pages of all groups that a sequence of so many tokens takes."""
        found = np.zeros_like(tokens)
        for mixer, groups in self.groups:
            found = found + groups * self._of_group(mixer, np.ceil(tokens / self.tokens))
        return found

    def _of_group(self, mixer: Mixer, every: Numbers) -> Numbers:
        if mixer.kind == LINEAR:
            return np.full_like(every, self.engine.defaults.state_pages)
        if not mixer.reach:
            return every
        seen = -(-(mixer.reach - 1 + self.batched_tokens) // self.tokens) + 1
        return np.minimum(every, seen)


def pages_of(model: Architecture, plan: Plan, engine: Engine, batched_tokens: int) -> Pages:
    """How an engine pages the cache of a model."""
    kept = _kept(model, engine)
    tokens, size, groups = engine.defaults.page_tokens, 0.0, [(mixer, 1) for mixer in kept][:1]
    # Engines that keep single tokens have a pool for each kind; the others give all kinds pages of one size.
    if len(kept) > 1 and tokens > 1:
        tokens, size, groups = _grouped(kept, plan, tokens)
    return Pages(
        model=model if engine.defaults.hybrid else _unwindowed(model),
        plan=plan,
        engine=engine,
        batched_tokens=batched_tokens,
        tokens=tokens,
        bytes=size,
        groups=tuple(groups),
    )


def _unwindowed(model: Architecture) -> Architecture:
    """The same model as an engine pages it that keeps all tokens of a layer with a window."""
    layers = tuple(replace(group, mixer=_full(group.mixer)) for group in model.layers)
    return replace(model, layers=layers)


def _full(mixer: Mixer) -> Mixer:
    return replace(mixer, kind=FULL if mixer.kind == WINDOW else mixer.kind, window=None)


def _kept(model: Architecture, engine: Engine) -> dict[Mixer, int]:
    """Layers that keep anything, by what they keep."""
    found: dict[Mixer, int] = {}
    for group in model.layers:
        mixer = group.mixer if engine.defaults.hybrid else _full(group.mixer)
        if mixer.cached_columns() or mixer.state_elements:
            found[mixer] = found.get(mixer, 0) + group.count
    return found


def _grouped(kept: dict[Mixer, int], plan: Plan, tokens: int) -> tuple[int, float, list[tuple[Mixer, int]]]:
    """Tokens of a page, its bytes over a group of layers, and the groups: as many layers as the rarest kind has."""
    together = min(kept.values())
    groups = [(mixer, -(-count // together)) for mixer, count in kept.items()]
    widest = max((_bytes(mixer, plan, 1.0) for mixer in kept if mixer.kind != LINEAR), default=0.0)
    state = max((_bytes(mixer, plan, 1.0) for mixer in kept if mixer.kind == LINEAR), default=0.0)
    if widest and state > tokens * widest:
        tokens = GROWTH * -(-int(-(-state // widest)) // GROWTH)
    return tokens, together * max(tokens * widest, state), groups


def _bytes(mixer: Mixer, plan: Plan, tokens: float) -> float:
    """Bytes that one layer keeps of so many tokens on one card."""
    one = Architecture(
        name="",
        hidden=0,
        vocabulary=0,
        tied_embeddings=True,
        layers=(Layers(count=1, mixer=_full(mixer), feed_forward=FeedForward()),),
        max_context=None,
    )
    return float(cache_bytes(one, plan, np.ones(1), np.array([tokens])).item())
