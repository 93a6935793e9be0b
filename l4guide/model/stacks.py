"""Models of two stacks: an encoder, and a decoder that reads it by cross-attention."""

from collections.abc import Iterator
from dataclasses import replace

from l4guide.model.architecture import FULL, FeedForward, Layers, Mixer
from l4guide.model.fields import MOST_LAYERS, Fields, composes
from l4guide.model.mixers import HIDDEN

ENCODER_LAYERS = ("encoder_layers", "num_encoder_layers", "num_layers", "num_hidden_layers")
DECODER_LAYERS = ("decoder_layers", "num_decoder_layers", *ENCODER_LAYERS)
ENCODER_HEADS = ("encoder_attention_heads", "num_encoder_attention_heads", "num_attention_heads", "num_heads")
DECODER_HEADS = ("decoder_attention_heads", "num_decoder_attention_heads", *ENCODER_HEADS)
ENCODER_INSIDE = ("encoder_ffn_dim", "d_ff", "intermediate_size")
DECODER_INSIDE = ("decoder_ffn_dim", *ENCODER_INSIDE)
HEAD_DIM = ("d_kv", "head_dim")


def has_two(fields: Fields) -> bool:
    """Whether a configuration describes an encoder with a decoder of its own, in fields of one level."""
    says_so = fields.flag("is_encoder_decoder") is True or fields.says("decoder_layers", "num_decoder_layers")
    return says_so and not composes(fields.outer) and fields.whole(*HIDDEN) is not None


def stacks(fields: Fields, *, gated: bool) -> tuple[Layers, ...]:
    """The encoder's layers, the decoder's, and the decoder's cross-attention by itself.

    Raises:
        BadInput: a field is missing, malformed or out of limits.
    """
    hidden = fields.needed(*HIDDEN)
    layers = fields.needed(*DECODER_LAYERS, at_most=MOST_LAYERS)
    heads = fields.needed(*DECODER_HEADS)
    own = _mixer(fields, hidden, heads)
    encoder = fields.needed(*ENCODER_LAYERS, at_most=MOST_LAYERS)
    reading = _mixer(fields, hidden, fields.needed(*ENCODER_HEADS), cached=False)
    return (
        *_switching(
            Layers(count=encoder, mixer=reading, feed_forward=_product(fields, ENCODER_INSIDE, gated=gated)),
            "encoder",
            fields,
        ),
        *_switching(
            Layers(count=layers, mixer=own, feed_forward=_product(fields, DECODER_INSIDE, gated=gated)),
            "decoder",
            fields,
        ),
        Layers(
            count=layers,
            mixer=_mixer(fields, hidden, heads, cross=True),
            feed_forward=FeedForward(gated=gated),
        ),
    )


def _mixer(fields: Fields, hidden: int, heads: int, *, cached: bool = True, cross: bool = False) -> Mixer:
    wide = fields.whole(*HEAD_DIM, at_least=1) or hidden // heads
    reads = cross or not cached
    heard = fields.whole("max_source_positions") if reads and fields.whole("num_mel_bins") else None
    return Mixer(
        kind=FULL,
        heads=heads,
        kv_heads=heads,
        head_dim=wide,
        head_dim_v=wide,
        cached=cached,
        cross=cross,
        source_tokens=heard,
    )


def _switching(group: Layers, stack: str, fields: Fields) -> Iterator[Layers]:
    """Layers of Switch Transformers: the second of every so many has experts, as wide as the product, one a token."""
    experts, layers = fields.whole("num_experts") or 0, group.count
    sparse = fields.whole(f"num_sparse_{stack}_layers")
    step = fields.whole(f"{stack}_sparse_step") or (layers // sparse if sparse else 0)
    chosen = sum(step == 1 or number % step == 1 for number in range(layers)) if sparse and step else 0
    if not chosen or experts < 2:
        yield group
        return
    wide = group.feed_forward
    some = FeedForward(gated=wide.gated, experts=experts, active=1, expert_intermediate=wide.intermediate)
    yield replace(group, count=chosen, feed_forward=some)
    if chosen < layers:
        yield replace(group, count=layers - chosen)


def _product(fields: Fields, names: tuple[str, ...], *, gated: bool) -> FeedForward:
    return FeedForward(intermediate=fields.needed(*names), gated=gated)
