"""Tables that a model looks up beside its tokens' embeddings, and products that stand outside its layers."""

from l4guide.model.fields import Fields
from l4guide.model.mixers import HIDDEN, layer_count

#: Columns of an embedding where they are not those of the hidden state.
EMBEDDING = ("embedding_size", "word_embed_proj_dim")
POSITIONS = ("max_position_embeddings", "n_positions", "max_source_positions")


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
    found += _spoken(fields, hidden) + _unlike(fields, hidden)
    return found + _ears(fields, hidden) + _by_layer(fields, hidden) + _alternating(fields, hidden)


def _positions(fields: Fields) -> int:
    """Rows of a table of positions: of a type that learns one, unless its positions are said to be others."""
    known = fields.model_type
    kind = fields.get("position_embedding_type")
    if known is None or not known.learnt_positions or kind not in (None, "absolute", "learned_absolute"):
        return 0
    return fields.whole(*POSITIONS) or 0


def _has_head(fields: Fields) -> bool:
    """Whether an encoder has the product before its vocabulary: unless it names the class without, or is XLM's kin."""
    named = fields.get("architectures")
    if fields.flag("asm") is not None:
        return False
    return not (isinstance(named, list) and any(str(name).endswith("Model") for name in named))


def _spoken(fields: Fields, hidden: int) -> int:
    """RoCBert's tables of how a character sounds and looks, and the product that joins them with its meaning."""
    found = joined = 0
    for says, rows, columns in (
        ("enable_pronunciation", "pronunciation_vocab_size", "pronunciation_embed_dim"),
        ("enable_shape", "shape_vocab_size", "shape_embed_dim"),
    ):
        if fields.flag(says):
            wide = fields.whole(columns) or 0
            found, joined = found + wide * (fields.whole(rows) or 0), joined + wide
    return found + (hidden * (hidden + joined) if joined and fields.flag("concat_input") else 0)


def _unlike(fields: Fields, hidden: int) -> int:
    """What the embeddings and the output differ by: xLSTM says the columns of one, Inkling the rows of the other."""
    entries = fields.whole("vocab_size") or 0
    columns = fields.whole("embedding_dim") if fields.get("chunkwise_kernel") is not None else None
    rows = fields.whole("unpadded_vocab_size")
    return entries * ((columns or hidden) - hidden) + ((rows or entries) - entries) * hidden


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
