"""How each layer of a configuration mixes tokens."""

from l4guide.errors import BadInput
from l4guide.model.architecture import FULL, LATENT, LINEAR, NONE, WINDOW, Mixer
from l4guide.model.fields import MOST_COLUMNS, MOST_LAYERS, Fields

LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "decoder_attention_heads")
KV_HEADS = (
    "num_key_value_heads",
    "num_kv_heads",
    "n_head_kv",
    "num_attention_groups",
    "multi_query_group_num",
)
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
HEAD_DIM = ("head_dim", "attention_head_dim", "kv_channels", "d_kv")
#: Letters of a hybrid pattern: state-space layer, attention, product, experts.
PATTERN = {"M": LINEAR, "*": FULL, "-": NONE, "E": NONE}
#: What layer lists call the kinds; whatever else they name is attention to every key.
KINDS = {
    "sliding_attention": WINDOW,
    "chunked_attention": WINDOW,
    "linear_attention": LINEAR,
    "mamba": LINEAR,
    "mamba2": LINEAR,
    "conv": LINEAR,
    "recurrent": LINEAR,
    "moe": NONE,
    "mlp": NONE,
}


def layer_count(fields: Fields) -> int:
    """Layers of the model: said, or the length of the list of their kinds.

    Raises:
        BadInput: neither is there, or the number is out of limits.
    """
    listed = fields.listed("layers_block_type", "layer_types", "hybrid_override_pattern", "block_configs")
    if fields.whole(*LAYERS) is None and 0 < len(listed) <= MOST_LAYERS:
        return len(listed)
    return fields.needed(*LAYERS, at_most=MOST_LAYERS)


def hidden_size(fields: Fields) -> int:
    """Columns of the hidden state.

    Raises:
        BadInput: missing or out of limits.
    """
    return fields.needed(*HIDDEN)


def mixers(fields: Fields) -> list[Mixer]:
    """The mixer of every layer, in order.

    Raises:
        BadInput: a field is missing, malformed, or contradicts another.
    """
    count = layer_count(fields)
    kinds = _kinds(fields, count)
    made = {kind: _mixer(fields, kind) for kind in dict.fromkeys(kinds)}
    found = [made[kind] for kind in kinds]
    blocks = fields.listed("block_configs")
    return [_pruned(mixer, block) for mixer, block in zip(found, blocks, strict=True)] if blocks else found


def _kinds(fields: Fields, count: int) -> list[str]:
    """The kind of every layer: from a list or pattern, else by what the fields imply."""
    if fields.listed("compress_ratios"):
        return [FULL] * count  # a window beside compressed keys of the whole history
    for name in ("layer_types", "layers_block_type"):
        listed = fields.listed(name)
        if listed:
            return _fitting([KINDS.get(str(kind), FULL) for kind in listed], fields, name, count)
    pattern = fields.listed("hybrid_override_pattern")
    if pattern:
        return _fitting(
            [PATTERN.get(str(c), FULL) for c in pattern], fields, "hybrid_override_pattern", count
        )
    linear = fields.get("linear_attn_config")
    if isinstance(linear, dict):
        full = linear.get("full_attn_layers")
        kept = set(full) if isinstance(full, list) else set()
        return [FULL if number in kept else LINEAR for number in range(1, count + 1)]
    interval = fields.whole("full_attention_interval")
    if interval:
        return [FULL if number % interval == 0 else LINEAR for number in range(1, count + 1)]
    return _windowed(fields, count)


