"""One training step: forward, backward, what is run again, the optimizer, and the links between cards."""

from dataclasses import replace

import numpy as np

from l4guide.errors import CannotDo
from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers, total
from l4guide.model import Architecture
from l4guide.step.forward import Ground, Pass, forward
from l4guide.step.rates import link_rate, training_factors
from l4guide.workload import Workload

#: The backward multiplies twice what the forward does: for the gradient of the rows and of the weights.
BACKWARD_PRODUCTS = 2.0
#: Frozen weights need the gradient of the rows alone.
BACKWARD_FROZEN = 1.0
#: Bytes per weight that Adam reads and writes: fp32 copy and two moments each way, gradient and 16-bit weight.
OPTIMIZER_BYTES = 28.0
#: Bytes per weight over the links of fully sharded data: gathered twice and gradients scattered, 16 bits each.
SHARDED_BYTES = 6.0
#: Elementwise passes of a training step over those of a serving forward: unfused forward, and twice it backward.
ELEMENTWISE_PASSES = 4.0
#: Most of a collective hides behind products; what does not.
EXPOSED_LINKS = 0.2


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
    plan = ground.plan
    once = forward(ground, model, workload, batch, context, implementation)
    backward = BACKWARD_PRODUCTS if plan.method == "full" else BACKWARD_FROZEN
    again = 1.0 if plan.recompute else 0.0
    attention = once.parts["attention"]
    if plan.recompute:
        only_forward = replace(workload, task="prefill")
        attention = attention + _again(ground, model, only_forward, batch, context, implementation)
    factors = training_factors()
    parts = {
        "products": once.parts["products"].times((1.0 + backward + again) * factors["products"]),
        "attention": attention.times(factors["attention"]),
        "elementwise": once.parts["elementwise"].times((ELEMENTWISE_PASSES + again) * factors["elementwise"]),
        "gaps": once.parts["gaps"].times(3.0 + again),
        "optimizer": _optimizer(ground, model, batch),
    }
    if plan.gpus > 1:
        compute = total(parts.values())
        parts["links"] = _links(ground, model, compute)
    return Training(
        parts=parts,
        flops=3.0 * once.flops,
        attention_basis=once.attention_basis,
        implementation=once.implementation,
        runs=once.runs,
        gemm_kind=once.gemm_kind,
    )


def _again(
    ground: Ground,
    model: Architecture,
    workload: Workload,
    batch: Numbers,
    context: Numbers,
    implementation: str | None,
) -> Interval:
    return forward(ground, model, workload, batch, context, implementation).parts["attention"]


def trained_weights(model: Architecture, method: str, rank: int) -> float:
    """Weights that get a gradient: all, or two thin matrices beside each matrix of every layer."""
    if method == "full":
        return float(model.parameters - model.tower_weights)
    sides = 0.0
    for group in model.layers:
        mixer, wide = group.mixer, group.feed_forward
        columns = (
            mixer.heads * (mixer.head_dim + mixer.head_dim_v) + mixer.cached_columns() + 4 * model.hidden
        )
        if not mixer.attends:
            columns = mixer.columns_in + mixer.columns_out + 2 * model.hidden
        inside = wide.intermediate + wide.experts * wide.expert_intermediate
        per_matrix = wide.matrices * (inside + model.hidden * (1 + wide.experts))
        sides += group.count * (columns + per_matrix)
    return rank * sides


def _optimizer(ground: Ground, model: Architecture, batch: Numbers) -> Interval:
    weights = trained_weights(model, ground.plan.method, ground.plan.rank) / ground.plan.gpus
    return ground.bytes.inverse(OPTIMIZER_BYTES * weights * np.ones_like(batch))


def _links(ground: Ground, model: Architecture, compute: Interval) -> Interval:
    """What the links add: all that exceeds the arithmetic, and a part of what hides behind it.

    Raises:
        CannotDo: no link between such cards is known.
    """
    found = link_rate(ground.gpu)
    if found is None:
        raise CannotDo("error.no_link", gpu=ground.gpu.name, gpus=ground.plan.gpus)
    cards = ground.plan.gpus
    full = ground.plan.method == "full"
    weights = trained_weights(model, ground.plan.method, ground.plan.rank)
    moved = (SHARDED_BYTES if full else 2.0) * weights * (cards - 1) / cards
    carried = found[0].inverse(moved * np.ones_like(compute.value))

    def shown(link: Numbers, busy: Numbers) -> Numbers:
        return np.maximum(EXPOSED_LINKS * link, link - (1.0 - EXPOSED_LINKS) * busy)

    return Interval.of(
        shown(carried.low, compute.low),
        shown(carried.value, compute.value),
        shown(carried.high, compute.high),
    )
