"""The attention calls of a model, by name, and each of them as a question of its own."""

from collections.abc import Iterable
from dataclasses import replace

from l4guide.catalogue import Component
from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.model import LATENT, Architecture, Mixer
from l4guide.model.traced import Call
from l4guide.workload import Workload

#: Parts of a model that read what they are given at once, and generate nothing.
TOWERS = ("vision", "audio")


@frozen
class AskedCall:
    """One kind of call as it is asked: its name, and the call itself, None for a shape that is of no model."""

    name: str | None
    workload: Workload
    call: Call | None = None


def named_calls(architecture: Architecture) -> dict[str, Call]:
    """Every kind of call that a model makes, the one that decides its time first: causal, to every key, of most layers.

    Raises:
        BadInput: none of its layers attends.
    """
    from l4guide.tracing.reading import as_trace

    alike: dict[Call, int] = {}
    for call in as_trace(architecture).calls:
        # Whether what is causal or windowed comes as a mask is the implementation's affair.
        mask = "additive" if call.bias else "causal" if call.causal else "none"
        same = replace(call, layers=0, mask=mask)
        alike[same] = alike.get(same, 0) + call.layers
    if not alike:
        raise BadInput("error.config_no_attention", path=architecture.name)
    calls = sorted((replace(call, layers=layers) for call, layers in alike.items()), key=_last)
    latent = {(m.head_dim, m.head_dim_v) for m in _latent(architecture)}
    return _unique(calls, latent)


def _last(call: Call) -> tuple[bool, bool, bool, int]:
    """Where a call stands: what a model generates with before its towers, every key before a window."""
    return (call.component in TOWERS, not call.causal, (call.window or call.chunk) is not None, -call.layers)


def _latent(architecture: Architecture) -> list[Mixer]:
    return [group.mixer for group in architecture.layers if group.mixer.kind == LATENT]


def _unique(calls: Iterable[Call], latent: set[tuple[int, int]]) -> dict[str, Call]:
    """Calls by what they are and how wide; where two are called alike, by their heads as well."""
    found: dict[str, Call] = {}
    for call in calls:
        name = f"{_kind(call, latent)} {call.head_dim}"
        if name in found:
            name = f"{name}, {call.heads}/{call.kv_heads} heads"
        while name in found:
            name = f"{name}'"
        found[name] = call
    return found


def _kind(call: Call, latent: set[tuple[int, int]]) -> str:
    if call.cross:
        return "cross"
    if call.component in TOWERS:
        return call.component
    if call.component == "encoder" or (call.component == "text" and not call.causal and not call.window):
        return "encoder"
    if call.chunk is not None:
        return "chunked"
    if call.window is not None:
        return "window"
    if (call.head_dim, call.head_dim_v) in latent:
        return LATENT
    return "decoder" if call.component == "decoder" else "full"


def calls_in(component: Component, architecture: Architecture | None) -> dict[str, Call]:
    """The calls of a preset's component: as the layers of its `architecture` make them, or as its row has it."""
    if architecture is not None:
        found = {n: call for n, call in named_calls(architecture).items() if call.component not in TOWERS}
        if len(found) == 1:
            return {component.name: next(iter(found.values()))}
        return {f"{component.name} {name}": call for name, call in found.items()}
    if component.head_dim is None or component.heads is None:
        return {}
    row = Call(
        component=component.name,
        layers=component.layers or 1,
        head_dim=component.head_dim,
        head_dim_v=component.head_dim_v or component.head_dim,
        heads=component.heads,
        kv_heads=component.kv_heads or component.heads,
        causal=component.causal is not False,
    )
    return {component.name: row}


def options_of(call: Call, architecture: Architecture | None, task: object) -> dict[str, object]:
    """What a call settles of the question: its shape, its mask and what it does to the scores.

    A latent cache is read as it is kept: decode absorbs the projections into one wide KV head.
    """
    options: dict[str, object] = {
        "heads": call.heads,
        "kv_heads": call.kv_heads,
        "head_dim": call.head_dim,
        "head_dim_v": call.head_dim_v,
        "causal": call.causal,
    }
    latent = (
        next((m for m in _latent(architecture) if m.head_dim == call.head_dim), None)
        if architecture
        else None
    )
    if latent is not None and task == "decode":
        wide = latent.latent_rank + latent.rope_dim
        options |= {"kv_heads": 1, "head_dim": wide, "head_dim_v": latent.latent_rank}
    needs = {
        "window": call.window or call.chunk,
        "softcap": call.softcap,
        "sinks": call.sinks or None,
        "mask": "additive" if call.bias else None,
        "mask_grad": True if call.bias and task in (None, "training") else None,
        "own_scores": True if call.through == "eager" else None,
    }
    return options | {name: value for name, value in needs.items() if value is not None}


def reads_at_once(call: Call) -> bool:
    """Whether a call generates nothing: an encoder's, which runs its forward where the model decodes."""
    return not call.causal and not call.cross
