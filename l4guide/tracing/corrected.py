"""An architecture put right by a trace: its counts are the trace's, and so are what its layers multiply and keep.

What reads a configuration says more of a layer than a trace does (ranks, groups, the width of an expert), so its layers
stay where they attend and keep as the model was seen to. Elsewhere they are made of the trace alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from l4guide.model import LINEAR, Architecture, FeedForward, Layers
from l4guide.model.traced import Trace
from l4guide.tracing.found import Found
from l4guide.tracing.layers import as_called, layers_of
from l4guide.tracing.reading import as_trace, attends_alike

#: Layers' weights that every token passes, as a trace names their kinds.
MIXING = ("attention", "state")
EVERY_TOKEN = (*MIXING, "mlp", "router")
#: Closer than this, what was read of the weights stays; norms and biases, which it leaves out, are less.
NEAR = 0.01


def corrected(
    read: Architecture | None, trace: Trace, config: Mapping[str, object], name: str
) -> Architecture:
    """The architecture with the facts of its trace.

    Args:
        read: what was read of the same model; None where it could not be.
        trace: what transformers built and ran.
        config: the configuration, for what a trace does not say; empty for a preset.
        name: the model's.

    Raises:
        BadInput: a field that says how the weights are kept is malformed or out of limits.
    """
    found = Found(config, name)
    base = read if read is not None else found.architecture(trace)
    trace = _completed(trace, read)
    fits = read is not None and attends_alike(read, trace)
    layers = base.layers if fits else layers_of(trace, found, () if read is None else read.layers)
    layers = _stated(_routed(as_called(layers, trace), trace, found), trace)
    layers = _weighed(layers, base.hidden, trace)
    return replace(
        base,
        layers=layers,
        causal=_is_causal(trace, read),
        tower_weights=trace.modules.get("tower", 0),
        assumed=() if config and trace.was_run else base.assumed,
        remarks=_remarks(base, trace),
        unread=trace.unread if trace.was_run else base.unread,
        trace=trace,
    )


def _completed(trace: Trace, read: Architecture | None) -> Trace:
    """A trace without a forward pass, with what the configuration says of the cache; of calls where it saw none."""
    if trace.kept is not None or read is None:
        return trace
    told = as_trace(read)
    seen = any(call.component not in ("vision", "audio") for call in trace.calls)
    calls = trace.calls if seen else (*told.calls, *trace.calls)
    return replace(trace, kept=told.kept, calls=calls)


def _is_causal(trace: Trace, read: Architecture | None) -> bool:
    """Whether it writes a text from left to right: what keeps something of it does, and what attends so."""
    if trace.kept or any(call.causal for call in trace.calls):
        return True
    return read is not None and read.causal and not any(call.component == "text" for call in trace.calls)


def _routed(layers: tuple[Layers, ...], trace: Trace, found: Found) -> tuple[Layers, ...]:
    """Layers with experts, where some were counted that nothing read."""
    if not trace.modules.get("experts") or any(group.feed_forward.experts for group in layers):
        return layers
    wide = found.product(trace)
    return tuple(
        group if group.mixer.cross else replace(group, feed_forward=_beside(wide, group.feed_forward))
        for group in layers
    )


def _beside(wide: FeedForward, dense: FeedForward) -> FeedForward:
    """Experts beside the product that every token passes."""
    return replace(wide, intermediate=dense.intermediate, gated=dense.gated)


def _remarks(base: Architecture, trace: Trace) -> tuple[str, ...]:
    """What the counts leave out: a tower whose size no field says was counted."""
    kept = [key for key in base.remarks if key not in ("remark.config_towers", "remark.towers")]
    return (*(["remark.towers"] if trace.modules.get("tower") else []), *kept)


def _stated(layers: tuple[Layers, ...], trace: Trace) -> tuple[Layers, ...]:
    """Layers whose states take the bytes that were seen: some are kept in 16 bits, others in 32."""
    held = sum(group.count * group.mixer.state_bytes for group in layers)
    seen = trace.state_bytes or 0
    if not held or not seen or held == seen:
        return layers
    return tuple(
        replace(
            group,
            mixer=replace(group.mixer, state_element_bytes=group.mixer.state_element_bytes * seen / held),
        )
        if group.mixer.kind == LINEAR
        else group
        for group in layers
    )


def _weighed(layers: tuple[Layers, ...], hidden: int, trace: Trace) -> tuple[Layers, ...]:
    """Layers whose products have the weights that were counted, each its share of the whole."""
    layers = tuple(replace(group, feed_forward=_experts(group, layers, hidden, trace)) for group in layers)
    counted = sum(trace.modules.get(kind, 0) for kind in EVERY_TOKEN)
    have = _sum(layers, lambda group: group.mixer.weights(hidden) + group.feed_forward.dense_weights(hidden))
    if not counted or not have or abs(counted / have - 1) <= NEAR:
        return layers
    mixing = sum(trace.modules.get(kind, 0) for kind in MIXING)
    mixed = _sum(layers, lambda group: group.mixer.weights(hidden))
    # What chooses experts stays; where nothing mixes tokens, the products are all that there is.
    beside = _sum(layers, lambda group: group.feed_forward.dense_weights(hidden) - _product(group, hidden))
    dense = max(0, counted - (mixing if mixed else 0) - beside)
    layers = _as_dense(layers, hidden, dense)
    return tuple(_mixing(group, hidden, mixing / mixed) if mixed else group for group in layers)


def _mixing(group: Layers, hidden: int, share: float) -> Layers:
    """A layer whose mixing has so many times its weights."""
    more = round((share - 1) * group.mixer.weights(hidden))
    return replace(group, mixer=replace(group.mixer, inner_weights=group.mixer.inner_weights + more))


def _as_dense(layers: tuple[Layers, ...], hidden: int, dense: int) -> tuple[Layers, ...]:
    """Layers whose products beside experts have so many weights in all."""
    have = _sum(layers, lambda group: _product(group, hidden))
    bearing = _sum(layers, lambda group: not group.mixer.cross)
    made = []
    for group in layers:
        wide = group.feed_forward
        inside = wide.intermediate * dense / have if have else 0.0
        if not have and not group.mixer.cross:
            inside = dense / (bearing * wide.matrices * hidden)
        made.append(replace(group, feed_forward=replace(wide, intermediate=round(inside))))
    return tuple(made)


def _product(group: Layers, hidden: int) -> int:
    """Weights of a layer's product beside its experts."""
    return group.feed_forward.matrices * hidden * group.feed_forward.intermediate


def _sum(layers: tuple[Layers, ...], of: Callable[[Layers], int]) -> int:
    """The same of all layers that have weights of their own."""
    return sum(group.own * of(group) for group in layers)


def _experts(group: Layers, layers: tuple[Layers, ...], hidden: int, trace: Trace) -> FeedForward:
    """A layer's product with experts as wide as they were counted to be; without any where none were."""
    wide = group.feed_forward
    if not wide.experts:
        return wide
    counted = trace.modules.get("experts", 0)
    have = _sum(layers, lambda other: other.feed_forward.experts * other.feed_forward.expert_weights(hidden))
    if not counted or not have:
        return replace(wide, experts=0, active=0)
    if abs(counted / have - 1) <= NEAR:
        return wide
    return replace(wide, expert_intermediate=max(1, round(wide.expert_intermediate * counted / have)))
