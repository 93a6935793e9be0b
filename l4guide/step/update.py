"""What a training step does beside the passes: the optimizer, and what travels between cards and to host memory."""

import numpy as np

from l4guide.errors import CannotDo
from l4guide.interval import Interval, Numbers
from l4guide.model import Architecture, stored_bytes
from l4guide.step.forward import Ground
from l4guide.step.matrices import of_model, trained_weights
from l4guide.step.rates import host_rate, link_rate

#: Gradient and 16-bit weight; the fp32 copy each way, or the 16-bit weight as it was.
GRADIENT_AND_WEIGHT, COPY, NO_COPY = 4.0, 8.0, 2.0
#: Muon orthogonalises each matrix in five steps of three products (Newton-Schulz).
MUON_STEPS = 5
#: Bytes of a gradient over the links, and of a gathered weight, in 16 bits.
GRADIENT_BYTES = 2.0
#: Most of a transfer hides behind products; what does not.
EXPOSED = 0.2


def optimizer_seconds(ground: Ground, model: Architecture, like: Numbers) -> Interval:
    """Seconds of one update of one card's part of all that is trained."""
    plan, recipe = ground.plan, ground.plan.recipe
    if recipe.optimizer == "none":
        return Interval.exactly(0.0 * like)
    weights = trained_weights(model, recipe) / plan.divides(1)
    states = recipe.state_bytes(4.0 if recipe.master_weights else 2.0)
    moved = 2.0 * states + GRADIENT_AND_WEIGHT + (COPY if recipe.master_weights else NO_COPY)
    seconds = ground.bytes.inverse(moved * weights * like)
    if recipe.optimizer == "muon":
        seconds = seconds + ground.flops.inverse(_muon_flops(model, ground) * like)
    return seconds


def _muon_flops(model: Architecture, ground: Ground) -> float:
    """FLOPs of orthogonalising every matrix that is trained; the smaller side is multiplied with itself."""
    recipe = ground.plan.recipe
    found = 0.0
    for one in of_model(model):
        sides = [(one.rows, one.columns)]
        if recipe.adapts:
            chosen = one.is_in(recipe.targets)
            sides = [(one.rows, recipe.rank), (recipe.rank, one.columns)] if chosen else []
        for side in sides:
            small, large = sorted(side)
            found += one.count * MUON_STEPS * small * small * (4.0 * large + 2.0 * small)
    return found / ground.plan.divides(1)


def host_seconds(ground: Ground, model: Architecture, compute: Interval, tokens: Numbers) -> Interval:
    """What transfers to host memory and back add: inputs of layers that wait there, states that have no room here.

    Raises:
        CannotDo: the link to the host is not known.
    """
    recipe = ground.plan.recipe
    moved = np.zeros_like(tokens)
    if recipe.recompute == "offload":
        inputs = 2.0 * tokens * model.hidden * model.layer_count
        moved = moved + 2.0 * inputs * recipe.accumulation
    if recipe.is_paged:
        moved = moved + 2.0 * _spilled(ground, model)
    return _exposed(host_rate(ground.gpu).inverse(moved), compute)


def _spilled(ground: Ground, model: Architecture) -> float:
    """Bytes of 8-bit states that do not fit beside the weights."""
    plan = ground.plan
    states = plan.recipe.state_bytes(4.0) * trained_weights(model, plan.recipe) / plan.divides(1)
    weights = 2.0 * model.parameters / plan.divides(3)
    return min(states, max(0.0, states + weights - ground.gpu.memory_gb * 2**30))


def link_seconds(ground: Ground, model: Architecture, compute: Interval) -> Interval:
    """What the links between cards add.

    ZeRO up to stage 2 sums each gradient over the cards and passes the result back; stage 3 gathers the weights for the
    forward and again for the backward pass, and keeps its part of the sums.

    Raises:
        CannotDo: no link between such cards is known.
    """
    found = link_rate(ground.gpu)
    if found is None:
        raise CannotDo("error.no_link", gpu=ground.gpu.name, gpus=ground.plan.gpus)
    plan, cards = ground.plan, ground.plan.gpus
    gradients = GRADIENT_BYTES * trained_weights(model, plan.recipe)
    if plan.recipe.zero < 3:
        moved = 2.0 * gradients
    else:
        frozen = stored_bytes(model.modules, model.kept_in(plan.weights), model.layer_count, loaded=True)
        gathered = frozen if plan.recipe.adapts else gradients
        moved = gradients + 2.0 * gathered * plan.recipe.accumulation
    carried = found[0].inverse(moved * (cards - 1) / cards * np.ones_like(compute.value))
    return _exposed(carried, compute)


def _exposed(carried: Interval, compute: Interval) -> Interval:
    """All that exceeds the arithmetic, and a part of what hides behind it."""

    def shown(link: Numbers, busy: Numbers) -> Numbers:
        return np.maximum(EXPOSED * link, link - (1.0 - EXPOSED) * busy)

    return Interval.of(
        shown(carried.low, compute.low),
        shown(carried.value, compute.value),
        shown(carried.high, compute.high),
    )
