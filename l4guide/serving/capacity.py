"""What a server grants its cache of a card's memory, and how many tokens and sequences that holds."""

import numpy as np

from l4guide.catalogue import Gpu
from l4guide.frozen import frozen
from l4guide.interval import Interval
from l4guide.memory import weight_bytes
from l4guide.model import Architecture
from l4guide.serving.engine import GIB, Engine, shown_gib
from l4guide.serving.pages import Pages, pages_of
from l4guide.step import Plan

#: What an engine holds outside of PyTorch, in GiB: alone, and with the links of several cards (logs of vLLM).
OUTSIDE, OUTSIDE_LINKED = (0.03, 0.2, 0.6), (0.15, 0.5, 0.8)
#: CUDA graphs as estimated where they count, in GiB: 0.36 in the one log that prints it, 0.07 to 2.4 once captured.
GRAPHS = (0.1, 0.4, 1.2)
#: Weights as loaded over their count: norms, buffers, padding.
LOADED = (1.0, 1.003, 1.02)
#: The same of experts in 4-bit floats, whose matrices kernels fill up to multiples of 256: 1.08 to 1.16 for gpt-oss.
PADDED = (1.0, 1.08, 1.17)
#: What the profile reaches of the tensors that are counted, and what of them it may find at most.
ACTIVATIONS = (0.5, 1.0, 1.5)

#: Before V1 vLLM cut the prompts of models that read further than this.
UNCHUNKED = 32_768


@frozen
class Request:
    """What is said to an engine at its start; None leaves it to the engine."""

    utilization: float | None = None
    max_model_len: int | None = None
    batched_tokens: int | None = None
    sequences: int | None = None
    eager: bool = False


@frozen
class Granted:
    """The memory of a server on each of its cards, in bytes by part, and its cache.

    `cache` may be below zero: then the server does not start. `max_model_len` is the longest sequence that it admits.
    """

    gpu: Gpu
    plan: Plan
    engine: Engine
    utilization: float
    batched_tokens: int
    sequences_at_most: int
    max_model_len: int
    parts: dict[str, Interval]
    cache: Interval
    pages: Pages

    def tokens(self) -> Interval:
        """Tokens of the cache over all cards, as the engine prints it; none where nothing is left."""
        room = self.cache.map(lambda end: np.maximum(end, 0.0))
        pages, page = self.pages, float(self.pages.tokens)
        if len(pages.groups) == 1:
            each = pages.of_sequence(np.array([page])).item()
            return room.map(lambda end: np.floor(end / each) * page)
        if self.engine.defaults.prints_groups:
            groups = sum(number for _, number in pages.groups)
            return room.map(lambda end: np.floor(end / pages.bytes / groups) * page)
        longest = float(self.max_model_len)
        each = pages.of_sequence(np.array([longest])).item()
        return room.map(lambda end: np.floor(end / each * longest))

    def sequences(self, tokens: float, shared: float = 0.0) -> Interval:
        """Sequences of so many tokens each that fit at once, where `shared` more are common to all of them.

        Models that keep nothing of a token have room for as many as the engine admits.
        """
        each, once = (self.pages.of_sequence(np.array([max(n, 1.0)])).item() for n in (tokens, shared))
        room = self.cache.map(lambda end: np.maximum(end - (once if shared else 0.0), 0.0))
        if not each:
            return Interval.exactly(float(self.sequences_at_most))
        return room.map(lambda end: np.minimum(np.floor(end / each), self.sequences_at_most))


def granted(gpu: Gpu, model: Architecture, plan: Plan, engine: Engine, asked: Request) -> Granted:
    """What an engine grants on each of a plan's cards."""
    longest = asked.max_model_len or model.max_context or 4096
    batched = asked.batched_tokens or engine.batched_tokens(gpu)
    if not engine.defaults.chunked:
        batched = max(batched, longest) if longest <= UNCHUNKED else batched
    share = asked.utilization or engine.utilization(gpu, batched, plan.gpus)
    rows = asked.sequences or engine.sequences(gpu)
    parts = _parts(model, plan, engine, asked, batched, rows)
    shown = Interval.of(*(GIB * end for end in shown_gib(gpu)))
    taken = parts["weights"] + parts["outside"] + parts["activations"] + parts["graphs"]
    room = shown if engine.defaults.of_free else shown.times(share)
    # Much taken leaves little: the ends cross.
    cache = Interval.of(room.low - taken.high, room.value - taken.value, room.high - taken.low)
    return Granted(
        gpu=gpu,
        plan=plan,
        engine=engine,
        utilization=share,
        batched_tokens=batched,
        sequences_at_most=rows,
        max_model_len=longest,
        parts=parts,
        cache=cache.times(share) if engine.defaults.of_free else cache,
        pages=pages_of(model, plan, engine, batched),
    )


def _parts(
    model: Architecture, plan: Plan, engine: Engine, asked: Request, batched: int, rows: int
) -> dict[str, Interval]:
    """Bytes on each card that are not the cache's."""
    weights = weight_bytes(model, plan) / plan.gpus
    told = engine.defaults
    tensors = _step_bytes(model, plan, batched)
    logits = float(rows * model.vocabulary)
    nothing = Interval.exactly(0.0)
    peak = Interval.of(
        *(
            max(share * tensors, sampled * logits)
            for share, sampled in zip(
                ACTIVATIONS, (told.sampler_low, told.sampler_value, told.sampler_high), strict=True
            )
        )
    )
    outside = OUTSIDE if plan.gpus == 1 else OUTSIDE_LINKED
    return {
        "weights": Interval.of(*(weights * end for end in (PADDED if plan.weights == "mxfp4" else LOADED))),
        "outside": Interval.of(*(GIB * end for end in outside)),
        "activations": peak if told.profiles else nothing,
        "graphs": Interval.of(*(GIB * end for end in GRAPHS))
        if told.graphs_inside and not asked.eager
        else nothing,
    }


def _step_bytes(model: Architecture, plan: Plan, tokens: int) -> float:
    """Bytes of a step's tensors that live at once: hidden states, and both halves of a product with its result."""
    inside = max(
        g.feed_forward.matrices
        * (g.feed_forward.intermediate + g.feed_forward.active * g.feed_forward.expert_intermediate)
        for g in model.layers
    )
    return 2.0 * tokens * (3.0 * model.hidden + inside / plan.gpus)
