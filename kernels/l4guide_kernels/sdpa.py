"""`torch.nn.functional.scaled_dot_product_attention` on these kernels: the same arguments, layouts and meaning.

torch's tensors are (…, heads, length, head_dim) with any number of batch axes that broadcast, and its causal mask is
aligned to the top left: query i sees key j when j <= i, whatever the lengths.
"""

import math

import torch
from torch.nn.attention.bias import CausalBias, CausalVariant

from l4guide_kernels import operators
from l4guide_kernels.checks import ShapeError, check_tensors
from l4guide_kernels.problem import Plan, Problem, default_scale, device_arch

_HEAD_AXIS = -3
_ROW_AXES = 3  # heads, length, head_dim
#: Up to here a program of the decode kernel holds every query of a head, and the keys are what is shared out.
_FEW_QUERIES = 4


def scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Attention as torch's function computes it, differentiable in query, key and value.

    Args:
        query: (…, heads, L, E), (batch, L, E) or (L, E), fp16, bf16 or fp32.
        key: (…, heads, S, E); batch and head axes broadcast.
        value: (…, heads, S, Ev).
        attn_mask: None, a boolean mask of keys that all heads and queries share (its last axes are (1, S) or
            (1, 1, S); True takes part), or a `torch.nn.attention.bias.CausalBias`.
        dropout_p: Probability of dropping a weight; applies to every call, in training or not.
        is_causal: Query i sees key j when j <= i.
        scale: Factor on q·k; E ** -0.5 when None.
        enable_gqa: Allows fewer heads for key and value, each a divisor of the query's.

    Returns:
        (…, heads, L, Ev). A query that sees no key has output 0.

    Raises:
        NotImplementedError: `attn_mask` is of another form.
        ShapeError: Shapes, dtypes or devices do not match; both a ValueError and a RuntimeError.
        UnsupportedError: head_dim, dtype or architecture is not supported.
    """
    if attn_mask is not None and is_causal:
        raise ShapeError("attn_mask and is_causal=True are both given: use one of them")
    if not 0.0 <= dropout_p <= 1.0:
        raise ShapeError(f"dropout_p {dropout_p} must be a probability from 0 to 1")
    _check_axes(query, key, value)
    query, key, value = as_autocast(query, key, value)
    batches = max(x.dim() for x in (query, key, value))
    single = batches <= _ROW_AXES and not enable_gqa
    if single:
        # (batch, L, E): one head each, so that a mask may differ from one to the next.
        query, key, value = (x.unsqueeze(_HEAD_AXIS) for x in (query, key, value))
    query, key, value = (x if x.dim() >= _ROW_AXES else x[None] for x in (query, key, value))
    key, value, heads = _shared_heads(query, key, value, enable_gqa)
    outer = torch.broadcast_shapes(*(x.shape[:_HEAD_AXIS] for x in (query, key, value)))  # type: ignore[no-untyped-call]
    q = _rows(query.expand(*query.shape[:_HEAD_AXIS], heads, *query.shape[-2:]), outer)
    k, v = _rows(key, outer), _rows(value, outer)
    check_tensors(q, k, v, names=("query", "key", "value"))
    right, used = _top_left(q, k) if is_causal else None, None
    if isinstance(attn_mask, CausalBias):
        lower = attn_mask.variant == CausalVariant.LOWER_RIGHT
        right = 0 if lower else _top_left(q, k)
    elif attn_mask is not None:
        k, v, used = _seen_first(k, v, _key_mask(attn_mask, k, outer, single))
    if dropout_p == 1.0:
        v, dropout_p = v * 0.0, 0.0
    problem = Problem(
        plan=Plan(arch=device_arch(q.device)),
        scale=default_scale(q.shape[-1]) if scale is None else scale,
        causal=right == 0,
        right=right or None,
        dropout=dropout_p,
        seed=operators.draw_seed(q.device) if dropout_p else None,
        used_k=used,
    )
    out = _attend(q, k, v, problem).transpose(1, 2).reshape(*outer, heads, q.shape[1], v.shape[-1])
    out = out.squeeze(_HEAD_AXIS) if single else out
    return out.reshape(out.shape[-2:]) if batches < _ROW_AXES else out


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, problem: Problem) -> torch.Tensor:
    """Few queries that nobody differentiates share the keys out among programs."""
    differentiated = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))
    if differentiated or problem.dropout or q.shape[1] > _FEW_QUERIES:
        return operators.attention(q, k, v, problem)[0]
    return operators.decode(q, k, v, problem, splits=0)[0]


def _check_axes(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.is_nested:
            raise NotImplementedError(
                f"{name} is a nested tensor: call flash_attn_varlen_func with its offsets"
            )
        if x.dim() < 2:
            raise ShapeError(f"{name} has shape {tuple(x.shape)}: it must be (…, heads, length, head_dim)")
    if key.shape[-1] != query.shape[-1]:
        raise ShapeError(f"key {tuple(key.shape)} and query {tuple(query.shape)} must have the same head_dim")
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"value {tuple(value.shape)} and key {tuple(key.shape)} must have the same length")


def as_autocast(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The dtype that torch's own function runs in under autocast."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    return tuple(x.to(torch.get_autocast_dtype(kind)) for x in tensors)


def _shared_heads(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, enable_gqa: bool
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Key and value with one number of heads, and how many heads there are in all."""
    of_query, of_key, of_value = (x.shape[_HEAD_AXIS] for x in (query, key, value))
    if enable_gqa:
        if 0 in (of_key, of_value) or of_query % of_key or of_query % of_value:
            raise ShapeError(
                f"{of_query} query heads cannot share {of_key} key and {of_value} value heads: "
                "with enable_gqa both must divide them"
            )
        if of_key != of_value:
            key = key.repeat_interleave(of_query // of_key, _HEAD_AXIS)
            value = value.repeat_interleave(of_query // of_value, _HEAD_AXIS)
        return key, value, of_query
    heads = max(of_query, of_key, of_value)
    if any(count not in (1, heads) for count in (of_query, of_key, of_value)):
        raise ShapeError(
            f"{of_query} query, {of_key} key and {of_value} value heads do not match: set enable_gqa=True"
        )
    if of_key != of_value:
        key, value = (x.expand(*x.shape[:_HEAD_AXIS], heads, *x.shape[-2:]) for x in (key, value))
    return key, value, heads


def _rows(x: torch.Tensor, outer: torch.Size) -> torch.Tensor:
    """(…, heads, length, columns) as (batch, length, heads, columns)."""
    return (
        x.expand(*outer, *x.shape[_HEAD_AXIS:])
        .reshape(math.prod(outer), *x.shape[_HEAD_AXIS:])
        .transpose(1, 2)
    )


def _top_left(q: torch.Tensor, k: torch.Tensor) -> int:
    """The right bound of a mask aligned top left, counted as ours are, from the bottom right."""
    return q.shape[1] - k.shape[1]


def _key_mask(mask: torch.Tensor, k: torch.Tensor, outer: torch.Size, single: bool) -> torch.Tensor:
    """A mask of keys as (batch, S)."""
    shape = (1,) * (2 - mask.dim()) + tuple(mask.shape)
    if single and len(shape) > 2:
        shape = (*shape[:-2], 1, *shape[-2:])
    shape = (1,) * (_ROW_AXES - len(shape)) + shape
    if mask.dtype != torch.bool or shape[_HEAD_AXIS] != 1 or shape[-2] != 1:
        raise NotImplementedError(
            f"attn_mask of {mask.dtype} and shape {tuple(mask.shape)} is not supported, only boolean "
            "key masks, (…, 1, S): use is_causal or flash_attn_func's window_size, or "
            "torch.nn.attention.flex_attention"
        )
    return (
        mask.reshape(*shape[:-3], shape[-1]).expand(*outer, k.shape[1]).reshape(math.prod(outer), k.shape[1])
    )


def _seen_first(
    k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys and values with those that take part in front, and their number: the order of keys has no meaning."""
    order = mask.logical_not().argsort(dim=1, stable=True)[:, :, None, None]
    return (
        k.gather(1, order.expand(k.shape)),
        v.gather(1, order.expand(v.shape)),
        mask.sum(1, dtype=torch.int32),
    )
