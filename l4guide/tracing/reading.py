"""What the light reader makes of a configuration, in the words of a trace, so that the two can be compared."""

from l4guide.model import Architecture, Layers, Mixer
from l4guide.model.traced import Call, Kept, Trace

#: Contexts at which caches are compared, short and long, as their windows and strides differ; and how closely.
CONTEXTS = (100, 4096, 131072)
NEAR = 0.01


def as_trace(model: Architecture) -> Trace:
    """An architecture as a trace says it: its own, or as one would; norms and products are then not counted."""
    return model.trace or Trace(
        model_type=model.model_type or "-",
        model_class="",
        transformers="",
        parameters=model.parameters,
        active_parameters=model.active_parameters,
        modules=model.modules,
        calls=_calls(model),
        kept=_kept(model) if model.causal else (),
        tokens=0,
        flops=None,
        unread=model.unread,
    )


def language_calls(trace: Trace) -> list[tuple[object, ...]]:
    """Calls of the language model, as far as the reader says them."""
    alike: dict[tuple[object, ...], int] = {}
    for call in trace.calls:
        if call.component not in ("vision", "audio"):
            alike[_shape(call)] = alike.get(_shape(call), 0) + call.layers
    return sorted((*shape, layers) for shape, layers in alike.items())


def _shape(call: Call) -> tuple[object, ...]:
    window = call.window or call.chunk or 0
    return (
        call.component,
        call.cross,
        call.head_dim,
        call.head_dim_v,
        call.heads,
        call.kv_heads,
        call.causal,
        window,
    )


def attends_alike(read: Architecture, traced: Trace) -> bool:
    """Whether layers that were read attend and keep as the model was seen to: same calls, cache within a hundredth."""
    told = as_trace(read)
    if language_calls(told) != language_calls(traced):
        return False
    if bool(traced.state_bytes) != bool(told.state_bytes):
        return False
    return all(
        abs((told.cache_elements(tokens) or 0) - wanted) <= NEAR * wanted
        for tokens in CONTEXTS
        if (wanted := traced.cache_elements(tokens)) is not None
    )


def _calls(model: Architecture) -> tuple[Call, ...]:
    alike: dict[Mixer, int] = {}
    for group in model.layers:
        if group.mixer.attends:
            alike[group.mixer] = alike.get(group.mixer, 0) + group.count
    return tuple(
        Call(
            component=_component(model, mixer),
            layers=layers,
            head_dim=mixer.head_dim,
            head_dim_v=mixer.head_dim_v,
            heads=mixer.heads,
            kv_heads=mixer.kv_heads,
            causal=_is_causal(model, mixer),
            cross=mixer.cross,
            window=None if mixer.chunked else _window(mixer),
            chunk=mixer.window if mixer.chunked else None,
            softcap=mixer.softcap,
            sinks=mixer.sinks,
            mask="additive" if mixer.bias else "causal" if _is_causal(model, mixer) else "none",
            bias=mixer.bias,
            through="eager" if mixer.own_scores else "interface",
        )
        for mixer, layers in alike.items()
    )


def _window(mixer: Mixer) -> int | None:
    """The window of a call; of a compressing layer that of the keys it does not compress."""
    return mixer.reach or mixer.recent or None


def _has_two(model: Architecture) -> bool:
    return any(group.mixer.cross for group in model.layers)


def _component(model: Architecture, mixer: Mixer) -> str:
    if not _has_two(model):
        return "text"
    return "decoder" if mixer.cached else "encoder"


def _is_causal(model: Architecture, mixer: Mixer) -> bool:
    return model.causal and mixer.cached and not mixer.cross


def _kept(model: Architecture) -> tuple[Kept, ...]:
    return tuple(one for group in model.layers for one in _kept_by(group))


def _kept_by(group: Layers) -> tuple[Kept, ...]:
    """What the layers of a group keep: where they compress, the last tokens and one of so many before them."""
    mixer, count = group.mixer, group.count
    columns = mixer.cached_columns()
    if mixer.stride > 1:
        long = Kept(layers=count, elements=columns + mixer.index_columns, stride=mixer.stride)
        return (Kept(layers=count, elements=columns, window=mixer.recent), long) if mixer.recent else (long,)
    if not columns and not mixer.state_elements:
        return ()
    return (
        Kept(
            layers=count,
            elements=columns,
            window=mixer.reach,
            state_elements=mixer.state_elements,
            state_bytes=mixer.state_bytes,
            cross=mixer.cross,
            source=mixer.source_tokens,
        ),
    )
