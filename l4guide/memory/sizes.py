"""What a model keeps on a card, part by part, in bytes."""

from dataclasses import replace

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers, total
from l4guide.model import LATENT, LINEAR, WINDOW, Architecture, Layers, Mixer, stored_bytes
from l4guide.step.media import NO_MEDIA
from l4guide.step.plan import Plan
from l4guide.step.spans import source_tokens
from l4guide.step.towers import as_model
from l4guide.step.training import trained_weights
from l4guide.workload import ELEMENT_BYTES

GIB = 2**30
#: Adam on 16-bit weights: gradient 2 (4 where summed in fp32), fp32 copy 4, two moments 8.
GRADIENT_BYTES, STATE_BYTES = 2.0, 12.0
#: Tokens of one prefill chunk that a serving framework works on at once.
PREFILL_CHUNK = 8192
#: The CUDA context with its libraries, and what the allocator cannot give back, of everything else.
CONTEXT_LOW, CONTEXT_VALUE, CONTEXT_HIGH = 0.4 * GIB, 0.7 * GIB, 1.3 * GIB
LOST_LOW, LOST_VALUE, LOST_HIGH = 0.0, 0.02, 0.06
#: Activations by count, against what allocators and fused kernels make of them.
SPREAD_LOW, SPREAD_HIGH = 0.8, 1.35
#: Rows of the logits are kept in 16 bits and in fp32, with the gradient of the latter.
LOGIT_BYTES_TRAINING, LOGIT_BYTES = 10.0, 4.0
#: Bytes that eager attention keeps of one score: 16-bit scores and probabilities, and the mask of a dropout.
SCORE_BYTES_TRAINING, SCORE_BYTES = 5.0, 6.0


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

    Serving divides layers and cache among the cards. Training divides weights, gradients and states, and gives every
    card its own `batch`.
    """
    like = np.ones(np.broadcast(batch, context).shape)
    parts = {"weights": Interval.exactly(weight_bytes(model, plan) / plan.gpus * like)}
    if plan.trains:
        parts |= _trained(model, plan, like)
        parts["activations"] = _spread(kept_bytes(model, plan, batch, context))
    else:
        # A causal model keeps keys and values; an encoder keeps nothing from one call to the next.
        if model.causal:
            parts["kv_cache"] = Interval.exactly(cache_bytes(model, plan, batch, context))
        working = working_bytes(model, plan, batch, context)
        # A tower passes before the prompt, so that the larger of both counts; decode admits a request at a time.
        at_once = np.ones_like(batch) if plan.task == "decode" else batch
        parts["activations"] = _spread(np.maximum(working, tower_bytes(plan, at_once)))
    used = total(parts.values())
    lost = Interval.of(used.low * LOST_LOW, used.value * LOST_VALUE, used.high * LOST_HIGH)
    parts["reserve"] = Interval.of(CONTEXT_LOW, CONTEXT_VALUE, CONTEXT_HIGH) + lost
    return Sizes(parts=parts)


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
    elif mixer.kind == WINDOW and mixer.window:
        found = np.minimum(context, mixer.window) * columns
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


def kept_bytes(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> Numbers:
    """What a training step keeps for the backward pass: each layer's tensors, or with recompute its input alone."""
    tokens = batch * context
    layers = [(group.count, _kept_columns(group, model.hidden)) for group in model.layers]
    if plan.recompute:
        kept = model.layer_count * model.hidden + max(columns for _, columns in layers)
    else:
        kept = sum(count * columns for count, columns in layers)
    found: Numbers = 2.0 * tokens * kept + tokens * model.vocabulary * LOGIT_BYTES_TRAINING
    if plan.flash:
        return found
    at_once = [(g.count, g.mixer.heads) for g in model.layers if g.mixer.attends]
    heads = max((h for _, h in at_once), default=0) if plan.recompute else sum(n * h for n, h in at_once)
    return found + SCORE_BYTES_TRAINING * heads * tokens * context


def _columns(group: Layers, hidden: int) -> int:
    """Columns of the widest tensors of a layer that live at the same time."""
    mixer, wide = group.mixer, group.feed_forward
    mixing = mixer.heads * (mixer.head_dim + mixer.head_dim_v) + mixer.cached_columns() + mixer.columns_in
    inside = wide.matrices * (wide.intermediate + wide.active * wide.expert_intermediate)
    return max(mixing, inside, hidden)


def _kept_columns(group: Layers, hidden: int) -> int:
    """16-bit columns that a layer keeps of a token: inputs of norms and products, Q, K, V, output, inside.

    Attention that never writes its scores keeps one number a row and head beside its output.
    """
    mixer, wide = group.mixer, group.feed_forward
    mixing = mixer.heads * (mixer.head_dim + mixer.head_dim_v + 2) + mixer.cached_columns()
    if mixer.kind == LATENT:
        mixing += mixer.heads * (mixer.head_dim + mixer.head_dim_v) + mixer.query_rank
    if mixer.kind == LINEAR:
        mixing = mixer.columns_in + mixer.columns_out
    inside = wide.matrices * (wide.intermediate + wide.active * wide.expert_intermediate)
    return 4 * hidden + mixing + inside


def _trained(model: Architecture, plan: Plan, like: Numbers) -> dict[str, Interval]:
    """Gradients and optimizer states, and for an adapter its own weights."""
    weights = trained_weights(model, plan.method, plan.rank) / plan.gpus
    gradient = Interval.of(GRADIENT_BYTES, GRADIENT_BYTES, 2 * GRADIENT_BYTES)
    found = {"gradients": gradient.times(weights * like)}
    states = STATE_BYTES * weights
    if plan.weights == "fp32":
        states = (STATE_BYTES - 4.0) * weights
    found["optimizer"] = Interval.exactly(states * like)
    if plan.method != "full":
        found["adapter"] = Interval.exactly(2.0 * weights * like)
    if plan.method == "qlora":
        widest = max(
            g.mixer.weights(model.hidden) + g.feed_forward.weights(model.hidden) for g in model.layers
        )
        found["widened_layer"] = Interval.of(0.3 * widest * like, 0.7 * widest * like, 2.0 * widest * like)
    elif plan.gpus > 1:
        widest = max(
            g.mixer.weights(model.hidden) + g.feed_forward.weights(model.hidden) for g in model.layers
        )
        found["gathered_layer"] = Interval.exactly(2.0 * 2.0 * widest * like)
    return found


def _spread(count: Numbers) -> Interval:
    return Interval.of(SPREAD_LOW * count, count, SPREAD_HIGH * count)
