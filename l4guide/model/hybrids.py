"""Zamba: every layer has a state, and before some of them stands a block of attention whose weights they share."""

from dataclasses import replace

from l4guide.model.architecture import FULL, FeedForward, Layers, Mixer
from l4guide.model.defaults import kinds_of
from l4guide.model.fields import Fields
from l4guide.model.mixers import head_dim, hidden_size, layer_count
from l4guide.model.states import linear

TYPES = ("zamba", "zamba2")
LISTS = ("layers_block_type", "layer_types")
#: What the layers that such a block stands before are called.
HYBRID = "hybrid"


def shares_blocks(fields: Fields) -> bool:
    """Whether a configuration is of a type whose layers share blocks of attention."""
    return str(fields.get("model_type")) in TYPES


def sharing(fields: Fields, wide: FeedForward) -> tuple[Layers, ...]:
    """The layers with a state, those behind a block apart, and the blocks, of which a few have weights of their own.

    Raises:
        BadInput: a field is missing, malformed or out of limits.
    """
    hidden, count, joined = hidden_size(fields), layer_count(fields), _joined(fields)
    state = linear(fields)
    if state is None or not joined:
        return (Layers(count=count, mixer=state or Mixer(kind=FULL), feed_forward=FeedForward()),)
    # What a block hands on passes a product of the layer's own, and Zamba 2's adapters, which each layer has too.
    behind = hidden * hidden + _adapters(fields, wide)
    found = [
        Layers(count=count - joined, mixer=state, feed_forward=FeedForward()),
        Layers(
            count=joined,
            mixer=replace(state, inner_weights=state.inner_weights + behind),
            feed_forward=FeedForward(),
        ),
        Layers(
            count=joined,
            mixer=_attention(fields),
            feed_forward=wide,
            stored=min(joined, fields.whole("num_mem_blocks", at_least=1) or 1),
        ),
    ]
    return tuple(group for group in found if group.count)


def _joined(fields: Fields) -> int:
    """Layers behind a block of attention."""
    count = layer_count(fields)
    listed = fields.listed(*LISTS) or kinds_of(str(fields.get("model_type")), LISTS[0], count)
    return list(listed[:count]).count(HYBRID)


def _attention(fields: Fields) -> Mixer:
    """Attention to the hidden state beside the embedding, which is twice as wide."""
    hidden, wide = hidden_size(fields), head_dim(fields)
    heads = fields.needed("num_attention_heads")
    kv_heads = fields.whole("num_key_value_heads", at_least=1) or heads
    read = _read(fields)
    return Mixer(
        kind=FULL,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=wide,
        head_dim_v=wide,
        inner_weights=(read - hidden) * (heads + 2 * kv_heads) * wide,
    )


def _read(fields: Fields) -> int:
    """Columns that attention reads."""
    return fields.whole("attention_hidden_size", at_least=1) or 2 * hidden_size(fields)


def _adapters(fields: Fields, wide: FeedForward) -> int:
    """Weights of a layer's adapters: of the product, and of queries, keys and values where it says so."""
    rank = fields.whole("adapter_rank") or 0
    found = rank * (hidden_size(fields) + 2 * wide.intermediate)
    return found + (6 * rank * _read(fields) if fields.flag("use_shared_attention_adapter") else 0)
