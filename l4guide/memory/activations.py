"""What a training step keeps of its tokens for the backward pass, and what that needs while it works.

Columns are 16-bit numbers of a token. They were counted on the tensors that PyTorch saves of a Llama of transformers
(`tests/l4guide/memory/test_saved.py`): unfused norms keep their input in fp32; a product keeps its input where its
weights are trained, have an adapter, or are quantised (bitsandbytes).
"""

from collections.abc import Callable

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers
from l4guide.model import LATENT, LINEAR, Architecture, Layers
from l4guide.step import Plan
from l4guide.step.matrices import of_layer
from l4guide.step.recipe import ATTENTION, Recipe
from l4guide.step.spans import source_tokens

#: Bytes of a logit: a 16-bit loss; 16-bit logits, fp32 logits and their gradient; all copies that older trainers make
#: (16 bits, fp32, shifted, log-softmax, gradient of each).
LOGITS_LOW, LOGITS, LOGITS_HIGH = 8.0, 10.0, 20.0
#: The same of a loss in chunks: none where logits never leave the chip (cut cross-entropy), a part of them in fp32, or
#: the 16-bit logits of all tokens with one chunk in fp32 (torchtune).
CHUNK_LOW, CHUNK, CHUNK_HIGH = 0.0, 1.5, 3.5
#: What dropout and fp32 copies for the adapters add to what unfused kernels keep.
COPIES_HIGH = 1.4
#: Bytes that eager attention keeps of one score: 16-bit scores and probabilities, and the mask of a dropout.
SCORE_BYTES = 5.0
#: Layers whose inputs are on the card where the others wait in host memory: the one at work, and two in flight.
IN_FLIGHT = 3


@frozen
class Columns:
    """16-bit columns of a token in one layer: as fused kernels keep them, unfused ones, and gradients at work."""

    fused: float
    unfused: float
    gradients: float


