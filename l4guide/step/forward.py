"""One forward pass of a whole model: products by roofline on the sustained rate, attention by the estimator."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from l4guide.catalogue import Gpu
from l4guide.errors import CannotDo
from l4guide.estimate import NO_RUNS, LiveEstimator
from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers, total
from l4guide.model import LINEAR, Architecture, Kept, Layers, Mixer, Stored
from l4guide.step.attention import AttentionTime, attention_seconds
from l4guide.step.plan import Plan
from l4guide.step.rates import (
    NOT_MEASURED,
    gemm_rate,
    link_rate,
    memory_rate,
    over_16_bits,
    share,
    step_latency,
)
from l4guide.step.spans import Span, span_of
from l4guide.step.sparse import read_keys, share_read
from l4guide.workload import ELEMENT_BYTES, Workload

#: Times that the hidden state is read or written in a layer beside the products: two norms fused with their sums.
HIDDEN_PASSES = 6
#: The same of queries and keys (rotary) and of the product's inside (activation).
ROTARY_PASSES, ACTIVATION_PASSES = 2, 3
#: Sums over all cards in a layer that is divided among them: after attention and after the product.
SUMS_PER_LAYER = 2
NOTHING_KNOWN: Mapping[Mixer, AttentionTime] = {}


@frozen
class Pass:
    """Seconds of a pass by what they are spent on, arrays of one shape; and what the attention stands on."""

    parts: dict[str, Interval]
    flops: Numbers
    attention_basis: str | None
    implementation: str | None
    runs: int
    gemm_kind: str

    @property
    def seconds(self) -> Interval:
        """The whole pass."""
        return total(self.parts.values())


@frozen
class Ground:
    """A card with the rates that a plan finds on it, measured ones where there are, and what times attention there."""

    gpu: Gpu
    plan: Plan
    flops: Interval
    gemm_kind: str
    bytes: Interval
    estimator: LiveEstimator


def ground_of(gpu: Gpu, plan: Plan, estimator: LiveEstimator = NO_RUNS) -> Ground:
    """The rates of a card under a plan.

    Raises:
        CannotDo: the card has no rate for the type.
    """
    dtype = "bf16" if plan.dtype == "fp8" else plan.dtype
    ceilings = estimator.ceilings.get(gpu.name, NOT_MEASURED)
    rate = gemm_rate(gpu, dtype, dtype, ceilings)
    reached = Interval.exactly(1.0) if plan.trains else share("serving_gemm")
    pairs = ((rate.per_second.low, reached.low), (rate.per_second.value, reached.value))
    low, value = (a * b for a, b in pairs)
    return Ground(
        gpu=gpu,
        plan=plan,
        flops=Interval.of(low, value, rate.per_second.high * reached.high),
        gemm_kind=rate.kind,
        bytes=memory_rate(gpu, ceilings),
        estimator=estimator,
    )


def forward(
    ground: Ground,
    model: Architecture,
    workload: Workload,
    batch: Numbers,
    context: Numbers,
    implementation: str | None = None,
    known: Mapping[Mixer, AttentionTime] = NOTHING_KNOWN,
) -> Pass:
    """One pass over `batch` sequences: all tokens of `context`, or for decode one more token after them.

    `known` holds attention that was timed beforehand.

    Raises:
        CannotDo: the plan divides the model among cards that no known link joins.
    """
    tokens = batch if workload.task == "decode" else batch * context
    spans = _spans(ground, model, workload, context)
    products, elementwise, flops = _products(ground, model, spans, tokens, batch)
    attention, work, timed = _attention(ground, spans, workload, batch, implementation, known)
    # Attention alone (no hidden state around it) brings its launches with it.
    layers = sum(group.count for group, _ in spans) * (model.hidden > 0)
    gaps = share("layer_gap_us").times(1e-6 * layers * np.ones_like(tokens))
    parts = {"products": products, "attention": attention, "elementwise": elementwise, "gaps": gaps}
    # Training divides the batch, not the layers: its links carry weights and gradients instead.
    if ground.plan.gpus > 1 and workload.task != "training":
        parts["links"] = _sums(ground, model, tokens)
    return Pass(
        parts=parts,
        flops=flops + work,
        attention_basis=timed.basis if timed else None,
        implementation=timed.implementation if timed else None,
        runs=timed.runs if timed else 0,
        gemm_kind=ground.gemm_kind,
    )


def _spans(
    ground: Ground, model: Architecture, workload: Workload, context: Numbers
) -> list[tuple[Layers, Span]]:
    """The layers that the step runs, each with the tokens that pass it."""
    found = [
        (
            group,
            span_of(
                group,
                model,
                task=workload.task,
                trains=ground.plan.trains,
                causal=workload.causal,
                context=context,
            ),
        )
        for group in model.layers
    ]
    return [(group, span) for group, span in found if span is not None]


def _products(
    ground: Ground,
    model: Architecture,
    spans: list[tuple[Layers, Span]],
    tokens: Numbers,
    batch: Numbers,
) -> tuple[Interval, Interval, Numbers]:
    """Seconds of all products and of what lies between them, and the products' FLOPs."""
    times, between = [], []
    flops = np.zeros_like(tokens)
    kept = model.kept_in(ground.plan.weights)
    for group, span in spans:
        for one in _matrices(group, model.hidden, batch * span.rows, batch * span.source, kept):
            times.append(_product(ground, one).times(group.count))
            flops = flops + 2.0 * group.count * one.weights * one.rows
        between.append(_between(ground, group, model.hidden, batch * span.rows).times(group.count))
    # Serving needs the next token's logits alone, training those of every token; an encoder's answer needs none.
    rows = tokens if ground.plan.trains else np.minimum(batch, tokens)
    if model.vocabulary and (model.causal or ground.plan.trains):
        head = float(model.vocabulary * model.hidden)
        times.append(_product(ground, _matrix([(head, kept.of("head"))], rows)))
        flops = flops + 2.0 * head * rows
    return total(times), total(between), flops


