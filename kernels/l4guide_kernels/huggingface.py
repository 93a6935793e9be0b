"""These kernels as an attention of transformers: `register()`, then `attn_implementation="l4guide"`.

transformers is imported by `register` alone. What a model may hide from a query reaches the kernels as lengths, never
as a matrix: `visible_keys` answers for transformers' mask functions, and `attention` runs the module's attention.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import l4guide_kernels.installed  # noqa: F401 - before all that it checks

# isort: split
import torch

from l4guide_kernels import interface, kvcache, varlen
from l4guide_kernels.sdpa import as_autocast

NAME = "l4guide"
_WHOLE = (-1, -1)
# Asked for no log-sum-exp, they return the output alone.
_attend: Callable[..., Any] = interface.flash_attn_func
_attend_cache: Callable[..., Any] = kvcache.flash_attn_with_kvcache
_attend_varlen: Callable[..., Any] = varlen.flash_attn_varlen_func
# Parts of transformers' masks that arrive in other ways: the causal part as `is_causal`, windows as `sliding_window`.
_CAUSAL = "causal_mask_function"
_ELSEWHERE = {
    _CAUSAL,
    "bidirectional_mask_function",
    "sliding_window_overlay.<locals>.inner_mask",
    "sliding_window_bidirectional_overlay.<locals>.inner_mask",
}
_TOGETHER = {"and_masks.<locals>.and_mask", "remap_positions_for_packed_sequence.<locals>.inner_mask"}
_ROWS_OF_MASKS = ((1, 0), (1, 1))
_PACKED = "packed_sequence_mask_function.<locals>.inner_mask"


def register(name: str = NAME) -> None:
    """Makes the kernels known to transformers as `attn_implementation=name`.

    Raises:
        ImportError: transformers is not installed, or older than its attention interface.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, visible_keys)


def visible_keys(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | torch.Tensor = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] | None = None,
    attention_mask: torch.Tensor | None = None,
    **_: object,
) -> torch.Tensor | None:
    """What `attention` must know of the keys, once for all layers.

    Args:
        batch_size: Sequences, or rows of packed sequences.
        q_length: Queries in each.
        kv_length: Keys that the cache hands out.
        q_offset: The first query's position.
        kv_offset: The first key's position.
        mask_function: transformers' rule of which query sees which key.
        attention_mask: (batch_size, positions) bool: False in padding.

    Returns:
        None: every key counts, and the last query stands at the last key. (batch_size, 1, 0, n) bool: the first n keys
        count; those behind are a static cache's empty places. (batch_size, 1, 1, n) bool: of these, the ones marked.
        (batch_size, 1, 1, n) int32: packed sequences; a token sees those that carry its number. Four axes, because
        transformers may hand a mask of fewer in once more.

    Raises:
        NotImplementedError: `mask_function` has a part that lengths and windows cannot express.
    """
    parts = {} if mask_function is None else {_name(part): part for part in _parts(mask_function)}
    _refuse_parts(parts)
    if _PACKED in parts:
        packed = next(value for value in _enclosed(parts[_PACKED]) if isinstance(value, torch.Tensor))
        return packed.to(torch.int32)[:, None, None]
    # Behind the last query's own key there is nothing yet; keys of another sequence (cross-attention) are all there.
    newest = min(int(q_offset) + q_length - kv_offset, kv_length) if _CAUSAL in parts else kv_length
    if attention_mask is not None:
        seen = attention_mask[:, kv_offset : kv_offset + newest].bool()
        seen = torch.nn.functional.pad(seen, (0, newest - seen.shape[1]))
        if not bool(seen.all()):
            return seen[:, None, None]
    return None if newest == kv_length else torch.empty((batch_size, 1, 0, newest), dtype=torch.bool)


