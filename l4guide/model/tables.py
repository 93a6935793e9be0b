"""Tables that a model looks up beside its tokens' embeddings, and products that stand outside its layers."""

from l4guide.model.defaults import known_fields
from l4guide.model.fields import Fields
from l4guide.model.mixers import HIDDEN, layer_count

#: Columns of an embedding where they are not those of the hidden state.
EMBEDDING = ("embedding_size", "word_embed_proj_dim")
POSITIONS = ("max_position_embeddings", "n_positions", "max_source_positions")
#: Fields of positions that are turned, biased or computed, so that no table of them is learnt.
COMPUTED = frozenset(
    (
        "rope_parameters",
        "rope_theta",
        "rope_scaling",
        "rotary_dim",
        "rotary_pct",
        "rotary_emb_base",
        "relative_attention_num_buckets",
        "alibi",
        "num_mel_bins",
    )
)
#: Types whose positions are turned or biased, without a field that says so, or waves that are computed.
WITHOUT_TABLE = (
    "bloom",
    "mpt",
    "jamba",
    "esm",
    "xlnet",
    "deberta",
    "deberta-v2",
    "roformer",
    "m2m_100",
    "nllb-moe",
    "pegasus",
    "pegasus_x",
    "xglm",
    "marian",
    "speech_to_text",
    "whisper",
    "ctrl",
    "zamba",
    "mamba",
    "fsmt",
    "codegen",
    "gptj",
)


def table_weights(fields: Fields, *, two_stacks: bool, is_encoder: bool) -> int:
    """Weights of the tables of positions, types and layers, and of what stands outside the layers.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    hidden = fields.needed(*HIDDEN)
    wide = fields.whole(*EMBEDDING) or hidden
    found = _positions(fields) * wide * (2 if two_stacks else 1)
    found += (fields.whole("type_vocab_size") or 0) * wide + (wide * hidden if wide != hidden else 0)
    found += (fields.whole("entity_vocab_size") or 0) * (fields.whole("entity_emb_size") or 0)
    if is_encoder and _has_head(fields):
        found += hidden * wide
    return found + _ears(fields, hidden) + _by_layer(fields, hidden) + _alternating(fields, hidden)


def _positions(fields: Fields) -> int:
    """Rows of a table of positions that is learnt; none in a type that is not known, whatever its fields."""
    named = str(fields.get("model_type"))
    known = known_fields(named)
    kind = fields.get("position_embedding_type")
    if not known or named in WITHOUT_TABLE or kind not in (None, "absolute", "learned_absolute"):
        return 0
    if known & COMPUTED or any(fields.get(name) is not None for name in COMPUTED):
        return 0
    return fields.whole(*POSITIONS) or 0


def _has_head(fields: Fields) -> bool:
    """Whether an encoder has the product before its vocabulary: unless it names the class without it."""
    named = fields.get("architectures")
    return not (isinstance(named, list) and any(str(name).endswith("Model") for name in named))


def _ears(fields: Fields, hidden: int) -> int:
    """Whisper's two convolutions of three frames, and the positions of its sound and of its text."""
    bins = fields.whole("num_mel_bins")
    if not bins:
        return 0
    places = (fields.whole("max_source_positions") or 0) + (fields.whole("max_target_positions") or 0)
    return 3 * hidden * (bins + hidden) + places * hidden


def _by_layer(fields: Fields, hidden: int) -> int:
    """Gemma's embeddings of every layer: the table, its projection, and two products in each layer."""
    wide = fields.whole("hidden_size_per_layer_input")
    if not wide:
        return 0
    layers = layer_count(fields)
    entries = fields.whole("vocab_size_per_layer_input") or fields.whole("vocab_size") or 0
    return layers * wide * (entries + 3 * hidden)


def _alternating(fields: Fields, hidden: int) -> int:
    """Gemma 3n's parallel streams, a product into and out of each but the first, and each layer's low-rank path."""
    streams = fields.whole("altup_num_inputs") or 1
    rank = fields.whole("laurel_rank") or 0
    return 2 * (streams - 1) * hidden * hidden + 2 * layer_count(fields) * rank * hidden if streams > 1 else 0
