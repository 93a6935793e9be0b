"""What training keeps on a card, part by part, in bytes: each part as its recipe has it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from l4guide.interval import Interval, Numbers
from l4guide.memory.activations import kept_bytes, layer_bytes, logit_bytes, working_bytes
from l4guide.model import Architecture, stored_bytes
from l4guide.step import Plan
from l4guide.step.matrices import largest, of_model, trained_weights, widest_layer
from l4guide.step.plan import is_narrow

#: A layer of which all parts are gathered is used while the next one is on its way.
GATHERED_LAYERS = 2.0
#: Of a layer's weights in 16 bits, what is widened at a time: one matrix of it, some of it again while it is used.
WIDENED_LOW, WIDENED, WIDENED_HIGH = 0.3, 0.7, 2.0
#: DoRA adds the product of its matrices to the weights to take the lengths of the columns: that sum, and its square.
MERGED_LOW, MERGED, MERGED_HIGH = 2.0, 4.0, 8.0
#: Some trainers widen embeddings, head and norms of a quantised model to 32 bits, from 16.
UPCAST_HIGH = 2.0


def training_parts(model: Architecture, plan: Plan, batch: Numbers, context: Numbers) -> dict[str, Interval]:
    """Bytes on each card of what training holds beside the weights.

    Each card has its own `batch` of sequences of `context` tokens; ZeRO divides states, gradients and weights.
    """
    like = np.ones(np.broadcast(batch, context).shape)
    found = {name: part.times(like) for name, part in _held(model, plan).items()}
    kept = kept_bytes(model, plan, batch, context)
    working = working_bytes(model, plan, batch, context)
    logits = logit_bytes(model, plan, batch, context)
    # The loss and a layer's backward are not at work at the same time: the larger of both counts.
    peak = working.upper(logits)
    layer = layer_bytes(model, plan, batch, context)
    used = _beside_gradients(plan, kept + peak, layer, found["gradients"], _first_gradient(model, plan))
    at_loss = (logits.value >= working.value) & (used.value > layer.value)
    found["activations"] = _but(used, peak, at_loss)
    if at_loss.any():
        ends = zip(_ends(used), _ends(found["activations"]), strict=True)
        found["logits"] = Interval.of(*(end - other for end, other in ends))
    return found


def _but(used: Interval, peak: Interval, at_loss: NDArray[np.bool_]) -> Interval:
    """What is used but for what the loss needs, where that is the most."""
    low, value, high = (
        end - np.where(at_loss, np.minimum(loss, end), 0.0)
        for end, loss in zip(_ends(used), _ends(peak), strict=True)
    )
    return Interval.of(np.minimum(low, value), value, high)


def _beside_gradients(
    plan: Plan, most: Interval, layer: Interval, gradients: Interval, first: float
) -> Interval:
    """What activations need beside all gradients, of which `first` bytes are there already at the loss.

    Gradients come as the backward pass lets activations go: at its end all of them are there, and one layer.
    Frameworks that keep an fp32 copy mostly hold buffers for gradients all the while, and so does accumulation.
    """
    recipe = plan.recipe
    if recipe.adapts or recipe.fused_step or recipe.accumulation > 1:
        return most
    low, value = (
        np.maximum(one, end - np.maximum(gradient - first, 0.0))
        for one, end, gradient in zip(_ends(layer)[:2], _ends(most)[:2], _ends(gradients)[:2], strict=True)
    )
    return Interval.of(low, most.value if recipe.master_weights else value, most.high)


def _ends(of: Interval) -> tuple[Numbers, Numbers, Numbers]:
    return of.low, of.value, of.high


def bytes_per_weight(model: Architecture, plan: Plan) -> float:
    """Bytes of all cards that training keeps for each weight that it trains: itself, gradient, fp32 copy and states."""
    weights = trained_weights(model, plan.recipe)
    copy = 4.0 if _has_copy(plan) and not plan.recipe.adapts else 0.0
    gradient = _gradients(model, replace(plan, gpus=1), weights).value.item()
    return _trained_bytes(plan) + copy + (gradient + _states(model, plan)) / max(weights, 1.0)


def weight_share(plan: Plan) -> int:
    """Among how many cards a training divides the weights."""
    return plan.divides(3)


def host_bytes(model: Architecture, plan: Plan, batch: float, context: float) -> float:
    """Bytes that one card's process keeps in host memory: paged states, and the inputs of layers that wait there."""
    recipe = plan.recipe
    found = _states(model, plan) / plan.divides(1) if recipe.is_paged else 0.0
    if recipe.recompute == "offload":
        found += 2.0 * batch * context * model.layer_count * model.hidden
    return found


