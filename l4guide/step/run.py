"""One step of a model under a plan, whatever the task: seconds, tokens, and how well the tensor cores are used."""

from collections.abc import Mapping

import numpy as np

from l4guide.catalogue import Gpu
from l4guide.estimate import NO_RUNS, LiveEstimator
from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers
from l4guide.model import Architecture, Mixer
from l4guide.step.attention import AttentionTime
from l4guide.step.forward import NOTHING_KNOWN, Pass, forward, ground_of
from l4guide.step.plan import Plan
from l4guide.step.spans import source_tokens
from l4guide.step.towers import encode
from l4guide.step.training import training_step
from l4guide.workload import Workload


@frozen
class Step:
    """One step on all cards of a plan, arrays of one shape.

    `tokens` are those that the step yields over all cards: of the prompt, generated or trained. `flops` counts nothing
    twice, as for MFU. `attention_basis` is that of the layer kind that takes longest, None where nothing attends;
    `runs` of its implementation on this very card put it right.
    """

    seconds: Interval
    parts: dict[str, Interval]
    tokens: Numbers
    flops: Numbers
    attention_basis: str | None
    implementation: str | None
    runs: int
    gemm_kind: str

    @property
    def tokens_per_s(self) -> Interval:
        """Tokens of all cards in a second."""
        return self.seconds.inverse(self.tokens)

    def utilisation(self, gpu: Gpu, cards: int) -> Interval | None:
        """Share of the dense 16-bit peak of all cards; None where the card has no tensor cores."""
        if gpu.tensor_16bit_tflops is None:
            return None
        return self.seconds.inverse(self.flops / (gpu.tensor_16bit_tflops * 1e12 * cards))


def step(
    gpu: Gpu,
    model: Architecture,
    plan: Plan,
    workload: Workload,
    batch: Numbers | float,
    context: Numbers | float,
    implementation: str | None = None,
    known: Mapping[Mixer, AttentionTime] = NOTHING_KNOWN,
    estimator: LiveEstimator = NO_RUNS,
) -> Step:
    """Time one step.

    Args:
        gpu: the card.
        model: what runs.
        plan: how it runs; serving divides the model among `plan.gpus` cards, training gives each its own `batch`.
        workload: the attention question, for its task, types and mask.
        batch: sequences, an array or one number.
        context: tokens of a sequence; for decode those already in the cache.
        implementation: of attention; None takes the fastest that was measured on such cards.
        known: attention of a serving step that was timed beforehand.
        estimator: what times attention, put right by runs where there are some.

    Raises:
        BadInput: the implementation is not known.
        CannotDo: the card has no rate for the type, or no known link joins several.
    """
    some = np.broadcast_arrays(
        np.atleast_1d(np.asarray(batch, float)), np.atleast_1d(np.asarray(context, float))
    )
    sequences, keys = (np.array(item) for item in some)
    ground = ground_of(gpu, plan, estimator)
    read = keys if plan.trains or not model.has_encoder else source_tokens(model, keys)
    per_sequence = 1.0 if plan.task == "decode" else read
    found: Pass = (
        training_step(ground, model, workload, sequences, keys, implementation)
        if plan.trains
        else forward(ground, model, workload, sequences, keys, implementation, known)
    )
    copies = plan.gpus if plan.trains else 1
    batches = copies * plan.recipe.accumulation if plan.trains else 1
    seconds, parts, flops = found.seconds, found.parts, found.flops
    # Towers pass once, before the prompt; in training they are taken to be frozen.
    encoded = None if plan.task == "decode" else encode(ground, plan.media, workload, sequences)
    if encoded is not None:
        passes = batches // copies
        taken = encoded[0].times(passes)
        seconds, parts, flops = seconds + taken, {**parts, "encoder": taken}, flops + passes * encoded[1]
    return Step(
        seconds=seconds,
        parts=parts,
        tokens=sequences * per_sequence * batches,
        flops=flops * copies,
        attention_basis=found.attention_basis,
        implementation=found.implementation,
        runs=found.runs,
        gemm_kind=found.gemm_kind,
    )