@frozen
class Matrix:
    """A product: its weights, the rows that are multiplied with them, the bytes of weights read, and their type."""

    weights: float
    rows: Numbers
    read: Numbers
    type: str


def _matrix(weights: Sequence[tuple[float, Kept]], rows: Numbers) -> Matrix:
    """A product of weights that are kept in one type and all read."""
    read = sum(number * kept.bits / 8 for number, kept in weights)
    return Matrix(
        weights=sum(number for number, _ in weights),
        rows=rows,
        read=np.full_like(rows, read),
        type=weights[0][1].type,
    )


def _matrices(group: Layers, hidden: int, tokens: Numbers, source: Numbers, kept: Stored) -> list[Matrix]:
    """The products of a layer, those of one type together."""
    wide, mixer = group.feed_forward, group.mixer
    router, mixing = float(wide.router_weights(hidden)), float(mixer.weights(hidden))
    found = []
    if mixer.cross:
        # Keys and values are made of the encoder's tokens, once; what one token more is multiplied with is the rest.
        once = min(float(mixer.source_weights(hidden)), mixing)
        mixing -= once
        if source.any():
            found.append(_matrix([(once, kept.of("attention"))], source))
    always: dict[str, list[tuple[float, Kept]]] = {}
    parts = {
        "state" if mixer.kind == LINEAR else "attention": mixing,
        "mlp": wide.dense_weights(hidden) - router,
        "router": router,
    }
    for kind, number in parts.items():
        always.setdefault(kept.of(kind).type, []).append((number, kept.of(kind)))
    found += [_matrix(alike, tokens) for alike in always.values()]
    if wide.experts:
        one, each = float(wide.expert_weights(hidden)), kept.of("experts")
        # Experts that nobody's token is routed to are not read; tokens are taken to spread evenly.
        touched = wide.experts * (1.0 - (1.0 - wide.active / wide.experts) ** tokens)
        read = touched * one * each.bits / 8
        found.append(Matrix(weights=wide.active * one, rows=tokens, read=read, type=each.type))
    return [one for one in found if one.weights]


def _product(ground: Ground, one: Matrix) -> Interval:
    """Seconds of a product: of its arithmetic or of its weights' bytes and rows through memory, whichever is longer."""
    share_of = _share(ground)
    # A backward pass multiplies with widened weights.
    faster = 1.0 if ground.plan.trains else over_16_bits(ground.gpu, one.type)
    compute = ground.flops.inverse(2.0 * one.weights * one.rows / (share_of * faster))
    side = np.sqrt(one.weights)  # rows in and out are as wide as a square matrix of as many weights
    moved = one.read + 4.0 * one.rows * side
    return compute.upper(ground.bytes.inverse(moved / share_of))


def _share(ground: Ground) -> int:
    """Among how many cards each layer is divided."""
    return 1 if ground.plan.trains else ground.plan.gpus


