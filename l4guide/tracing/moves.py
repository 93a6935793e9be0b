"""Other values for the fields of a type's configuration: which counts, widths and kinds a trial of it sets."""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from l4guide.frozen import frozen

#: Fields that no shape depends on: what trains, generates, names or rescales.
BESIDE = re.compile(
    r".*(dropout|_drop$|drop_rate|droppath|drop_path|layerdrop|_ids?$|token_index|eps$|epsilon|initializer|_std$|_loss|temperature|_coef|"
    r"problem_type|use_cache|^output_|return_dict|chunk_size_feed_forward|rope(?!.*dim)|rotary(?!.*dim)|theta|yarn|mrope|time_step_(min|max|floor|limit|scale)|"
    r"_init$|_init_|init_std|pdrop|label|mask_(time|feature)|jitter|^eos|^bos|^pad_|_range$|scaling|^scale_|_scale$|dtype|^architectures|_name_or_path|name_or_path|"
    r"transformers_version|is_encoder_decoder|residual_multiplier|embedding_multiplier|logits|tokenizer|torchscript|languages|_prob$|ctc_|"
    r"sparsity|mean_resizing|activation|hidden_act|(^|_)act$|(^|_)act_fn|alpha|beta|momentum|noise|_version|pretraining_tp|swiglu_limit|generation|prefix$|task_specific|use_bfloat16).*"
)
LAYERS = re.compile(
    r"num_(hidden_)?layers|n_layers?|num_\w*layers|\w+_(hidden_)?layers|depth|n_block|num_\w*blocks|num_hidden_groups|num_nextn_predict_layers|layers"
)
EXPERTS = re.compile(r"(num|n)_(local_|routed_)?experts|moe_num_experts|num_\w*experts")
TAKEN = re.compile(r"\w*(per_tok|per_token|topk|top_k|topk_group|moe_k)\w*")
GROUPS = re.compile(r"n_groups?|num_expert_groups?|topk_group|n_group_\w+|num_groups")
HEADS = re.compile(r"(num|n)_\w*heads?|num_heads|\w+_attention_heads|n_head")
KV_HEADS = re.compile(r"\w*(key_value|kv|k_v|query_groups?|multi_query_group)\w*")
WINDOW = re.compile(r"\w*(window|local_attention|chunk_size|attention_chunk)\w*")
CONTEXT = re.compile(
    r"max_position_embeddings|n_positions|max_\w*position\w*|max_seq\w*|seq_length|n_ctx|block_size|max_sequence_length"
)
VOCABULARY = re.compile(r"(padded_)?vocab_size|\w*vocab_size\w*")
HIDDEN = re.compile(r"hidden_size|n_embd|d_model|dim|embed_dim|hidden_dim|dim_model|text_hidden_size")
IMAGE = re.compile(r"image_size|img_size|input_size")
PATCH = re.compile(r"patch_size")
FREQUENCY = re.compile(
    r"\w*(freq|interval|pattern|every|replace|period|offset|step|stride|kernel|_num|skip|first|factor|ratio)\w*"
)
#: Fields that may be null in a published configuration although the type has a number.
NULLABLE = re.compile(
    r"q_lora_rank|kv_lora_rank|\w*sliding_window|num_key_value_heads|head_dim|\w*shared_experts?|\w*_window(_size)?|\w*softcapping|num_kv_heads|n_inner|intermediate_size|ffn_dim"
)
#: What to try where a type has null.
FILLED = re.compile(
    r"\w*(size|dims?|rank|heads?|window|layers|experts|softcapping|n_inner|width|interval|replace|freq|pattern|embd|embed|channels)\w*"
)


@frozen
class Field:
    """One field of a configuration: its path, and what the type has there by itself."""

    path: str
    value: Any

    @property
    def name(self) -> str:
        """Its name within its part."""
        return self.path.rpartition(".")[2]

    @property
    def part(self) -> str:
        """The path of its part; empty for the whole."""
        return self.path.rpartition(".")[0]


