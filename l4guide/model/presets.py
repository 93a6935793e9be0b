"""The catalogue's model presets as architectures.

A preset is a published config.json in `data/configs/`, read as a user's own is; where none is at hand, its attention is
that of `models.csv` and the rest that of `architectures.csv`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from l4guide import catalogue
from l4guide.catalogue import CONFIG, Component, Model
from l4guide.errors import BadInput, CannotDo
from l4guide.frozen import frozen
from l4guide.model.architecture import FULL, LATENT, WINDOW, Architecture, FeedForward, Layers, Mixer
from l4guide.model.config import from_config
from l4guide.model.fields import read_config
from l4guide.model.stored import published
from l4guide.table import read_records

#: "512 on 27 of 36 layers", "4096 on every other layer", "1024 on 5 of 6 layers", "4096".
WINDOW_TEXT = re.compile(r"(\d+)(?: on (?:every (other)|(\d+) of (\d+)) layers?)?")
#: What a note says of attention beside its sizes.
SOFTCAP_TEXT, SINKS_TEXT = re.compile(r"attention softcap (\d+)"), "attention sinks"


@frozen
class Widths:
    """What one component multiplies beside attention; a row of `architectures.csv`."""

    model: str
    component: str
    vocabulary: int | None
    tied_embeddings: bool | None
    intermediate: int
    gated: bool
    experts: int | None
    active_experts: int | None
    expert_intermediate: int | None
    shared_intermediate: int | None
    dense_layers: int | None
    query_rank: int | None
    note: str
    inferred: tuple[str, ...]
    sources: tuple[str, ...]


@cache
def widths() -> tuple[Widths, ...]:
    """Every row of `architectures.csv`.

    Raises:
        BadData: a row is broken.
    """
    return read_records(catalogue.data_folder() / "architectures.csv", Widths, ["model", "component"])


def preset(name: str) -> Architecture:
    """The architecture of a model preset, of its first component; its other components are towers.

    Raises:
        BadInput: no model is called so, or nobody published its shape.
        CannotDo: what it multiplies beside attention is not known.
    """
    model = catalogue.model(name)
    if model.status == CONFIG:
        return from_config(preset_config(model), model.name)
    main = model.components[0]
    if main.layers is None or main.hidden is None:
        raise BadInput("error.model_shape_unknown", model=model.name, component=main.name)
    return _whole(model, main, _widths_of(model, main))


def preset_config(model: Model) -> Mapping[str, object]:
    """The config.json of a preset of that status, with the fields that count.

    Raises:
        BadInput: the file is missing or malformed.
    """
    return read_config(catalogue.data_folder() / "configs" / f"{model.name}.json")


def _widths_of(model: Model, component: Component) -> Widths | None:
    return next((w for w in widths() if (w.model, w.component) == (model.name, component.name)), None)


def _whole(model: Model, main: Component, known: Widths | None) -> Architecture:
    mixers = _mixers(main, known)
    bare = Architecture(
        name=model.name,
        hidden=main.hidden or 0,
        vocabulary=known.vocabulary or 0 if known else 0,
        tied_embeddings=bool(known.tied_embeddings) if known else True,
        layers=(),
        max_context=main.max_context,
        stored=published(model.weight_dtype),
        causal=main.causal is not False,
        tower_weights=sum(_tower(model, part) for part in model.components[1:]),
        remarks=_remarks(model),
    )
    if known is None:
        return _sized_by_total(bare, model, mixers)
    return replace(bare, layers=tuple(_with_experts(mixers, known)))


def _mixers(component: Component, known: Widths | None) -> list[tuple[int, Mixer]]:
    """Layers by their attention: all alike, or some with a window."""
    rank = (known.query_rank if known else None) or 0
    full = Mixer(
        kind=FULL,
        heads=component.heads or 0,
        kv_heads=component.kv_heads or 0,
        head_dim=component.head_dim or 0,
        head_dim_v=component.head_dim_v or 0,
        query_rank=rank,
        softcap=float(cap[1]) if (cap := SOFTCAP_TEXT.search(component.note)) else None,
        sinks=SINKS_TEXT in component.note,
    )
    count = component.layers or 0
    if component.kind == "MLA":
        columns = (component.kv_bytes_per_token or 0) // (2 * count)
        rope = (component.head_dim or 0) - (component.head_dim_v or 0)
        return [(count, replace(full, kind=LATENT, latent_rank=columns - rope, rope_dim=rope))]
    found = WINDOW_TEXT.fullmatch(component.window)
    if found is None:
        return [(count, full)]
    windowed = replace(full, kind=WINDOW, window=int(found[1]))
    every = 2 if found[2] else int(found[4]) if found[4] else 0
    if not every:
        return [(count, windowed)]
    kept = count - int(found[3]) if every == count else count // every
    return [(count - kept, windowed), (kept, full)]


def _with_experts(mixers: list[tuple[int, Mixer]], known: Widths) -> list[Layers]:
    """Layers by attention and by whether they have experts; the first `dense_layers` have none."""
    dense = FeedForward(intermediate=known.intermediate, gated=known.gated)
    if not known.experts:
        return [Layers(count=count, mixer=mixer, feed_forward=dense) for count, mixer in mixers]
    sparse = FeedForward(
        intermediate=known.shared_intermediate or 0,
        gated=known.gated,
        experts=known.experts,
        active=known.active_experts or 0,
        expert_intermediate=known.expert_intermediate or 0,
    )
    first = known.dense_layers or 0
    groups: list[Layers] = []
    for count, mixer in mixers:
        if here := min(first, count):
            groups.append(Layers(count=here, mixer=mixer, feed_forward=dense))
        if count > here:
            groups.append(Layers(count=count - here, mixer=mixer, feed_forward=sparse))
        first -= here
    return groups


def _sized_by_total(bare: Architecture, model: Model, mixers: list[tuple[int, Mixer]]) -> Architecture:
    """Products as wide as the published number of weights leaves room for.

    Raises:
        CannotDo: that number is not published either.
    """
    if model.parameters_billion is None:
        raise CannotDo("error.model_widths_unknown", model=model.name)
    count = sum(number for number, _ in mixers)
    attention = sum(number * mixer.weights(bare.hidden) for number, mixer in mixers)
    left = max(0.0, model.parameters_billion * 1e9 - attention - bare.tower_weights)
    wide = FeedForward(intermediate=round(left / (3 * bare.hidden * count)))
    layers = tuple(Layers(count=number, mixer=mixer, feed_forward=wide) for number, mixer in mixers)
    return replace(bare, layers=layers, assumed=("intermediate",))


def _tower(model: Model, component: Component) -> int:
    """Weights of another component, where its widths are known."""
    known = _widths_of(model, component)
    if known is None or component.layers is None or component.hidden is None:
        return 0
    mixer = _mixers(component, known)[0][1]
    wide = FeedForward(intermediate=known.intermediate, gated=known.gated)
    return component.layers * (mixer.weights(component.hidden) + wide.weights(component.hidden))


def _remarks(model: Model) -> tuple[str, ...]:
    return ("remark.towers",) if len(model.components) > 1 else ()
