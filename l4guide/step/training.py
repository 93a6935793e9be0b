"""One training step: forward, backward, what is run again, the optimizer, and what travels between cards and host."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers, total
from l4guide.model import Architecture
from l4guide.step.forward import Ground, Pass, forward
from l4guide.step.matrices import of_model, trained_weights
from l4guide.step.rates import training_factors
from l4guide.step.recipe import Recipe
from l4guide.step.update import host_seconds, link_seconds, optimizer_seconds
from l4guide.workload import Workload

#: The backward multiplies twice what the forward does: for the gradient of the rows and of the weights.
BACKWARD_PRODUCTS = 2.0
#: Frozen weights need the gradient of the rows alone.
BACKWARD_FROZEN = 1.0
#: Elementwise passes of a training step over those of a serving forward: unfused forward, and twice it backward.
ELEMENTWISE_PASSES = 4.0
#: Seconds of widening four bits over those that memory takes for the bytes: a look-up and a scale for every weight.
#: Published pairs with and without come to 3 (litgpt, Llama 2 7B on A100) and 6 (torchtune, Llama 3.1 8B on RTX 4090).
WIDEN_LOW, WIDEN, WIDEN_HIGH = 1.2, 3.0, 6.5
#: Bytes of a weight that DoRA merges: read, written and read again in 16 bits.
MERGED_BYTES = 6.0
#: What each kind of recomputation runs a second time.
AGAIN: Mapping[str, tuple[str, ...]] = {
    "full": ("products", "attention", "elementwise", "gaps"),
    "offload": ("products", "attention", "elementwise", "gaps"),
    "selective": ("elementwise", "gaps"),
    "none": (),
}


@frozen
class Training(Pass):
    """The same of a training step; its FLOPs are those that count for MFU (nothing is counted twice)."""

    @property
    def seconds(self) -> Interval:
        """The whole step; its interval is that of cards left out of the fit, unless the card's GEMM is a guess."""
        whole = total(self.parts.values())
        if self.gemm_kind == "estimated":
            return whole
        factors = training_factors()
        return Interval.of(whole.value * factors["low"], whole.value, whole.value * factors["high"])


def training_step(
    ground: Ground,
    model: Architecture,
    workload: Workload,
    batch: Numbers,
    context: Numbers,
    implementation: str | None = None,
) -> Training:
    """One step over `batch` sequences of `context` tokens on each card.

    Raises:
        CannotDo: several cards that no known link joins.
    """
    plan, recipe = ground.plan, ground.plan.recipe
    once = forward(ground, model, workload, batch, context, implementation)
    again = {name: 1.0 if name in AGAIN[recipe.recompute] else 0.0 for name in once.parts}
    backward = BACKWARD_FROZEN if recipe.adapts else BACKWARD_PRODUCTS
    attention = once.parts["attention"]
    if again["attention"]:
        only_forward = replace(workload, task="prefill")
        attention = attention + _again(ground, model, only_forward, batch, context, implementation)
    factors = training_factors()
    products = 1.0 + backward + again["products"] + _adapter_products(model, recipe, again["products"])
    parts = {
        "products": once.parts["products"].times(products * factors["products"]),
        "attention": attention.times(factors["attention"]),
        "elementwise": once.parts["elementwise"].times(
            (ELEMENTWISE_PASSES + again["elementwise"]) * factors["elementwise"]
        ),
        "gaps": once.parts["gaps"].times(3.0 + again["gaps"]),
    }
    if plan.widens:
        parts["widening"] = _widening(ground, model, 2.0 + again["products"], batch)
    if recipe.method == "dora":
        parts["merging"] = _merging(ground, model, 1.0 + again["products"], batch)
    parts = {name: part.times(recipe.accumulation) for name, part in parts.items()}
    compute = total(parts.values())
    parts["optimizer"] = optimizer_seconds(ground, model, np.ones_like(batch))
    if recipe.recompute == "offload" or recipe.is_paged:
        parts["host"] = host_seconds(ground, model, compute, batch * context)
    if plan.gpus > 1:
        parts["links"] = link_seconds(ground, model, total(parts.values()))
    return Training(
        parts=parts,
        flops=3.0 * once.flops * recipe.accumulation,
        attention_basis=once.attention_basis,
        implementation=once.implementation,
        runs=once.runs,
        gemm_kind=once.gemm_kind,
    )


def _adapter_products(model: Architecture, recipe: Recipe, again: float) -> float:
    """Products of the adapters, forward and backward, over one forward of the model."""
    if not recipe.adapts:
        return 0.0
    share = trained_weights(model, recipe) / max(model.active_parameters, 1)
    return share * (3.0 + again)


def _widening(ground: Ground, model: Architecture, passes: float, like: Numbers) -> Interval:
    """Seconds of widening all frozen weights to 16 bits for each pass over them."""
    kept = model.kept_in(ground.plan.weights)
    inside = {kind: number for kind, number in model.modules.items() if kept.bytes_of(kind) < 2.0}
    read = sum(number * (kept.bytes_of(kind) + 2.0) for kind, number in inside.items())
    moved = read * passes * np.ones_like(like)
    seconds = ground.bytes.inverse(moved)
    return Interval.of(seconds.low * WIDEN_LOW, seconds.value * WIDEN, seconds.high * WIDEN_HIGH)


def _merging(ground: Ground, model: Architecture, passes: float, like: Numbers) -> Interval:
    """Seconds of taking the lengths of what DoRA adds up: weights read, their sum written and read again."""
    targets = ground.plan.recipe.targets
    weights = sum(one.count * one.weights for one in of_model(model) if one.is_in(targets))
    return ground.bytes.inverse(MERGED_BYTES * weights * passes * np.ones_like(like))


def _again(
    ground: Ground,
    model: Architecture,
    workload: Workload,
    batch: Numbers,
    context: Numbers,
    implementation: str | None,
) -> Interval:
    return forward(ground, model, workload, batch, context, implementation).parts["attention"]
