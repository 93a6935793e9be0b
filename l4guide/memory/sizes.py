"""What a model keeps on a card, part by part, in bytes."""

from dataclasses import replace

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers, total
from l4guide.memory.training import training_parts, weight_share
from l4guide.model import LATENT, LINEAR, Architecture, Layers, Mixer, stored_bytes
from l4guide.step.media import NO_MEDIA
from l4guide.step.plan import Plan
from l4guide.step.spans import source_tokens
from l4guide.step.towers import as_model
from l4guide.workload import ELEMENT_BYTES

GIB = 2**30
#: Tokens of one prefill chunk that a serving framework works on at once.
PREFILL_CHUNK = 8192
#: The CUDA context with its libraries, and what the allocator cannot give back, of everything else.
CONTEXT_LOW, CONTEXT_VALUE, CONTEXT_HIGH = 0.4 * GIB, 0.7 * GIB, 1.3 * GIB
LOST_LOW, LOST_VALUE, LOST_HIGH = 0.0, 0.02, 0.06
#: The same of training, whose tensors come and go. Its low end leaves the context out, as PyTorch's own counter does,
#: which most published peaks are; what the allocator holds was published 12 and 24 % above that.
CONTEXT_LOW_TRAINING = 0.0
LOST_VALUE_TRAINING, LOST_HIGH_TRAINING = 0.04, 0.12
#: Activations by count, against what allocators and fused kernels make of them.
SPREAD_LOW, SPREAD_HIGH = 0.8, 1.35
#: Rows of the logits are in fp32.
LOGIT_BYTES = 4.0
#: Bytes that eager attention needs of one score.
SCORE_BYTES = 6.0


@frozen
class Sizes:
    """Bytes on each card, by part; arrays of one shape."""

    parts: dict[str, Interval]

    @property
    def bytes(self) -> Interval:
        """All of it."""
        return total(self.parts.values())


def sizes(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> Sizes:
    """Bytes on each of the plan's cards for `batch` sequences of `context` tokens.

    Serving divides layers and cache among the cards. Training divides what its recipe says, and gives every card its
    own `batch`.
    """
    like = np.ones(np.broadcast(batch, context).shape)
    cards = weight_share(plan) if plan.trains else plan.gpus
    parts = {"weights": Interval.exactly(weight_bytes(model, plan) / cards * like)}
    if plan.trains:
        parts |= training_parts(model, plan, batch, context)
    else:
        # A causal model keeps keys and values; an encoder keeps nothing from one call to the next.
        if model.causal:
            parts["kv_cache"] = Interval.exactly(cache_bytes(model, plan, batch, context))
        working = working_bytes(model, plan, batch, context)
        # A tower passes before the prompt, so that the larger of both counts; decode admits a request at a time.
        at_once = np.ones_like(batch) if plan.task == "decode" else batch
        parts["activations"] = _spread(np.maximum(working, tower_bytes(plan, at_once)))
    parts["reserve"] = _reserve(total(parts.values()), trains=plan.trains)
    return Sizes(parts=parts)


def _reserve(used: Interval, *, trains: bool) -> Interval:
    """The CUDA context, and what the allocator holds beyond what is used."""
    low = CONTEXT_LOW_TRAINING if trains else CONTEXT_LOW
    value, high = (LOST_VALUE_TRAINING, LOST_HIGH_TRAINING) if trains else (LOST_VALUE, LOST_HIGH)
    lost = Interval.of(used.low * LOST_LOW, used.value * value, used.high * high)
    return Interval.of(low, CONTEXT_VALUE, CONTEXT_HIGH) + lost


def weight_bytes(model: Architecture, plan: Plan) -> float:
    """Weights of the whole model as its checkpoint keeps them, or in the plan's type where that is another.

    Layers that predict further tokens are not counted: a checkpoint holds them, but a run does not load them.
    """
    return stored_bytes(model.modules, model.kept_in(plan.weights), model.layer_count, loaded=True)


def cache_bytes(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> Numbers:
    """Keys and values of one card's part, and states: of a window where there is one, of one token in so many.

    Cards that share a model divide its KV heads; where they are more than its heads, each keeps one. A latent cache
    cannot be divided.
    """
    element = ELEMENT_BYTES[plan.kv_dtype]
    found = np.zeros(np.broadcast(batch, context).shape)
    for group in model.layers:
        mixer = group.mixer
        if mixer.kind == LINEAR:
            found = found + group.count * batch * mixer.state_bytes / plan.gpus
            continue
        parts = 1 if mixer.kind == LATENT else min(plan.gpus, mixer.kv_heads or 1)
        found = found + group.count * batch * _elements(mixer, context) * element / parts
    return found


def _elements(mixer: Mixer, context: Numbers) -> Numbers:
    """Elements that a layer keeps of `context` tokens."""
    columns = mixer.cached_columns()
    if mixer.source_tokens is not None:
        return np.full_like(context, mixer.source_tokens) * columns
    found: Numbers = columns * context
    if mixer.stride > 1:
        found = np.minimum(context, mixer.recent) * columns
        found = found + np.floor(context / mixer.stride) * (columns + mixer.index_columns)
    elif mixer.reach:
        found = np.minimum(context, mixer.reach) * columns
    return found


def working_bytes(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> Numbers:
    """What a serving step needs while it runs: the widest layer's tensors and the logits."""
    rows = batch * 1.0 if plan.task == "decode" else _rows_at_once(model, batch, context)
    widest = max(_columns(group, model.hidden) for group in model.layers)
    scores = np.zeros_like(rows)
    if not plan.flash:
        heads = max((group.mixer.heads for group in model.layers if group.mixer.attends), default=0)
        scores = SCORE_BYTES * rows * heads / plan.gpus * context
    found: Numbers = rows * (4.0 * model.hidden + 2.0 * widest / plan.gpus) + scores
    return found + batch * model.vocabulary * LOGIT_BYTES * model.causal


def _rows_at_once(model: Architecture, batch: Numbers, context: Numbers) -> Numbers:
    """Tokens of a prompt that are worked on at once: a chunk, but all where every token sees every other."""
    if model.has_encoder:
        return batch * source_tokens(model, context)
    return np.minimum(batch * context, PREFILL_CHUNK) if model.causal else batch * context


def tower_bytes(plan: Plan, batch: Numbers) -> Numbers:
    """What the towers need while they run over the images and sounds of `batch` requests: the largest of them."""
    found = np.zeros_like(batch)
    for view in plan.media.views:
        alone = replace(plan, task="prefill", media=NO_MEDIA)
        positions = np.full_like(batch, float(view.positions))
        here = working_bytes(as_model(view.tower), alone, batch * view.sequences, positions)
        found = np.maximum(found, here)
    return found


def _columns(group: Layers, hidden: int) -> int:
    """Columns of the widest tensors of a layer that live at the same time."""
    mixer, wide = group.mixer, group.feed_forward
    mixing = mixer.heads * (mixer.head_dim + mixer.head_dim_v) + mixer.cached_columns() + mixer.columns_in
    inside = wide.matrices * (wide.intermediate + wide.active * wide.expert_intermediate)
    return max(mixing, inside, hidden)


def _spread(count: Numbers) -> Interval:
    return Interval.of(SPREAD_LOW * count, count, SPREAD_HIGH * count)