def kept_bytes(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> Interval:
    """What the forward pass keeps of all layers."""
    kind, layers = plan.recipe.recompute, model.layer_count
    columns = [(group, columns_of(group, model.hidden, plan)) for group in model.layers]

    def summed(of: Callable[[Columns], float]) -> Numbers:
        found = np.zeros(np.broadcast(batch, context).shape)
        for group, kept in columns:
            found = found + 2.0 * group.count * of(kept) * _tokens(model, group, batch, context)
        return found

    if kind in ("full", "offload"):
        there = min(layers, IN_FLIGHT) / max(layers, 1) if kind == "offload" else 1.0
        return Interval.exactly(there * summed(lambda _: model.hidden))
    fused = summed(lambda found: found.fused)
    if kind == "selective":
        return Interval.exactly(fused)
    unfused = summed(lambda found: found.unfused)
    heads = sum(group.count * group.mixer.heads for group in model.layers if group.mixer.attends)
    kept = Interval.of(fused, unfused, unfused * COPIES_HIGH)
    return kept + _scores(heads, plan, batch, context)


def layer_bytes(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> Interval:
    """What the backward pass of one layer has on the card: all that it keeps, or has run again, and gradients of it."""
    found = Interval.exactly(np.zeros(np.broadcast(batch, context).shape))
    for group in model.layers:
        of = columns_of(group, model.hidden, plan)
        ends = (of.fused, of.unfused + of.gradients, of.unfused * COPIES_HIGH + of.gradients)
        tokens = 2.0 * _tokens(model, group, batch, context)
        found = found.upper(Interval.of(*(tokens * end for end in ends)))
    heads = max((group.mixer.heads for group in model.layers if group.mixer.attends), default=0)
    return found + _scores(heads, plan, batch, context)


def working_bytes(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> Interval:
    """What of that is not among what all layers keep."""
    kind = plan.recipe.recompute
    gradients = kept = np.zeros(np.broadcast(batch, context).shape)
    for group in model.layers:
        of, tokens = columns_of(group, model.hidden, plan), 2.0 * _tokens(model, group, batch, context)
        gradients = np.maximum(gradients, tokens * of.gradients)
        kept = np.maximum(kept, tokens * (of.fused if kind == "selective" else model.hidden))
    if kind == "none":
        return Interval.of(0.0 * gradients, gradients, gradients)
    layer = layer_bytes(model, plan, batch, context)
    return layer.map(lambda end: np.maximum(end - kept, 0.0))


def _tokens(model: Architecture, group: Layers, batch: Numbers, context: Numbers) -> Numbers:
    """Tokens that pass a layer: those of an encoder beside a decoder are the source's."""
    if model.has_encoder and not group.mixer.cached:
        return batch * source_tokens(model, context)
    return batch * context


def logit_bytes(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> Interval:
    """What the loss needs at its peak: logits of all tokens, their copies and gradients; or of a chunk of them."""
    each = (LOGITS_LOW, LOGITS, LOGITS_HIGH) if plan.recipe.loss == "full" else (CHUNK_LOW, CHUNK, CHUNK_HIGH)
    rows = batch * context * float(model.vocabulary)
    return Interval.of(*(rows * size for size in each))


def columns_of(group: Layers, hidden: int, plan: Plan) -> Columns:
    """16-bit columns that a layer keeps of a token."""
    wide = group.feed_forward
    inner = wide.intermediate + wide.active * wide.expert_intermediate
    # Rows of a token are copied to its experts, and their results are kept to weigh them.
    routed = 2 * wide.active * hidden if wide.experts else 0
    mixing = _mixing_columns(group)
    needed = _inputs(group, hidden, plan)
    outputs = _dora_outputs(group, hidden, plan.recipe)
    into = (1 if needed["mixing"] else 0) + (1 if needed["up"] else 0)
    product = inner if needed["down"] else 0
    norms = 2 * hidden + (2 * hidden if not plan.recipe.adapts else 0)
    fused = 2 * hidden + into * hidden + mixing + (2 if wide.gated else 1) * inner + routed
    inside = (3 if wide.gated else 1) * inner + product
    unfused = 2 * hidden + norms + into * hidden + mixing + inside + routed + outputs
    return Columns(fused=fused, unfused=unfused, gradients=2 * hidden + (2 if wide.gated else 1) * inner)


def _mixing_columns(group: Layers) -> int:
    """Queries, keys, values, the result, and a number a row and head for the softmax: or what a linear layer reads."""
    mixer = group.mixer
    if mixer.kind == LINEAR:
        return mixer.columns_in + mixer.columns_out
    if not mixer.attends:
        return 0
    found = mixer.heads * (mixer.head_dim + mixer.head_dim_v + 2)
    if mixer.kind == LATENT:
        return (
            found
            + mixer.heads * (mixer.head_dim + mixer.head_dim_v)
            + mixer.query_rank
            + mixer.cached_columns()
        )
    return found + mixer.kv_heads * (mixer.head_dim + mixer.head_dim_v)


def _inputs(group: Layers, hidden: int, plan: Plan) -> dict[str, bool]:
    """Which products of a layer keep their input."""
    every = not plan.recipe.adapts or plan.widens
    matrices = of_layer(group, hidden)

    def any_of(part: str, *names: str) -> bool:
        chosen = [one for one in matrices if one.part == part and (not names or one.name in names)]
        return every or any(one.is_in(plan.recipe.targets) for one in chosen)

    mixing = [one for one in matrices if one.part == ATTENTION and one.name not in ("o_proj", "out_proj")]
    return {
        "mixing": every or any(one.is_in(plan.recipe.targets) for one in mixing),
        "up": any_of("mlp", "gate_proj", "up_proj"),
        "down": any_of("mlp", "down_proj"),
    }


def _dora_outputs(group: Layers, hidden: int, recipe: Recipe) -> int:
    """DoRA scales the result of each target by a trained length, so the result is kept."""
    if recipe.method != "dora":
        return 0
    return sum(one.columns for one in of_layer(group, hidden) if one.is_in(recipe.targets) and one.count == 1)


def _scores(heads: int, plan: Plan, batch: Numbers, context: Numbers) -> Interval:
    """Scores that attention writes where it is not fused."""
    if plan.flash:
        return Interval.exactly(np.zeros(np.broadcast(batch, context).shape))
    return Interval.exactly(SCORE_BYTES * heads * batch * context * context)
