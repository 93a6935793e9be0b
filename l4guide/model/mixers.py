"""How each layer of a configuration mixes tokens."""

from dataclasses import replace

from l4guide.errors import BadInput
from l4guide.model.architecture import FULL, LINEAR, NONE, WINDOW, Mixer
from l4guide.model.compressed import compressed, compressions
from l4guide.model.defaults import kinds_of
from l4guide.model.fields import MOST_COLUMNS, MOST_LAYERS, Fields
from l4guide.model.latent import latent
from l4guide.model.loops import cycled
from l4guide.model.states import linear

#: xLSTM counts its blocks, whatever it says of its layers.
LAYERS = ("num_blocks", "num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")
HEADS = (
    "num_attention_heads",
    "n_head",
    "n_heads",
    "decoder_attention_heads",
    "num_heads",
    "attention_heads",
)
KV_HEADS = (
    "num_key_value_heads",
    "num_kv_heads",
    "n_head_kv",
    "num_attention_groups",
    "multi_query_group_num",
)
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim", "emb_dim")
HEAD_DIM = ("head_dim", "attention_head_dim", "kv_channels", "d_kv")
#: Types whose every layer has a state and no attention, which no field says.
STATES_ALONE = ("mamba", "mamba2", "falcon_mamba")
#: Types whose every layer has a state beside a product.
STATES_IN_ALL = ("rwkv", "xlstm")
#: Types whose layers have a state unless a list names those that attend.
STATES_UNLESS_LISTED = ("bamba", "granitemoehybrid")
#: Of so many layers of these types one attends, where nothing is said.
USUAL_INTERVAL = 4
#: Layers with all keys are wider in these types, which `global_head_dim` says where they are not 512.
GEMMA4, GEMMA4_GLOBAL = "gemma4", 512
#: Types whose queries bring a gate for the output, which no field says of all of them.
GATED_OUTPUT = ("qwen3_next", "qwen3_5")
#: Other such types.
ALSO_GATED = ("hrm_text", "dory", "inkling2")
#: Letters of a hybrid pattern: state-space layer, attention, product, experts.
PATTERN = {"M": LINEAR, "*": FULL, "-": NONE, "E": NONE}
#: Of so many layers one sees every key.
EVERY = ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
#: What layer lists call the kinds; whatever else they name is attention to every key.
KINDS = {
    "sliding_attention": WINDOW,
    "chunked_attention": WINDOW,
    "hybrid_sliding": WINDOW,
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
    cycles = cycled(fields)
    return cycles[0] if cycles else fields.needed(*LAYERS, at_most=MOST_LAYERS)


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
    compression = compressions(fields, count)
    if compression:
        whole = _attention(fields, FULL)
        alike = {one: compressed(fields, whole, one) for one in dict.fromkeys(compression)}
        return [alike[one] for one in compression]
    kinds = _kinds(fields, count)
    made = {kind: _mixer(fields, kind) for kind in dict.fromkeys(kinds)}
    found = _borrowing(fields, [made[kind] for kind in kinds])
    blocks = fields.listed("block_configs")
    return [_pruned(mixer, block) for mixer, block in zip(found, blocks, strict=True)] if blocks else found


def _borrowing(fields: Fields, found: list[Mixer]) -> list[Mixer]:
    """The last `num_kv_shared_layers` read the keys and values of layers before them."""
    shared = min(fields.whole("num_kv_shared_layers") or 0, len(found))
    kept = len(found) - shared
    return [*found[:kept], *(replace(mixer, borrows_kv=True) for mixer in found[kept:])]


def _kinds(fields: Fields, count: int) -> list[str]:
    """The kind of every layer: from a list or pattern, else by what the fields imply."""
    if str(fields.get("model_type")) in (*STATES_ALONE, *STATES_IN_ALL):
        return [LINEAR] * count
    blocks = fields.listed("block_types", "_block_types")
    if blocks:
        named = {"recurrent": LINEAR, "attention": WINDOW}
        return [named.get(str(blocks[number % len(blocks)]), FULL) for number in range(count)]
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
    period = fields.whole("attn_layer_period", at_least=1)
    if period:
        offset = fields.whole("attn_layer_offset") or 0
        return [FULL if number % period == offset else LINEAR for number in range(count)]
    attending = fields.get("attn_layer_indices")
    if isinstance(attending, list):
        return [FULL if number in attending else LINEAR for number in range(count)]
    if str(fields.get("model_type")) in STATES_UNLESS_LISTED:
        return [LINEAR] * count
    interval = fields.whole("full_attention_interval")
    if interval is None and str(fields.get("model_type")).startswith(GATED_OUTPUT):
        interval = USUAL_INTERVAL
    if interval:
        return [FULL if number % interval == 0 else LINEAR for number in range(1, count + 1)]
    return _repeated(fields, count) or _windowed(fields, count)


def _repeated(fields: Fields, count: int) -> list[str]:
    """The kinds that the type lists by default, where the configuration says nothing of them."""
    if fields.says(*EVERY, "use_sliding_window", "hybrid_layer_pattern", "no_rope_layers"):
        return []
    named = [str(config.get("model_type")) for config in (fields.own, fields.outer)]
    found = next((kinds for name in named if (kinds := kinds_of(name, "layer_types", count))), [])
    if found:
        fields.assumed.append("layer_types")
    return [KINDS.get(str(kind), FULL) for kind in found]


def _windowed(fields: Fields, count: int) -> list[str]:
    """Which layers see a window, where no list says so."""
    if not fields.whole("sliding_window", "sliding_window_size", "attention_chunk_size"):
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
    every = fields.whole(*EVERY)
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
        return latent(fields, kind, fields.needed(*HEADS))
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
    if kind == FULL and str(fields.get("model_type")).startswith(GEMMA4) and not fields.says(own):
        fields.assumed.append("head_dim")
        return GEMMA4_GLOBAL
    said = fields.whole(own, at_least=1) or fields.whole(*HEAD_DIM, at_least=1, at_most=MOST_COLUMNS)
    if said:
        if not fields.says(own, *HEAD_DIM):
            fields.assumed.append("head_dim")
        return said
    known = fields.model_type
    if known is not None and known.head_dim is not None:
        fields.assumed.append("head_dim")
        return known.head_dim
    hidden, heads = hidden_size(fields), fields.needed(*HEADS)
    if hidden % heads and not fields.taken:
        raise BadInput("error.config_missing", path=fields.name, field="head_dim", others="kv_channels")
    if known is None:
        fields.assumed.append("head_dim")
    return hidden // heads


def _attention(fields: Fields, kind: str) -> Mixer:
    heads, kv_heads = _heads(fields, kind)
    wide = head_dim(fields, kind)
    wide_v = fields.whole("swa_v_head_dim" if kind == WINDOW else "v_head_dim", at_least=1) or wide
    window = fields.whole(
        "sliding_window", "sliding_window_size", "attention_chunk_size", "attention_window_size"
    )
    return Mixer(
        kind=kind,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=wide,
        head_dim_v=wide_v,
        window=window or None if kind == WINDOW else None,
        query_rank=fields.whole("q_lora_rank") or 0,
        inner_weights=_beside(fields, heads, wide, wide_v),
        # One key head with a rotary part of its own and no rank: the compressed keys are the values too.
        shared_kv=bool(fields.whole("qk_rope_head_dim")) and kv_heads == 1,
    )


def _beside(fields: Fields, heads: int, wide: int, wide_v: int) -> int:
    """Weights of attention beside its four products: a gate of the output, or an output of low rank in its place."""
    hidden = hidden_size(fields)
    named = str(fields.get("model_type"))
    gate = fields.flag("attn_output_gate") or (
        named.startswith((*GATED_OUTPUT, *ALSO_GATED)) and fields.get("attn_output_gate") is None
    )
    found = hidden * heads * wide if gate else 0
    # Inkling's distances of queries and keys, learnt a head.
    distances = fields.whole("d_rel") or 0
    found += distances * (hidden * heads + (fields.whole("rel_extent") or 0))
    rank, groups = fields.whole("o_lora_rank"), fields.whole("o_groups")
    if rank and groups:
        found += heads * wide_v * rank + groups * rank * hidden - heads * wide_v * hidden
    return found


def _linear(fields: Fields) -> Mixer:
    """A layer with a state of constant size, or one that says no more of itself."""
    found = linear(fields)
    if found is not None:
        return found
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