def _between(ground: Ground, group: Layers, hidden: int, tokens: Numbers) -> Interval:
    """Norms, sums, rotary embedding and activation: traffic alone."""
    mixer, wide = group.mixer, group.feed_forward
    turned = mixer.heads * mixer.head_dim + mixer.cached_columns() if mixer.attends else mixer.columns_in
    inside = wide.intermediate + wide.active * wide.expert_intermediate
    columns = HIDDEN_PASSES * hidden + (ROTARY_PASSES * turned + ACTIVATION_PASSES * inside) / _share(ground)
    state = mixer.state_elements * 8.0 if mixer.kind == LINEAR else 0.0
    moved = tokens * (2.0 * columns + state / _chunk(ground))
    return ground.bytes.inverse(moved)


def _chunk(ground: Ground) -> int:
    """Tokens between two writes of a linear layer's state: one in decode, a chunk otherwise."""
    return 1 if ground.plan.task == "decode" else 64


def _attention(
    ground: Ground,
    spans: list[tuple[Layers, Span]],
    workload: Workload,
    batch: Numbers,
    implementation: str | None,
    known: Mapping[Mixer, AttentionTime],
) -> tuple[Interval, Numbers, AttentionTime | None]:
    """Seconds and FLOPs of all attention, and the layer kind that takes longest, for its basis."""
    times: list[Interval] = []
    longest: tuple[float, AttentionTime] | None = None
    flops = np.zeros_like(batch)
    attending = [(group, span) for group, span in spans if group.mixer.attends]
    for mixer, count in _alike((group for group, _ in attending), _share(ground)).items():
        span = next(span for group, span in attending if _divided(group.mixer, _share(ground)) == mixer)
        asked = replace(workload, task=span.task, causal=span.causal)
        timed = known.get(mixer) or attention_seconds(
            ground.gpu, mixer, asked, batch, span.keys, implementation, ground.estimator
        )
        timed = replace(timed, seconds=timed.seconds.times(span.queries))
        times.append(timed.seconds.times(count))
        work = span.queries * _score_flops(mixer, asked, batch, span.keys)
        flops = flops + count * _share(ground) * work
        here = count * float(timed.seconds.value.max())
        if longest is None or here > longest[0]:
            longest = (here, timed)
    seconds = total(times) if times else Interval.exactly(np.zeros_like(batch))
    return seconds, flops, longest[1] if longest else None


def kinds(model: Architecture, cards: int) -> dict[Mixer, int]:
    """Layers by their attention, as one of `cards` sees it: its part of the heads."""
    return _alike(model.layers, cards)


def _alike(layers: Iterable[Layers], cards: int) -> dict[Mixer, int]:
    found: dict[Mixer, int] = {}
    for group in layers:
        if group.mixer.attends:
            part = _divided(group.mixer, cards)
            found[part] = found.get(part, 0) + group.count
    return found


def _divided(mixer: Mixer, cards: int) -> Mixer:
    heads = max(1, -(-mixer.heads // cards))
    kv_heads = max(1, mixer.kv_heads // cards)
    return replace(mixer, heads=heads, kv_heads=kv_heads if heads % kv_heads == 0 else heads)


def _score_flops(mixer: Mixer, workload: Workload, batch: Numbers, context: Numbers) -> Numbers:
    """FLOPs of the two products with scores, forward; a causal mask leaves half."""
    keys = context if mixer.window is None else np.minimum(context, mixer.window + 1.0)
    if mixer.is_sparse:
        keys = (
            read_keys(mixer, context) if workload.task == "decode" else context * share_read(mixer, context)
        )
    rows = np.ones_like(context) if workload.task == "decode" else context
    halved = 0.5 if workload.causal and workload.task != "decode" and mixer.window is None else 1.0
    found: Numbers = 2.0 * halved * batch * mixer.heads * rows * keys * (mixer.head_dim + mixer.head_dim_v)
    return found


def _sums(ground: Ground, model: Architecture, tokens: Numbers) -> Interval:
    """Sums of the hidden state over the cards, twice a layer, as a ring passes them.

    Raises:
        CannotDo: no link between such cards is known.
    """
    found = link_rate(ground.gpu)
    if found is None:
        raise CannotDo("error.no_link", gpu=ground.gpu.name, gpus=ground.plan.gpus)
    cards = ground.plan.gpus
    number = SUMS_PER_LAYER * model.layer_count
    moved = 2.0 * (cards - 1) / cards * tokens * model.hidden * ELEMENT_BYTES["bf16"]
    # Over NVLink cards sum in pairs of pairs; over PCIe a ring passes the parts on, twice around.
    hops = np.log2(cards) if found[1] == "nvlink" else 2.0 * (cards - 1)
    return found[0].inverse(number * moved) + step_latency().times(number * hops * np.ones_like(tokens))
