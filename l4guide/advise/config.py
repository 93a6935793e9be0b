"""A pasted configuration as the rules see it: a model with a component for each kind of call in it."""

from collections.abc import Mapping
from pathlib import Path

from l4guide.advise.calls import named_calls
from l4guide.catalogue import Component, Model
from l4guide.model import LATENT, Architecture, from_config, from_file, parse_config
from l4guide.model.traced import Call

PASTED = "config.json"


def read_architecture(config: object) -> Architecture:
    """The architecture of a configuration: the path of a config.json, its text, or the object in it.

    Raises:
        BadInput: it cannot be read, or a field is missing, malformed or out of limits.
    """
    if isinstance(config, Mapping):
        return from_config(config, PASTED)
    text = str(config)
    if text.lstrip().startswith(("{", "[")):
        return from_config(parse_config(text, PASTED), PASTED)
    return from_file(Path(text))


def model_of(config: object) -> Model:
    """A configuration as a preset is.

    Raises:
        BadInput: it cannot be read, a field is missing, malformed or out of limits, or nothing in it attends.
    """
    return as_model(read_architecture(config))


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
        max_context=architecture.max_context,
        kv_bytes_per_token=None,
        kv_bytes_per_token_full_layers=None,
        inferred=architecture.assumed,
        unverified=(),
        note="",
        sources=(),
    )
