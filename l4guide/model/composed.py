"""A model of two that each have a configuration of their own: an encoder, and a decoder that reads what it makes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from l4guide.model.architecture import FULL, Architecture, FeedForward, Layers
from l4guide.model.fields import MOST_COLUMNS, Fields, composes

#: Frames and kernels of a sound's convolutions that are counted; no published model has as many.
MOST_CONVOLUTIONS = 32


def encoder_of(fields: Fields) -> Mapping[str, object] | None:
    """The configuration of an encoder that lies beside its decoder, without a head; None where there is none."""
    encoder = fields.outer.get("encoder")
    if not isinstance(encoder, dict) or not composes(fields.outer) or composes(encoder):
        return None
    return {**encoder, "architectures": ["EncoderModel"]}


def read_columns(fields: Fields) -> int | None:
    """Columns that the decoder's cross-attention reads where they are not its own; None where they are.

    Raises:
        BadInput: the field is malformed or out of limits.
    """
    return fields.whole("cross_attention_hidden_size", at_least=1)


def composed(
    encoder: Architecture, decoder: tuple[Layers, ...], hidden: int, columns: int | None
) -> tuple[Layers, ...]:
    """Layers of both, and the decoder's cross-attention by itself, which reads so many `columns` or `hidden`."""
    reading = (_as_wide(group, encoder.hidden, hidden) for group in encoder.layers)
    return (*reading, *decoder, *_crossing(encoder, decoder, hidden, columns or hidden))


def _as_wide(group: Layers, own: int, hidden: int) -> Layers:
    """A layer of the encoder among those of a model of another width: the same weights, calls and products."""
    wide = group.mixer.weights(own) + group.feed_forward.weights(own)
    less = wide - group.mixer.weights(hidden) - group.feed_forward.weights(hidden)
    mixer = replace(group.mixer, cached=False, inner_weights=group.mixer.inner_weights + less)
    return replace(group, mixer=mixer)


def _crossing(
    encoder: Architecture, decoder: tuple[Layers, ...], hidden: int, columns: int
) -> Iterator[Layers]:
    for group in decoder:
        if group.mixer.attends:
            more = group.mixer.source_weights(columns) - group.mixer.source_weights(hidden)
            mixer = replace(
                group.mixer,
                kind=FULL,
                window=None,
                cross=True,
                source_tokens=encoder.usual_context,
                inner_weights=group.mixer.inner_weights + more,
            )
            yield replace(group, mixer=mixer, feed_forward=FeedForward(gated=group.feed_forward.gated))


def outside(encoder: Architecture, config: Mapping[str, object], hidden: int) -> int:
    """Weights of the encoder outside its layers: embeddings, patches, convolutions of sound, a product to `hidden`.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    fields = Fields(config, encoder.name)
    own = encoder.hidden
    found = encoder.vocabulary * (encoder.embedding_width or own) + encoder.table_weights
    if encoder.usual_context:
        side = fields.whole("patch_size", at_least=1) or 0
        found += own * ((fields.whole("num_channels") or 3) * side**2 + encoder.usual_context)
    return found + _heard(fields, own) + (own * hidden if own != hidden else 0)


def _heard(fields: Fields, own: int) -> int:
    """Wav2Vec2's convolutions of a wave, the product behind them, and the one that stands for positions."""
    wide, kernels = _numbers(fields, "conv_dim"), _numbers(fields, "conv_kernel")
    if not wide or len(wide) != len(kernels):
        return 0
    found = sum(a * b * kernel for a, b, kernel in zip((1, *wide), wide, kernels, strict=False))
    groups = fields.whole("num_conv_pos_embedding_groups", at_least=1) or 1
    return found + wide[-1] * own + own * own // groups * (fields.whole("num_conv_pos_embeddings") or 0)


def _numbers(fields: Fields, name: str) -> list[int]:
    listed = fields.listed(name)
    found = [one for one in listed if isinstance(one, int) and 0 < one <= MOST_COLUMNS]
    return found if len(found) == len(listed) <= MOST_CONVOLUTIONS else []