def fields_of(config: Any, path: str = "") -> Iterator[Field]:
    """The fields of a configuration that a shape may depend on, those of its parts included."""
    for key, value in config.to_dict().items():
        part = vars(config).get(key)  # a field that differs between layers refuses to be read as one
        if hasattr(part, "to_dict"):
            yield from fields_of(part, f"{path}{key}.")
        elif key != "model_type" and not isinstance(value, dict) and not BESIDE.fullmatch(str(key)):
            yield Field(path=f"{path}{key}", value=value)


def is_count_of_layers(path: str) -> bool:
    """Whether a field says how many layers there are."""
    return bool(LAYERS.fullmatch(path.rpartition(".")[2]))


def drawn(fields: list[Field], derived: frozenset[str], chance: random.Random) -> dict[str, Any]:
    """Other values for many of these fields, by path; a part's own go together."""
    found: dict[str, Any] = {}
    for field in sorted(fields, key=_order):
        if field.path in derived and chance.random() < 0.5:
            continue
        value = _other(field, found, {one.path: one.value for one in fields}, chance)
        if value is not _SAME:
            found[field.path] = value
    return found


_SAME = object()


def _order(field: Field) -> int:
    """Heads before their groups, patches before images, layers before lists."""
    firsts = (LAYERS, HEADS, PATCH, EXPERTS)
    if KV_HEADS.fullmatch(field.name) or field.name.endswith("key_heads"):
        return len(firsts) + 1
    return next((place for place, kind in enumerate(firsts) if kind.fullmatch(field.name)), len(firsts))


def _other(field: Field, found: Mapping[str, Any], usual: Mapping[str, Any], chance: random.Random) -> Any:
    name, value = field.name, field.value
    if isinstance(value, bool):
        return (not value) if chance.random() < 0.4 else _SAME
    if value is None:
        return _filled(field, found, usual, chance) if chance.random() < 0.4 else _SAME
    if isinstance(value, str):
        return _SAME
    if isinstance(value, list | tuple):
        return _listed(field, list(value), found, usual, chance)
    if NULLABLE.fullmatch(name) and chance.random() < 0.3:
        return None
    if isinstance(value, float):
        return (
            _SAME if value in (0.0, 1.0) or chance.random() < 0.4 else value * chance.choice((0.5, 1.5, 2.0))
        )
    return number(field, value, found, usual, chance)


