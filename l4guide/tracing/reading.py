"""What the light reader makes of a configuration, in the words of a trace, so that the two can be compared."""

from l4guide.model import WINDOW, Architecture, Layers, Mixer
from l4guide.model.traced import Call, Kept, Trace


def as_trace(model: Architecture) -> Trace:
    """An architecture as a trace would say it; its norms are left out, and its products are not counted."""
    return Trace(
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
    return mixer.window if mixer.kind == WINDOW else mixer.recent or None


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
            window=mixer.window if mixer.kind == WINDOW else None,
            state_elements=mixer.state_elements,
            state_bytes=mixer.state_bytes,
            cross=mixer.cross,
            source=mixer.source_tokens,
        ),
    )
