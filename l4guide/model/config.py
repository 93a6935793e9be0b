"""Any model's config.json, as transformers writes it, as an architecture."""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from l4guide.model.architecture import NONE, Architecture, FeedForward, Layers, Mixer
from l4guide.model.checkpoint_index import holds_head
from l4guide.model.composed import composed, encoder_of, outside, read_columns
from l4guide.model.fields import Fields, read_config
from l4guide.model.hybrids import shares_blocks, sharing
from l4guide.model.loops import again, cycled, looped
from l4guide.model.mixers import STATES_ALONE, hidden_size, layer_count, mixers
from l4guide.model.stacks import has_two, stacks
from l4guide.model.stored import stored
from l4guide.model.tables import EMBEDDING, table_weights
from l4guide.model.towers import tower_weights, towers_of
from l4guide.model.traits import with_traits

#: What a layer mixes with and multiplies, and how often it is passed.
Alike = tuple[Mixer, FeedForward, int]
INTERMEDIATE = (
    "intermediate_size",
    "ffn_hidden_size",
    "n_inner",
    "ffn_dim",
    "hidden_dim",
    "d_ff",
    "decoder_ffn_dim",
    "dff",
)
EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
ACTIVE = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "moe_top_k",
    "top_k_experts",
    "moe_k",
)
EXPERT_WIDTH = (
    "moe_intermediate_size",
    "expert_intermediate_size",
    "moe_ffn_hidden_size",
    "expert_ffn_hidden_size",
)
SHARED_WIDTH = (
    "moe_shared_expert_intermediate_size",
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
)
SHARED_WIDTHS = (*SHARED_WIDTH, "share_expert_dim")
CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
    "max_target_positions",
)
MOST_CONTEXT = 2**31
#: Pixels along an image that a model reads; none that exists is as large.
MOST_PIXELS = 16_384
#: Characters of a type's name that are kept; none that exists is as long.
MOST_TYPE = 60
#: Types that count the gate and what it gates as one width.
HALVED = ("recurrent_gemma", "moshi")
#: Activations whose product has no gate.
UNGATED = ("relu2", "squared_relu", "relu", "gelu_new", "gelu_fast")


def from_file(path: Path) -> Architecture:
    """The architecture that a config.json describes.

    Raises:
        BadInput: the file, or a field in it, is missing, malformed or out of limits.
    """
    return from_config(*named_file(path))


def named_file(path: Path) -> tuple[Mapping[str, object], str]:
    """The configuration in a file, and what to call the model: a config.json is called as its folder is.

    Raises:
        BadInput: the file is missing, too large, or no JSON object.
    """
    name = path.stem if path.stem.lower() != "config" else (path.resolve().parent.name or path.stem)
    return read_config(path), name


def from_config(config: Mapping[str, object], name: str) -> Architecture:
    """The architecture of a configuration called `name`.

    Raises:
        BadInput: a field is missing, malformed, out of limits, or contradicts another.
    """
    fields = Fields(config, name)
    hidden = hidden_size(fields)
    encoder = encoder_of(fields)
    two_stacks, causal = has_two(fields), encoder is not None or _is_causal(fields)
    if two_stacks:
        layers = stacks(fields, gated=_gated(fields))
    elif shares_blocks(fields):
        layers = sharing(fields, _dense(fields))
    else:
        layers = _layers(fields, causal=causal)
    tables = table_weights(fields, two_stacks=two_stacks, is_encoder=not causal)
    if encoder is not None:
        reads = from_config(encoder, f"{name}: encoder")
        layers = composed(reads, layers, hidden, read_columns(fields))
        tables += outside(reads, encoder, read_columns(fields) or hidden)
    towers = [tower_weights(tower) for tower in fields.towers]
    found = Architecture(
        name=name,
        hidden=hidden,
        vocabulary=fields.whole("vocab_size", "padded_vocab_size") or 0,
        tied_embeddings=_tied(fields),
        layers=with_traits(fields, layers),
        max_context=fields.whole(*CONTEXT, at_least=1, at_most=MOST_CONTEXT),
        usual_context=_patches(fields),
        stored=stored(fields, sum(group.count for group in layers)),
        model_type=named_type(config),
        tower_weights=sum(weights or 0 for weights in towers),
        towers=towers_of(fields),
        causal=causal,
        embedding_width=fields.whole(*EMBEDDING),
        table_weights=tables,
        assumed=tuple(dict.fromkeys(fields.assumed)),
        remarks=_remarks(fields, towers, layers),
    )
    # Asked last, when everything has been read.
    return replace(found, unread=fields.unread)


