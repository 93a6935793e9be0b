"""What a pasted configuration may not ask of transformers: code, files, weights of others, a machine's memory."""

import re
from collections.abc import Iterator, Mapping

from l4guide.errors import BadInput
from l4guide.model.fields import MOST_COLUMNS, MOST_LAYERS

#: Fields that name code, kernels or weights to be fetched, or how weights are kept; none changes the modules' shapes.
LEFT_OUT = re.compile(
    r"auto_map|trust_remote_code|custom_pipelines|quantization_config|compression_config|.*_?attn_implementation.*"
    r"|.*experts_implementation.*|use_kernels|(torch_)?dtype|_name_or_path|name_or_path|transformers_version"
    r"|pretrained.*|use_pretrained_backbone|output_(attentions|hidden_states)|return_dict|torchscript"
)
#: Fields that count modules: each costs memory and time here.
COUNTS = re.compile(r"(num|n)_(\w*_)?(layer|block|stage)s?|.*(layers|depths?|blocks|stages)")
WIDTHS = re.compile(r".*(size|dims?|heads?|rank|width|channels?|n_embd|n_inner)|d_\w+")
EXPERTS = re.compile(r".*experts?")
#: These choose among layers and may count from the end.
CHOSEN = re.compile(r"feature|select|indices|index|_idx|_ids?$")
MOST_EXPERTS = 65536
#: No published configuration is nested deeper than its towers' towers, or has a longer list.
MOST_DEPTH = 8
MOST_LISTED = 4 * MOST_COLUMNS


def cleaned(config: Mapping[str, object], name: str) -> dict[str, object]:
    """The configuration without what could fetch or execute anything, every number within limits.

    Raises:
        BadInput: it is nested too deeply, or a field is out of limits.
    """
    for field, value in _numbers(config, name, "", 0):
        _check(field, value, name)
    return _without(config)


def _without(config: Mapping[str, object]) -> dict[str, object]:
    return {
        key: _without(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if not LEFT_OUT.fullmatch(key)
    }


def _numbers(value: object, name: str, field: str, depth: int) -> Iterator[tuple[str, int | float]]:
    """Every number with the name of the field that it stands in, or the list."""
    if depth > MOST_DEPTH:
        raise BadInput("model_trace.nested", path=name, field=field, limit=MOST_DEPTH)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, name, str(key), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, name, field, depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield field, value


def _check(field: str, value: float, name: str) -> None:
    if CHOSEN.search(field):
        return
    if EXPERTS.fullmatch(field):
        low, high = 0, MOST_EXPERTS
    elif COUNTS.fullmatch(field):
        low, high = 0, MOST_LAYERS
    elif WIDTHS.fullmatch(field):
        low, high = -1, MOST_COLUMNS
    else:
        return
    if not low <= value <= high:
        raise BadInput("error.config_out_of_range", path=name, field=field, value=value, low=low, high=high)
