"""What a model's forward pass is given: token numbers, and images or sound where it takes nothing else."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch

#: Tokens of the text, and of the source of an encoder-decoder: no width of a model is likely to be as odd.
TOKENS, SOURCE_TOKENS = 23, 29
#: Inputs that some models want beside the tokens, with their axes after the tokens'.
EXTRA: Mapping[str, tuple[int, ...]] = {"bbox": (4,), "qformer_input_ids": ()}
#: Where a model of several parts has its language model.
LANGUAGE = (
    "language_model",
    "model.language_model",
    "text_model",
    "thinker.model",
    "model.text_model",
    "model",
)
SIDE, FRAMES, MEL_BINS, SAMPLES = 224, 3000, 80, 16000


def parameters_of(function: Any) -> Mapping[str, inspect.Parameter]:
    """The named parameters of a forward function."""
    return inspect.signature(function).parameters


def has_two_stacks(model: Any) -> bool:
    """Whether a model is an encoder with a decoder of its own."""
    return bool(getattr(model.config, "is_encoder_decoder", False)) or "decoder_input_ids" in parameters_of(
        model.forward
    )


def language_parts(model: Any) -> Iterator[Any]:
    """The language model inside a model of several parts."""
    for path in LANGUAGE:
        part = model
        for step in path.split("."):
            part = getattr(part, step, None)
        if isinstance(part, torch.nn.Module):
            yield part


def attempts(model: Any, dtype: torch.dtype) -> Iterator[dict[str, Any]]:
    """Inputs to try, the plainest first."""
    config = getattr(model, "config", None)
    known = parameters_of(model.forward)
    cache = {"use_cache": True} if "use_cache" in known else {}
    two = bool(getattr(config, "is_encoder_decoder", False)) or "decoder_input_ids" in known
    source = SOURCE_TOKENS if two else TOKENS
    ids: dict[str, Any] = {}
    if "input_ids" in known:
        ids["input_ids"] = _tokens(source)
    if "decoder_input_ids" in known:
        ids["decoder_input_ids"] = _tokens(TOKENS)
    extra = {
        name: torch.zeros(1, source, *rest, dtype=torch.long, device="meta") for name, rest in EXTRA.items()
    }
    beside = {name: value for name, value in extra.items() if name in known}
    if "input_ids" in known:
        yield ids | cache
        yield ids | cache | beside
    heard = list(media(config, known, dtype))
    for name, value in heard:
        yield ids | cache | {name: value}
        yield ids | cache | beside | {name: value}
    yield ids | cache | beside | dict(reversed(heard))


def media(config: Any, known: Mapping[str, object], dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Images and sounds in the layouts that models take them in, under the names that `known` has."""
    part = part_of(config, "vision", "image")
    side, channels = _side(part), _first(part, ("num_channels", "in_channels", "num_image_channels"), 3)
    if "pixel_values" in known:
        yield "pixel_values", torch.empty(1, channels, side, side, dtype=dtype, device="meta")
        yield "pixel_values", torch.empty(1, 1, channels, side, side, dtype=dtype, device="meta")
    if "flattened_patches" in known:
        wide = _first(part, ("patch_embed_hidden_size",), 768)
        yield "flattened_patches", torch.empty(1, 64, 2 + wide, dtype=dtype, device="meta")
    heard = part_of(config, "audio", "encoder", "speech")
    mel = _first(
        heard, ("num_mel_bins", "input_feat_per_channel", "feature_size", "n_mels", "input_dim"), MEL_BINS
    )
    frames = 2 * _first(heard, ("max_source_positions",), FRAMES // 2)
    if "input_features" in known:
        yield "input_features", torch.empty(1, mel, frames, dtype=dtype, device="meta")
        yield "input_features", torch.empty(1, frames, mel, dtype=dtype, device="meta")
    if "input_values" in known:
        yield "input_values", torch.empty(1, SAMPLES, dtype=dtype, device="meta")
        yield "input_values", torch.empty(1, 1, SAMPLES, dtype=dtype, device="meta")


def part_of(config: Any, *names: str) -> Any:
    """The part of a configuration that describes its images or its sound; itself where it has none."""
    for key in getattr(config, "sub_configs", ()):
        if any(name in key for name in names):
            part = getattr(config, key, None)
            if part is not None:
                return part
    return config


def _tokens(number: int) -> torch.Tensor:
    return torch.zeros(1, number, dtype=torch.long, device="meta")


def _side(part: Any) -> int:
    said = getattr(part, "image_size", None)
    if isinstance(said, list | tuple) and said:
        said = said[0]
    return said if isinstance(said, int) and 0 < said <= 4096 else SIDE


def _first(part: Any, names: tuple[str, ...], otherwise: int) -> int:
    for name in names:
        said = getattr(part, name, None)
        if isinstance(said, int) and not isinstance(said, bool) and 0 < said <= 65536:
            return said
    return otherwise
