"""What the light reader makes of a configuration, in the words of a trace, so that the two can be compared."""

from l4guide.model import WINDOW, Architecture, Mixer
from l4guide.tracing.traced import Call, Kept, Trace


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
            window=mixer.window if mixer.kind == WINDOW else None,
            mask="causal" if _is_causal(model, mixer) else "none",
        )
        for mixer, layers in alike.items()
    )


def _has_two(model: Architecture) -> bool:
    return any(group.mixer.cross for group in model.layers)


def _component(model: Architecture, mixer: Mixer) -> str:
    if not _has_two(model):
        return "text"
    return "decoder" if mixer.cached else "encoder"


def _is_causal(model: Architecture, mixer: Mixer) -> bool:
    return model.causal and mixer.cached and not mixer.cross


def _kept(model: Architecture) -> tuple[Kept, ...]:
    return tuple(
        Kept(
            layers=group.count,
            elements=group.mixer.cached_columns(),
            window=group.mixer.window if group.mixer.kind == WINDOW else None,
            state_elements=group.mixer.state_elements,
            state_bytes=group.mixer.state_bytes,
            cross=group.mixer.cross,
            source=group.mixer.source_tokens,
        )
        for group in model.layers
        if group.mixer.cached_columns() or group.mixer.state_elements
    )