def _refuse_parts(parts: Iterable[str]) -> None:
    for name in parts:
        if name not in _ELSEWHERE and name != _PACKED:
            raise NotImplementedError(
                f"a mask with {name.split('.')[0]} is not supported by these kernels: "
                'use attn_implementation="sdpa" or "flex_attention"'
            )


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _parts(mask_function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The functions that a mask is the intersection of."""
    if _name(mask_function) not in _TOGETHER:
        yield mask_function
        return
    for value in _enclosed(mask_function):
        for inner in value if isinstance(value, tuple) else (value,):
            if callable(inner) and not isinstance(inner, torch.Tensor):
                yield from _parts(inner)


def _enclosed(function: Callable[..., Any]) -> list[Any]:
    return [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """One attention of a transformers module.

    Args:
        module: Asked for `is_causal` when that is None.
        query: (batch, heads, L, head_dim).
        key: (batch, kv_heads, S, head_dim).
        value: (batch, kv_heads, S, head_dim_v).
        attention_mask: What `visible_keys` returned.
        dropout: Share of the weights that is dropped.
        scaling: Factor on q·k; head_dim ** -0.5 when None.
        is_causal: Whether a query sees no later key.
        sliding_window: A query sees itself and `sliding_window` - 1 keys before (and, unless causal, after) it.
        softcap: Scores are softcap · tanh(score / softcap).
        s_aux: (heads,), a learnt score in each head's denominator.
        **kwargs: `cu_seq_lens_q`, `cu_seq_lens_k`, `max_length_q`, `max_length_k` of sequences one after another;
            the rest is not for the attention.

    Returns:
        (batch, L, heads, head_dim_v), 0 for a query that is padding, and None for the weights, which are never formed.

    Raises:
        NotImplementedError: The module wants something that is not built.
    """
    _refuse(attention_mask, kwargs)
    query, key, value = (x.transpose(1, 2) for x in as_autocast(query, key, value))
    options: dict[str, Any] = {
        "softmax_scale": scaling,
        "causal": getattr(module, "is_causal", True) if is_causal is None else is_causal,
        "window_size": _WHOLE if sliding_window is None else (sliding_window - 1, sliding_window - 1),
        "softcap": softcap or 0.0,
        "learnable_sink": s_aux,
    }
    lengths: list[Any] = [
        kwargs.get(name) for name in ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")
    ]
    if attention_mask is not None:
        key, value = (x[:, : attention_mask.shape[-1]] for x in (key, value))
    if None not in lengths:
        out = _one_after_another(query, key, value, lengths, dropout_p=dropout, **options)
    elif attention_mask is None or attention_mask.numel() == 0:
        out = _dense(query, key, value, dropout, options)
    else:
        out = _padded(query, key, value, attention_mask[:, 0, 0], dropout, options)
    return out, None


def _refuse(attention_mask: torch.Tensor | None, kwargs: dict[str, object]) -> None:
    for name in ("position_bias", "head_mask", "cache", "block_table", "output_attentions"):
        if kwargs.get(name) is not None and kwargs[name] is not False:
            raise NotImplementedError(
                f'{name} is not supported by these kernels: use attn_implementation="eager" or "sdpa"'
            )
    if attention_mask is None:
        return
    if (
        attention_mask.dtype not in (torch.bool, torch.int32)
        or attention_mask.shape[1:-1] not in _ROWS_OF_MASKS
    ):
        raise NotImplementedError(
            f"an attention_mask of {attention_mask.dtype} and shape {tuple(attention_mask.shape)} is not supported "
            'by these kernels: pass a padding mask, (batch, positions), or use attn_implementation="sdpa"'
        )


def _trained(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, dropout: float) -> bool:
    return bool(dropout) or (torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v)))


def _dense(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, dropout: float, options: dict[str, Any]
) -> torch.Tensor:
    """Where nobody differentiates, few queries let programs share the keys."""
    if _trained(q, k, v, dropout):
        out: torch.Tensor = _attend(q, k, v, dropout_p=dropout, **options)
    else:
        out = _attend_cache(q, k, v, **options)
    return out


def _padded(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor,
    dropout: float,
    options: dict[str, Any],
) -> torch.Tensor:
    """Padding at the front, where nobody differentiates, is left out in place; any other by packing what counts."""
    if not _trained(q, k, v, dropout) and (leftpad := _left_padding(mask)) is not None:
        out: torch.Tensor = _attend_cache(q, k, v, cache_leftpad=leftpad, **options)
    else:
        out = _unpadded(q, k, v, mask, dropout_p=dropout, **options)
    return out


def _left_padding(mask: torch.Tensor) -> torch.Tensor | None:
    """How many keys each sequence leaves out at the front; None when it leaves out others too."""
    if mask.dtype != torch.bool:
        return None
    leftpad = mask.shape[1] - mask.sum(1, dtype=torch.int32)
    places = torch.arange(mask.shape[1], device=mask.device)
    return leftpad if bool((mask == (places >= leftpad[:, None])).all()) else None


def _one_after_another(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: list[Any], **options: object
) -> torch.Tensor:
    """Sequences whose lengths the caller knows; the batch axis then has no meaning."""
    offsets = (x.to(torch.int32) for x in lengths[:2])
    longest = (int(x) for x in lengths[2:])
    out = _attend_varlen(*(x.flatten(0, 1) for x in (q, k, v)), *offsets, *longest, **options)
    made: torch.Tensor = out.reshape(*q.shape[:2], *out.shape[1:])
    return made


def _unpadded(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, **options: object
) -> torch.Tensor:
    """Only the tokens that count, one after another, and the output put back to its places.

    A window counts these tokens alone, as transformers' flash-attention does.
    """
    # Where places have no meaning, queries may be of another sequence than the keys, whose padding is not theirs.
    placed = options["causal"] or options["window_size"] != _WHOLE or mask.dtype != torch.bool
    own = mask[:, mask.shape[1] - q.shape[1] :] if placed else mask.new_ones(q.shape[:2])
    (places_q, cu_q, most_q), (places_k, cu_k, most_k) = _sequences(own), _sequences(mask)
    q_rows, k_rows, v_rows = (
        x.flatten(0, 1).index_select(0, places) for x, places in ((q, places_q), (k, places_k), (v, places_k))
    )
    out = _attend_varlen(q_rows, k_rows, v_rows, cu_q, cu_k, most_q, most_k, **options)
    room = out.new_zeros((q.shape[0] * q.shape[1], *out.shape[1:]))
    made: torch.Tensor = room.index_copy(0, places_q, out).reshape(*q.shape[:2], *out.shape[1:])
    return made


def _sequences(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Which tokens of all rows count, where each sequence begins among them, and the longest one's length."""
    if mask.dtype == torch.bool:
        places = mask.flatten().nonzero()[:, 0]
        lengths = mask.sum(1)
    else:
        places = torch.arange(mask.numel(), device=mask.device)
        rows = torch.arange(mask.shape[0], device=mask.device, dtype=mask.dtype)[:, None]
        lengths = torch.unique_consecutive(
            torch.stack((rows.expand(mask.shape), mask)).flatten(1), dim=1, return_counts=True
        )[1]
    offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    return places, offsets, int(lengths.max()) if lengths.numel() else 0