def _windowed(fields: Fields, count: int) -> list[str]:
    """Which layers see a window, where no list says so."""
    if fields.whole("sliding_window", "sliding_window_size", "attention_chunk_size") is None:
        return [FULL] * count
    if fields.flag("use_sliding_window") is False:
        return [FULL] * count
    hybrid = fields.listed("hybrid_layer_pattern")
    if hybrid:
        return _fitting([WINDOW if kind else FULL for kind in hybrid], fields, "hybrid_layer_pattern", count)
    if fields.whole("attention_chunk_size") is not None:
        rotary = fields.listed("no_rope_layers")
        if len(rotary) == count:
            return [WINDOW if turned else FULL for turned in rotary]
        return [FULL if number % 4 == 0 else WINDOW for number in range(1, count + 1)]
    every = fields.whole("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
    model_type = str(fields.get("model_type"))
    if every is None:
        every = (
            2
            if model_type.startswith(("gemma2", "gpt_oss"))
            else 6
            if model_type.startswith("gemma3")
            else None
        )
    if every:
        return [FULL if number % every == 0 else WINDOW for number in range(1, count + 1)]
    first = fields.whole("max_window_layers") if model_type.startswith("qwen") else None
    return [WINDOW if number >= (first or 0) else FULL for number in range(count)]


def _fitting(kinds: list[str], fields: Fields, name: str, count: int) -> list[str]:
    if len(kinds) < count:
        raise BadInput(
            "error.config_list_length", path=fields.name, field=name, found=len(kinds), needed=count
        )
    return kinds[:count]


def _mixer(fields: Fields, kind: str) -> Mixer:
    if kind == NONE:
        return Mixer(kind=NONE)
    if kind == LINEAR:
        return _linear(fields)
    if fields.whole("kv_lora_rank"):
        return _latent(fields)
    return _attention(fields, kind)


def _heads(fields: Fields, kind: str) -> tuple[int, int]:
    """Query heads, and key and value heads.

    Raises:
        BadInput: they do not divide.
    """
    own = fields.whole("swa_num_attention_heads") if kind == WINDOW else None
    heads = own or fields.needed(*HEADS)
    kept: int | None = None
    if kind == WINDOW:
        kept = fields.whole("swa_num_key_value_heads")
    elif fields.get("global_head_dim") is not None:
        kept = fields.whole("num_global_key_value_heads")
    kv_heads = kept or _kv_heads(fields, heads)
    if heads % kv_heads:
        raise BadInput("error.heads_not_divisible", heads=heads, kv_heads=kv_heads)
    return heads, kv_heads


def _kv_heads(fields: Fields, heads: int) -> int:
    inner = fields.get("attn_config")
    if isinstance(inner, dict) and isinstance(inner.get("kv_n_heads"), int):
        return max(1, int(inner["kv_n_heads"]))
    if fields.flag("multi_query") and not fields.flag("new_decoder_architecture"):
        return 1
    said = fields.whole(*KV_HEADS, at_least=1)
    if said is None and not fields.listed("block_configs"):
        fields.assumed.append("kv_heads")
    return said or heads


def head_dim(fields: Fields, kind: str = FULL) -> int:
    """Columns of a head: read; where absent, what its type takes; only then hidden size by heads.

    Raises:
        BadInput: it is not said, and does not follow.
    """
    own = "swa_head_dim" if kind == WINDOW else "global_head_dim"
    said = fields.whole(own, at_least=1) or fields.whole(*HEAD_DIM, at_least=1, at_most=MOST_COLUMNS)
    if said:
        return said
    known = fields.model_type
    if known is not None and known.head_dim is not None:
        fields.assumed.append("head_dim")
        return known.head_dim
    hidden, heads = hidden_size(fields), fields.needed(*HEADS)
    if hidden % heads:
        raise BadInput("error.config_missing", path=fields.name, field="head_dim", others="kv_channels")
    if known is None:
        fields.assumed.append("head_dim")
    return hidden // heads


def _attention(fields: Fields, kind: str) -> Mixer:
    heads, kv_heads = _heads(fields, kind)
    wide = head_dim(fields, kind)
    wide_v = fields.whole("swa_v_head_dim" if kind == WINDOW else "v_head_dim", at_least=1) or wide
    window = fields.whole("sliding_window", "sliding_window_size", "attention_chunk_size", at_least=1)
    return Mixer(
        kind=kind,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=wide,
        head_dim_v=wide_v,
        window=window if kind == WINDOW else None,
        query_rank=fields.whole("q_lora_rank") or 0,
        # One key head with a rotary part of its own and no rank: the compressed keys are the values too.
        shared_kv=bool(fields.whole("qk_rope_head_dim")) and kv_heads == 1,
    )


def _latent(fields: Fields) -> Mixer:
    heads = fields.needed(*HEADS)
    rope = fields.needed("qk_rope_head_dim", at_least=0)
    return Mixer(
        kind=LATENT,
        heads=heads,
        kv_heads=heads,
        head_dim=fields.needed("qk_nope_head_dim") + rope,
        head_dim_v=fields.needed("v_head_dim"),
        latent_rank=fields.needed("kv_lora_rank"),
        rope_dim=rope,
        query_rank=fields.whole("q_lora_rank") or 0,
    )


def _linear(fields: Fields) -> Mixer:
    """A layer with a state of constant size: gated delta rule, state space, or one that says no more of itself."""
    key_heads, key_dim = fields.whole("linear_num_key_heads"), fields.whole("linear_key_head_dim")
    value_heads, value_dim = fields.whole("linear_num_value_heads"), fields.whole("linear_value_head_dim")
    if key_heads and key_dim and value_heads and value_dim:
        keys, values = key_heads * key_dim, value_heads * value_dim
        state = value_heads * key_dim * value_dim
        return Mixer(kind=LINEAR, columns_in=2 * keys + 2 * values, columns_out=values, state_elements=state)
    heads, wide, states = (
        fields.whole(name) for name in ("mamba_num_heads", "mamba_head_dim", "ssm_state_size")
    )
    if heads and wide and states:
        groups = fields.whole("n_groups") or 1
        inner = heads * wide
        columns = 2 * inner + 2 * groups * states + heads
        return Mixer(kind=LINEAR, columns_in=columns, columns_out=inner, state_elements=inner * states)
    fields.assumed.append("linear_attention")
    wide = fields.needed(*HEADS) * (fields.whole(*HEAD_DIM) or hidden_size(fields) // fields.needed(*HEADS))
    return Mixer(kind=LINEAR, columns_in=4 * wide, columns_out=wide, state_elements=wide * 128)


def _pruned(mixer: Mixer, block: object) -> Mixer:
    """A layer of a model that was pruned block by block."""
    said = block.get("attention") if isinstance(block, dict) else None
    if not isinstance(said, dict):
        return mixer
    if said.get("no_op") or said.get("replace_with_linear"):
        return Mixer(kind=NONE)
    group = said.get("n_heads_in_group")
    if isinstance(group, int) and group > 0 and mixer.heads % group == 0:
        return Mixer(
            kind=mixer.kind,
            heads=mixer.heads,
            kv_heads=mixer.heads // group,
            head_dim=mixer.head_dim,
            head_dim_v=mixer.head_dim_v,
            window=mixer.window,
        )
    return mixer