def named_type(config: Mapping[str, object]) -> str:
    """The type as it says itself, in one line of a sentence; "-" where it says none."""
    return " ".join(str(config.get("model_type") or "-").split())[:MOST_TYPE] or "-"


def _layers(fields: Fields, *, causal: bool) -> tuple[Layers, ...]:
    """The layers of a single stack."""
    found = [mixer if causal else replace(mixer, cached=False) for mixer in mixers(fields)]
    section, passes = looped(fields)
    often = [passes if number in section else 1 for number in range(len(found))]
    alike = list(zip(found, _feed_forwards(fields, found), often, strict=True))
    cycles = cycled(fields)
    stored = cycles[1] if cycles else fields.whole("num_hidden_groups", at_least=1)
    return tuple(
        group
        for (mixer, wide, times), same in groupby(_together(alike))
        for group in again(
            fields, Layers(count=len(list(same)), mixer=mixer, feed_forward=wide, stored=stored), times
        )
    )


def _is_causal(fields: Fields) -> bool:
    """Whether a token sees those before it alone: as its type has it, unless it is said to decode."""
    known = fields.model_type
    if known is None and _patches(fields) is not None:
        return False
    return known is None or known.causal or fields.flag("is_decoder") is True


def _patches(fields: Fields) -> int | None:
    """Patches of an image and its class token, of a model that reads images alone; None for any other."""
    if fields.says("vocab_size"):
        return None
    side, patch = (_along(fields.own.get(name)) for name in ("image_size", "patch_size"))
    return (side // patch) ** 2 + 1 if side and patch and patch <= side else None


def _along(said: object) -> int:
    """Pixels along a side; of a pair the first; 0 where it is not said so."""
    if isinstance(said, list) and said:
        said = said[0]
    whole = isinstance(said, int) and not isinstance(said, bool)
    return said if whole and isinstance(said, int) and 0 < said <= MOST_PIXELS else 0


def _together(layers: list[Alike]) -> list[Alike]:
    """The same layers, those that are alike next to each other: their order changes neither time nor memory."""
    order = {layer: number for number, layer in enumerate(dict.fromkeys(layers))}
    return sorted(layers, key=order.__getitem__)


def _feed_forwards(fields: Fields, found: list[Mixer]) -> list[FeedForward]:
    """What every layer multiplies."""
    count = layer_count(fields)
    dense, sparse = _dense(fields), _sparse(fields)
    letters = fields.listed("hybrid_override_pattern") or fields.listed("layers_block_type")
    if letters:
        by_letter = {"-": dense, "mlp": dense, "E": sparse or dense, "moe": sparse or dense}
        return [by_letter.get(str(letter), FeedForward()) for letter in letters[:count]]
    blocks = fields.listed("block_configs")
    if blocks:
        return [_pruned(fields, block, dense) for block in blocks]
    if sparse is None:
        alone = str(fields.get("model_type")) in STATES_ALONE
        wide = [FeedForward() if mixer.kind == NONE or alone else dense for mixer in found]
        return _doubled(fields, found, wide)
    return [sparse if _has_experts(fields, index) else dense for index in range(count)]


def _doubled(fields: Fields, found: list[Mixer], wide: list[FeedForward]) -> list[FeedForward]:
    """Layers that borrow keys and values are twice as wide inside where `use_double_wide_mlp` says so."""
    if not fields.flag("use_double_wide_mlp"):
        return wide
    return [
        replace(one, intermediate=2 * one.intermediate) if mixer.borrows_kv else one
        for mixer, one in zip(found, wide, strict=True)
    ]


def _inside(fields: Fields) -> int | None:
    """Columns inside the dense product; of a list with an entry a layer the first."""
    listed = fields.own.get("intermediate_size")
    if isinstance(listed, list) and listed and isinstance(listed[0], int):
        return listed[0]
    width = fields.whole("dense_intermediate_size", "intermediate_size_mlp") or fields.whole(*INTERMEDIATE)
    if width and str(fields.get("model_type")) in HALVED:
        return width // 2
    rounded = fields.whole("ffn_round_up_to_multiple_of", at_least=1)
    if rounded:
        factor = fields.get("ffn_proj_factor") or 2.667
        wanted = hidden_size(fields) * (
            factor if isinstance(factor, int | float) and 0 < factor <= 64 else 2.667
        )
        return math.ceil(wanted / rounded) * rounded
    if width and fields.flag("block_auto_adjust_ff_dim"):
        multiple = fields.whole("block_multiple_of", at_least=1) or 1
        return -(-(2 * width // 3) // multiple) * multiple
    return width


def _dense(fields: Fields) -> FeedForward:
    width = _inside(fields)
    if width is None:
        width = 4 * hidden_size(fields)
        if fields.whole(*EXPERT_WIDTH) is None:
            fields.assumed.append("intermediate")
    return FeedForward(intermediate=width, gated=_gated(fields))


def _sparse(fields: Fields) -> FeedForward | None:
    """A layer with experts; None where the model has none."""
    experts = fields.whole(*EXPERTS)
    if not experts or experts == 1:
        return None
    width = fields.whole(*EXPERT_WIDTH) or fields.needed(*INTERMEDIATE)
    shared = fields.whole(*SHARED_WIDTHS)
    if shared is None:
        shared = width * (
            fields.whole("n_shared_experts", "num_shared_experts", "moe_num_shared_experts") or 0
        )
    if str(fields.get("model_type")).startswith(("llama4", "gemma4")):
        # Their dense product stands beside the experts under the ordinary name.
        shared = fields.whole("intermediate_size") or 0
    return FeedForward(
        intermediate=shared,
        gated=_gated(fields),
        experts=experts,
        active=min(fields.needed(*ACTIVE), experts),
        expert_intermediate=width,
        expert_hidden=fields.whole("moe_latent_size", "routed_expert_hidden_size"),
    )


def _has_experts(fields: Fields, index: int) -> bool:
    """Whether layer `index`, counted from 0, has experts."""
    listed = fields.listed("mlp_layer_types")
    if index < len(listed):
        return listed[index] not in ("dense", "mlp")
    frequency = fields.get("moe_layer_freq")
    if isinstance(frequency, list):
        return index < len(frequency) and bool(frequency[index])
    only = fields.listed("mlp_only_layers")
    if index in only or index < (fields.whole("first_k_dense_replace") or 0):
        return False
    if index < (fields.whole("moe_layer_start_index") or 0):
        return False
    period = fields.whole("expert_layer_period", at_least=1)
    if period:
        return index % period == (fields.whole("expert_layer_offset") or 0)
    step = fields.whole("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq") or 1
    return (index + 1) % step == 0


def _pruned(fields: Fields, block: object, dense: FeedForward) -> FeedForward:
    """The product of a layer that was pruned: a multiple of the hidden size, rounded up to 256."""
    said = block.get("ffn") if isinstance(block, dict) else None
    if not isinstance(said, dict):
        return dense
    if said.get("no_op") or said.get("replace_with_linear"):
        return FeedForward()
    factor = said.get("ffn_mult")
    if not isinstance(factor, int | float) or factor <= 0:
        return dense
    width = int(2 * factor * hidden_size(fields) / 3)
    return replace(dense, intermediate=-(-width // 256) * 256)


def _gated(fields: Fields) -> bool:
    """Whether the product has a gate: as its type has, unless its activation says that it cannot."""
    activation = str(fields.get("mlp_hidden_act", "hidden_act", "activation_function", "hidden_activation"))
    if "gated" in str(fields.get("feed_forward_proj")) or fields.flag("is_gated_act") is not None:
        return "gated" in str(fields.get("feed_forward_proj")) or fields.flag("is_gated_act") is True
    known = fields.model_type
    return known.gated if known is not None else activation not in UNGATED


def _tied(fields: Fields) -> bool:
    said = fields.whole_model_flag("tie_word_embeddings")
    head = holds_head(fields.outer)
    if head is not None and not fields.says("tie_word_embeddings"):
        return not head
    if not fields.says("tie_word_embeddings"):
        fields.assumed.append("tied_embeddings")
        known = fields.model_type
        return bool(said) if said is not None or known is None else known.tied_embeddings
    return bool(said)


def _remarks(fields: Fields, towers: list[int | None], layers: tuple[Layers, ...]) -> tuple[str, ...]:
    """What the counts leave out, as keys of sentences; `towers` are weights, None where they are not known."""
    found = ["remark.towers"] if any(towers) else []
    found += ["remark.config_towers"] if None in towers else []
    said = (
        fields.get("index_topk", "compress_ratios", "compress_rates", "sparse_attention_config") is not None
    )
    if any(group.mixer.is_sparse for group in layers):
        found.append("remark.sparse_reads")
    elif said:
        found.append("remark.sparse_attention")
    return tuple(found)