def number(
    field: Field, value: int, found: Mapping[str, Any], usual: Mapping[str, Any], chance: random.Random
) -> Any:
    """Another whole number, one that mostly goes with the others."""
    name = field.name

    def near(kind: re.Pattern[str], otherwise: int) -> int:
        return _beside(field, kind, found, usual) or otherwise

    if LAYERS.fullmatch(name):
        return chance.randint(2, 7) if value > 1 else chance.choice((value, 1, 2))
    if value <= 0:
        return chance.choice((value, value, 1, 2)) if value == 0 else _SAME
    if KV_HEADS.fullmatch(name):
        heads = near(HEADS, value)
        if "dim" in name or "rank" in name:
            return _scaled(value, chance)
        return chance.choice([heads // part for part in (1, 2, 4) if heads % part == 0] or [heads])
    if name.endswith("key_heads"):
        values = near(re.compile(re.escape(name).replace("key", "value")), value)
        return chance.choice([values // part for part in (1, 2, 4) if values % part == 0])
    if EXPERTS.fullmatch(name) and value > 3:
        return chance.choice((8, 16, 24, 32))
    if TAKEN.fullmatch(name) or GROUPS.fullmatch(name):
        return chance.choice((1, 2, 4, value)) if value > 1 else chance.choice((1, 1, 2))
    if HEADS.fullmatch(name):
        return chance.choice([n for n in (value, value * 2, value // 2 if value % 2 == 0 else 0) if n])
    if WINDOW.fullmatch(name):
        return chance.choice((32, 48, 64, 96, 128, 160)) if value > 16 else value
    if CONTEXT.fullmatch(name):
        return value * chance.choice((1, 2, 3)) if value >= 64 else _SAME
    if VOCABULARY.fullmatch(name):
        return value * chance.choice((1, 2)) + 64 * chance.randint(0, 9)
    if IMAGE.fullmatch(name):
        patch = near(PATCH, 0)
        return patch * chance.choice((8, 12, 16, 24)) if isinstance(patch, int) and patch > 0 else value
    if PATCH.fullmatch(name):
        return value * chance.choice((1, 1, 2))
    if HIDDEN.fullmatch(name):
        return value * chance.choice((1, 2, 3))
    return _scaled(value, chance)


def _beside(
    field: Field, kind: re.Pattern[str], found: Mapping[str, Any], usual: Mapping[str, Any]
) -> int | None:
    """The number of a kind that the same part has now."""
    for path, said in usual.items():
        part, _, name = path.rpartition(".")
        value = found.get(path, said)
        alike = kind.fullmatch(name) and not KV_HEADS.fullmatch(name)
        if part == field.part and alike and isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _scaled(value: int, chance: random.Random) -> int:
    """A multiple that stays even where it was, so that it can be halved."""
    if value < 8:
        return chance.choice((value, value, value + 1, 2 * value, max(1, value - 1)))
    factors = [2, 4, 6, 8] if value % 4 else [1, 2, 3, 4, 5, 6]
    return value * chance.choice(factors) // 2


def _filled(field: Field, found: Mapping[str, Any], usual: Mapping[str, Any], chance: random.Random) -> Any:
    """A number where the type has null."""
    name = field.name
    if not FILLED.fullmatch(name):
        return _SAME
    if WINDOW.fullmatch(name):
        return chance.choice((32, 48, 64, 96))
    if "softcap" in name:
        return chance.choice((30.0, 50.0))
    if KV_HEADS.fullmatch(name) or LAYERS.fullmatch(name) or EXPERTS.fullmatch(name):
        return number(field, 2, found, usual, chance)
    if FREQUENCY.fullmatch(name) or HEADS.fullmatch(name):
        return chance.choice((2, 3, 4))
    return chance.choice((48, 64, 96, 128, 192, 256))


def _listed(
    field: Field, value: list[Any], found: Mapping[str, Any], usual: Mapping[str, Any], chance: random.Random
) -> Any:
    """A list with an entry a layer, its kinds at random; of other numbers the same multiples of all."""
    layers = {
        path: found.get(path, said)
        for path, said in usual.items()
        if path.rpartition(".")[0] == field.part
        and LAYERS.fullmatch(path.rpartition(".")[2])
        and isinstance(said, int)
    }
    same = [path for path in layers if usual[path] == len(value)]
    if value and same and len(value) > 1:
        length = layers[same[0]]
        if chance.random() < 0.3:
            return (value * length)[:length]
        kinds = sorted(set(map(str, value)))
        by_name = {str(one): one for one in value}
        return [by_name[chance.choice(kinds)] for _ in range(length)]
    if value and all(isinstance(one, int) and not isinstance(one, bool) for one in value):
        factor = chance.choice((1, 1, 2))
        return [one * factor for one in value]
    if not value and re.search(r"layers|idxs?$|indices|indexes", field.name) and layers:
        most = min(layers.values())
        return sorted(chance.sample(range(most), chance.randint(0, max(0, most - 1))))
    return _SAME


def legacy(name: str, chance: random.Random) -> Any:
    """A value for a field that a type only takes from old files; nothing where its name does not tell of what kind."""
    if WINDOW.fullmatch(name) and "pattern" not in name:
        return chance.choice((32, 48, 64, 96))
    if FREQUENCY.fullmatch(name):
        return chance.choice((1, 2, 3, 4))
    if re.fullmatch(r"\w*(kv|key_value)_heads", name):
        return chance.choice((1, 2, 4))
    if re.fullmatch(r"\w*head_dim", name):
        return chance.choice((32, 64, 128))
    if re.fullmatch(r"tie_\w+|use_\w+|is_\w+|\w+_bias|\w*attention_bias", name):
        return chance.choice((True, False))
    return None
