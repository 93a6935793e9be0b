"""Configurations to try a reader with: a type's default, and the same with other counts and widths."""

import copy
import random
import re
from collections.abc import Iterator
from typing import Any

import torch

from l4guide.tracing.build import build, typed_config

#: What a file says of a model and no count depends on.
SAID_FOR_OTHERS = re.compile(
    r".*(dropout|_drop|_id|token|_ids|time_step_(min|max|floor|limit|scale)|activation_sparsity_pattern|transformers_version|label|_eps|epsilon|initializer|_std|_loss|temperature|_coef|problem_type|use_cache"
    r"|output_(?!layers)|return_dict|chunk_size_feed_forward|is_encoder_decoder_|_factor|_init|pdrop).*|dtype|architectures|_name_or_path"
)
#: How positions turn, said whole or not at all: a type refuses a part of it.
ROTARY = ("rope_parameters", "rope_scaling")
KEPT = re.compile(r".*(per_tok|per_token|token_types?|num_tokens|tokens?_per).*")
#: Groups of fields that are changed, each together, and the factors that are tried.
CHANGES: tuple[tuple[str, tuple[float, ...]], ...] = (
    (r"(padded_)?vocab_size", (1.25, 0.75)),
    (
        r"(num_(hidden_)?layers|n_layers?|(encoder|decoder)_layers|num_(encoder|decoder)(_hidden)?_layers)",
        (0.5, 1.5),
    ),
    (
        r"(moe_|shared_expert_|expert_)?(intermediate_size|ffn_hidden_size|n_inner|ffn_dim|d_ff)|(encoder|decoder)_ffn_dim",
        (1.5, 0.5),
    ),
    (r"num_(local_|routed_)?experts|n_routed_experts", (0.5, 2.0)),
    (r"num_experts_per_tok|num_experts_per_token|moe_topk", (0.5, 2.0)),
    (r"num_key_value_heads|num_kv_heads", (0.5,)),
    (r"num_attention_heads|n_heads?|num_heads|(encoder|decoder)_attention_heads", (2.0, 0.5)),
    (r"hidden_size|n_embd|d_model|dim", (2.0, 0.5)),
    (r"sliding_window|max_position_embeddings", (0.5,)),
)


def said_by(config: Any) -> dict[str, Any]:
    """What the file of a configuration would say of counts, widths and kinds."""
    said: dict[str, Any] = config.to_dict()
    return _shapes(said) | {"model_type": config.model_type}


def derived(config: Any, path: str = "") -> list[str]:
    """Fields, by their path, that follow from others, so that nobody may take their values for granted."""
    found = []
    for key, value in said_by(config).items():
        part = vars(config).get(key)  # a field that differs between layers refuses to be read as one
        if hasattr(part, "to_dict"):
            found += derived(part, f"{path}{key}.")
        elif key != "model_type" and getattr(type(config), key, None) != value:
            found.append(f"{path}{key}")
    return found


def _shapes(said: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for field, value in said.items():
        key = str(field)
        if key not in ROTARY and (SAID_FOR_OTHERS.fullmatch(key) and not KEPT.fullmatch(key)):
            continue
        if value is not None:
            whole = key in ROTARY or not isinstance(value, dict)
            found[key] = value if whole else _shapes(value)
    return found


def varied(said: dict[str, Any], seed: int) -> dict[str, Any]:
    """A configuration with as many other counts and widths as its type takes, chosen by `seed`."""
    chance = random.Random(f"{said['model_type']} {seed}")
    current = copy.deepcopy(said)
    for fields, factors in CHANGES:
        for factor in chance.sample(factors, len(factors)):
            changed = _changed(current, re.compile(fields), factor)
            if changed != current and _is_taken(changed):
                current = changed
                break
    return current


def _changed(said: dict[str, Any], fields: re.Pattern[str], factor: float) -> dict[str, Any]:
    """The same with each of these fields multiplied, of the language model and of the whole."""
    found = copy.deepcopy(said)
    for part in _parts(found):
        for key, value in list(part.items()):
            if fields.fullmatch(key) and isinstance(value, int) and not isinstance(value, bool) and value > 1:
                part[key] = max(1, int(value * factor))
                if "layers" in key or key == "n_layer":
                    _forget_lists(part, value)
    return found


def _parts(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield said
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(said.get(key), dict):
            yield from _parts(said[key])


def _forget_lists(part: dict[str, Any], layers: int) -> None:
    """Leave out lists with an entry a layer: the type makes them anew."""
    for key in [key for key, value in part.items() if isinstance(value, list) and len(value) == layers]:
        del part[key]


def _is_taken(said: dict[str, Any]) -> bool:
    try:
        build(lambda: typed_config(copy.deepcopy(said), "-"), torch.bfloat16)
    except Exception:  # the type does not go with this change
        return False
    return True
