"""What a model keeps of a sequence between two tokens, read off the cache that its forward pass returned."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from l4guide.frozen import frozen
from l4guide.model.traced import Kept
from l4guide.tracing.inputs import SOURCE_TOKENS, TOKENS

#: Where an output holds its cache, by the age of its model.
PLACES = ("past_key_values", "cache", "cache_params", "state", "mems")

#: Tokens on their way into a compressed entry: a few at most.
PASSING = ("buffer", "overlap")


@frozen
class Layer:
    """What one layer keeps, its number in the stack, and its states one by one: their axes, then an element's bytes."""

    number: int
    kept: Kept
    states: tuple[tuple[int, ...], ...] = ()


def kept_by(model: Any, output: Any) -> tuple[Layer, ...]:
    """What each layer keeps; empty where the model keeps nothing.

    Shapes are those of one sequence of `TOKENS` tokens: an axis of that length grows, the rest does not.
    """
    found = next((got for name in PLACES if (got := getattr(output, name, None)) is not None), None)
    if found is None:
        return ()
    own, cross = getattr(found, "self_attention_cache", found), getattr(found, "cross_attention_cache", None)
    latents = _latents(model)
    layers = [
        Layer(number=number, kept=one, states=states)
        for number, layer in enumerate(_layers(own))
        for one, states in _kept(layer, latents.get(number))
    ]
    layers += [Layer(number=number, kept=_crossed(layer)) for number, layer in enumerate(_layers(cross))]
    return tuple(one for one in layers if one.kept.elements or one.kept.state_elements)


def _layers(cache: Any) -> list[Any]:
    if cache is None:
        return []
    layers = getattr(cache, "layers", None)
    if layers is not None:
        return list(layers)
    if isinstance(cache, list | tuple):
        return list(cache)
    return [cache]


def _kept(layer: Any, latent: int | None) -> Iterator[tuple[Kept, tuple[tuple[int, ...], ...]]]:
    """What one layer keeps: its own tokens and states, with these one by one, then what it compresses of all.

    Of latent attention it is the latent, which every server keeps, and not what is unfolded of it.
    """
    elements = compressed = 0
    states = []
    named = list(_tensors(layer, ""))
    for name, tensor in named:
        if name.startswith("compressed"):
            compressed += tensor.numel() // max(1, tensor.shape[1]) if tensor.shape[1] else tensor.shape[-1]
        elif name.startswith(PASSING):
            continue
        elif TOKENS in tensor.shape or name.startswith(("keys", "values")):
            elements += _a_token(tensor, TOKENS)
        else:
            states.append((*tensor.shape, tensor.element_size()))
    if latent is not None:
        elements = latent + sum(_a_token(t, TOKENS) for name, t in named if name.startswith("indexer"))
    window = getattr(layer, "sliding_window", None)
    window = window if isinstance(window, int) and window > 0 else None
    state = sum(math.prod(shape[:-1]) for shape in states)
    state_bytes = sum(math.prod(shape) for shape in states)
    own = Kept(layers=1, elements=elements, window=window, state_elements=state, state_bytes=state_bytes)
    yield own, tuple(states)
    if compressed:
        stride = int(getattr(layer, "compress_rate", 1))
        yield Kept(layers=1, elements=compressed, stride=stride), ()


def _crossed(layer: Any) -> Kept:
    """What a layer keeps of an encoder's tokens; the length of a sound or an image is not that of a text."""
    found = [tensor for _, tensor in _tensors(layer, "")]
    elements = sum(_a_token(tensor, tensor.shape[-2]) for tensor in found)
    length = next((tensor.shape[-2] for tensor in found), SOURCE_TOKENS)
    return Kept(layers=1, elements=elements, cross=True, source=None if length == SOURCE_TOKENS else length)


def _a_token(tensor: torch.Tensor, tokens: int) -> int:
    """Elements of one token."""
    if tokens in tensor.shape:
        return tensor.numel() // tokens
    return tensor.numel() // max(1, tensor.shape[-2])


def _tensors(holder: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of real numbers in a layer of a cache, however it is kept, each once."""
    seen: set[int] = set()
    for path, tensor in _walk(holder, name):
        if id(tensor) not in seen and tensor.is_floating_point() and tensor.dim() > 1:
            seen.add(id(tensor))
            yield path, tensor


def _walk(holder: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(holder, torch.Tensor):
        yield name, holder
    elif isinstance(holder, dict):
        for key, value in holder.items():
            yield from _walk(value, name or str(key))
    elif isinstance(holder, list | tuple):
        for value in holder:
            yield from _walk(value, name)
    elif hasattr(holder, "__dict__") and not isinstance(holder, type):
        for key, value in vars(holder).items():
            if not key.startswith("_") and isinstance(value, torch.Tensor | dict | list | tuple):
                yield from _walk(value, key)


def _latents(model: Any) -> dict[int, int]:
    """By layer, the columns that latent attention keeps of a token: its rank and the rotary key."""
    found = {}
    for module in model.modules():
        rank, rope = getattr(module, "kv_lora_rank", None), getattr(module, "qk_rope_head_dim", None)
        number = getattr(module, "layer_idx", None)
        if isinstance(rank, int) and isinstance(rope, int) and isinstance(number, int) and rank > 0:
            found[number] = rank + rope
    return found
