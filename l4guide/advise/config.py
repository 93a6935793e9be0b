"""A pasted configuration as the rules see it: a model with a component for each kind of call in it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from l4guide import catalogue
from l4guide.advise.calls import named_calls
from l4guide.catalogue import CONFIG, Component, Model
from l4guide.errors import BadInput
from l4guide.model import LATENT, Architecture, named_file, parse_config
from l4guide.model.checkpoint_index import KEY, read_index
from l4guide.model.traced import Call

PASTED = "config.json"


def read_architecture(config: object, index: object = None, *, run: bool = True) -> Architecture:
    """The architecture of a configuration: the path of a config.json, its text, or the object in it.

    It is traced where transformers is installed, which takes seconds; without `run` it is read. `index` is the path of
    its checkpoint's index; one that lies beside a file is found, one in a text is read.

    Raises:
        BadInput: one of them cannot be read, or a field is missing, malformed or out of limits.
    """
    from l4guide.tracing.architecture import architecture_of

    found, name = _object(config)
    if index is not None:
        found = {**found, KEY: read_index(Path(str(index)))}
    return architecture_of(found, name, run=run)


def takes_seconds(config: object) -> bool:
    """Whether a configuration would be traced first; False for one that cannot be read."""
    from l4guide.tracing.architecture import is_waiting

    try:
        return is_waiting(*_object(config))
    except BadInput:
        return False


def _object(config: object) -> tuple[Mapping[str, object], str]:
    """The object of a configuration, and what to call the model."""
    if isinstance(config, Mapping):
        return config, PASTED
    text = str(config)
    if text.lstrip().startswith(("{", "[")):
        return parse_config(text, PASTED), PASTED
    return named_file(Path(text))


def model_of(config: object, index: object = None, *, run: bool = True) -> Model:
    """A configuration as a preset is; `index` as for `read_architecture`.

    Raises:
        BadInput: it cannot be read, a field is missing, malformed or out of limits, or nothing in it attends.
    """
    return as_model(read_architecture(config, index, run=run))


def preset_model(name: str) -> Model:
    """The preset that `name` means; one whose config.json is at hand has the components that follow from it.

    Raises:
        BadInput: no model is called so.
    """
    chosen = catalogue.model(name)
    if chosen.status != CONFIG:
        return chosen
    from l4guide.tracing.architecture import preset_architecture

    row, found = chosen.components[0], as_model(preset_architecture(name))
    first, *others = (replace(part, sources=row.sources) for part in found.components)
    return replace(found, status=CONFIG, components=(replace(first, note=row.note), *others))


def as_model(architecture: Architecture) -> Model:
    """An architecture as a preset is: a component for each kind of call that it makes.

    Raises:
        BadInput: none of its layers attends.
    """
    components = tuple(
        _component(architecture, name, call) for name, call in named_calls(architecture).items()
    )
    return Model(
        name=architecture.name,
        status="found",
        parameters_billion=architecture.parameters / 1e9,
        active_parameters_billion=architecture.active_parameters / 1e9,
        weight_dtype=architecture.weight_dtype,
        inferred=(),
        components=components,
    )


def _component(architecture: Architecture, name: str, call: Call) -> Component:
    kind, _, _ = name.partition(" ")
    window = call.window or call.chunk
    return Component(
        name=name,
        layers=call.layers,
        hidden=architecture.hidden,
        heads=call.heads,
        kv_heads=call.kv_heads,
        head_dim=call.head_dim,
        head_dim_v=call.head_dim_v,
        kind="MLA" if kind == LATENT else kind,
        causal=call.causal,
        window="" if window is None else str(window),
        max_context=architecture.usual_context or architecture.max_context,
        kv_bytes_per_token=None,
        kv_bytes_per_token_full_layers=None,
        inferred=architecture.assumed,
        unverified=(),
        note="",
        sources=(),
    )