def _held(model: Architecture, plan: Plan) -> dict[str, Interval]:
    """Bytes on each card of what does not depend on the tokens."""
    recipe = plan.recipe
    weights = trained_weights(model, recipe)
    found = {"gradients": _gradients(model, plan, weights)}
    states = 0.0 if recipe.is_paged else _states(model, plan)
    found["optimizer"] = Interval.exactly(states / plan.divides(1))
    if recipe.adapts:
        found["adapter"] = Interval.exactly(_trained_bytes(plan) * weights)
        if recipe.master_weights:
            # Trainers differ in the type of adapters: PEFT widens them to fp32, torchtune and litgpt do not.
            narrow = _held(model, replace(plan, recipe=replace(recipe, master_weights=False)))
            found = {name: Interval.of(narrow[name].low, one.value, one.high) for name, one in found.items()}
    elif _has_copy(plan):
        found["master_weights"] = Interval.exactly(4.0 * weights / plan.divides(1))
    return found | _temporary(model, plan)


def _temporary(model: Architecture, plan: Plan) -> dict[str, Interval]:
    """What is widened, cast, merged or gathered for a while."""
    recipe, widest = plan.recipe, float(widest_layer(model))
    found = {}
    if plan.widens:
        shares = (WIDENED_LOW, WIDENED, WIDENED_HIGH)
        found["widened_layer"] = Interval.of(*(share * widest for share in shares))
        if is_narrow(plan.weights):
            outside = model.embedding_weights / weight_share(plan)
            found["upcast"] = Interval.of(0.0, 0.0, UPCAST_HIGH * outside)
    if plan.weights == "fp32" and plan.dtype in ("bf16", "fp16"):
        # Arithmetic in 16 bits on weights in 32 casts each; what is not run again keeps the cast.
        cast = model.layer_weights if recipe.recompute in ("none", "selective") else widest
        found["cast_weights"] = Interval.exactly(2.0 * cast)
    if recipe.method == "dora":
        wide = max((one.weights for one in of_model(model) if one.is_in(recipe.targets)), default=0)
        found["merged_matrix"] = Interval.of(MERGED_LOW * wide, MERGED * wide, MERGED_HIGH * wide)
    cards = weight_share(plan)
    if cards > 1:
        whole = stored_bytes(model.modules, model.kept_in(plan.weights), model.layer_count, loaded=True)
        layer = GATHERED_LAYERS * widest * whole / model.parameters
        # No more is gathered than what lies on the other cards.
        found["gathered_layer"] = Interval.exactly(min(layer, whole * (1.0 - 1.0 / cards)))
    return found


def _has_copy(plan: Plan) -> bool:
    """Whether an fp32 copy is kept beside 16-bit weights."""
    return plan.recipe.master_weights and plan.weights != "fp32"


def _trained_bytes(plan: Plan) -> float:
    """Bytes of a weight as it is trained: adapters are in fp32 where full training would keep an fp32 copy."""
    if plan.recipe.adapts:
        return 4.0 if plan.recipe.master_weights else 2.0
    return 4.0 if plan.weights == "fp32" else 2.0


def _gradients(model: Architecture, plan: Plan, weights: float) -> Interval:
    """A gradient has the type of its weight; where an fp32 copy is updated some sum it in fp32."""
    recipe, each = plan.recipe, _trained_bytes(plan)
    high = 4.0 if _has_copy(plan) else each
    alive = weights / plan.divides(2)
    if recipe.fused_step and not recipe.adapts:
        return Interval.of(
            *(_first_gradient(model, plan) * end / each for end in (each, each, max(each, high)))
        )
    return Interval.of(each * alive, each * alive, max(each, high) * alive)


def _first_gradient(model: Architecture, plan: Plan) -> float:
    """Bytes of the largest gradient, which for most models is the first: that of the output product."""
    weights = trained_weights(model, plan.recipe) / plan.divides(2)
    return _trained_bytes(plan) * min(weights, float(largest(model)))


def _states(model: Architecture, plan: Plan) -> float:
    """Bytes of all optimizer states of the model, on all cards together.

    They are in fp32 beside weights that are updated in fp32, else in the weights' type; or in 8 bits.
    """
    recipe = plan.recipe
    weights = trained_weights(model, recipe)
    wide = 4.0 if _has_copy(plan) or _trained_bytes(plan) == 4.0 else 2.0
    if recipe.optimizer == "adafactor":
        return wide * _rows_and_columns(model, plan)
    found = recipe.state_bytes(wide) * weights
    if recipe.optimizer == "muon" and not recipe.adapts:
        # What is no matrix of a layer has both moments of Adam.
        found += wide * (weights - model.layer_weights)
    return found


def _rows_and_columns(model: Architecture, plan: Plan) -> float:
    """Rows and columns of all that is trained: for adapters of two thin matrices for each target."""
    recipe = plan.recipe
    if not recipe.adapts:
        tables = model.vocabulary + model.hidden
        return float(sum(one.count * (one.rows + one.columns) for one in of_model(model)) + tables)
    return trained_weights(model, recipe) * (1.0 + 1.0 / recipe.rank)
