"""Rows to codes of 8 bits and the scales that undo them: what `quantized_kernel` reads, made by PyTorch.

    code = round(x / scale)      scale = max |x| / largest code, over a row of Q, SCALED_KEYS keys of K, a column of V

K is smoothed first: its mean over the sequence is taken off every key. That shifts all scores of a query by the same
amount, which softmax does not see, and the outlying columns that language models have in K, equal in every key,
no longer use up the 127 steps.
"""

from typing import NamedTuple

import torch

from l4guide_kernels.softmax import LOG2_E
from l4guide_kernels.tiles import SCALED_KEYS, quantized_width

_INT8_MOST = 127.0
#: Type of V's codes by the name of the product's precision, and the largest code.
VALUES = {"fp16": (torch.float16, 65504.0), "fp8": (torch.float8_e4m3fn, 448.0)}


class Codes(NamedTuple):
    """Q, K and V as `quantized_kernel` reads them, all contiguous.

    Attributes:
        q: (batch, heads, seqlen_q, width) int8.
        q_scale: (batch, heads, seqlen_q) fp32, with softmax_scale · log2(e) in it.
        k: (batch, kv_heads, groups, SCALED_KEYS, width) int8, zeros after the last key.
        k_scale: (batch, kv_heads, groups) fp32.
        v: (batch, kv_heads, groups, width_v, SCALED_KEYS) fp16 or e4m3: transposed.
        v_scale: (batch, kv_heads, width_v) fp32.
    """

    q: torch.Tensor
    q_scale: torch.Tensor
    k: torch.Tensor
    k_scale: torch.Tensor
    v: torch.Tensor
    v_scale: torch.Tensor


def quantize(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    pv: str,
    scale: float,
    k_mean: torch.Tensor | None,
) -> Codes:
    """Codes of rows (batch, seqlen, heads, head_dim).

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        pv: One of `VALUES`: what P V is computed in.
        scale: Factor on q·k.
        k_mean: (batch, 1, kv_heads, head_dim) fp32, taken off every key; None for nothing.
    """
    seqlen_k = k.shape[1]
    missing = -seqlen_k % SCALED_KEYS
    # The factor goes first: it may be negative, a scale may not.
    codes_q, q_scale = _codes(_heads_first(q) * (scale * float(LOG2_E.value)), (-1,))
    keys = k.float() if k_mean is None else k.float() - k_mean
    codes_k, k_scale = _codes(_groups(_heads_first(keys), missing), (-2, -1))
    values = _heads_first(v)
    dtype, largest = VALUES[pv]
    highest = values.abs().amax(2) if seqlen_k else values.new_zeros(values.shape[:2] + values.shape[3:])
    # fp16 holds nearly every value as it is; only what is beyond its largest needs a scale.
    v_scale = highest / largest if pv == "fp8" else (highest / largest).clamp(min=1.0)
    values = (values / _divisor(v_scale)[:, :, None]).clamp(-largest, largest).to(dtype)
    return Codes(
        q=codes_q,
        q_scale=q_scale,
        k=codes_k,
        k_scale=k_scale,
        v=_groups(values, missing).transpose(-2, -1).contiguous(),
        v_scale=_filled(v_scale),
    )


def _heads_first(x: torch.Tensor) -> torch.Tensor:
    return x.float().transpose(1, 2)


def _filled(x: torch.Tensor, rows: int = 0) -> torch.Tensor:
    """`x` with zero columns up to a width that is served, and `rows` zero rows more; any dtype."""
    columns = quantized_width(x.shape[-1]) - x.shape[-1]
    return torch.nn.functional.pad(x, (0, columns, 0, rows) if rows else (0, columns))


def _groups(x: torch.Tensor, missing: int) -> torch.Tensor:
    """(…, seqlen, columns) as (…, groups, SCALED_KEYS, columns), filled up with zeros."""
    filled = _filled(x, missing)
    return filled.reshape(*x.shape[:2], -1, SCALED_KEYS, filled.shape[-1])


def _divisor(scale: torch.Tensor) -> torch.Tensor:
    """`scale`, or 1 where nothing but zeros was scaled."""
    return torch.where(scale == 0.0, 1.0, scale)


def _codes(x: torch.Tensor, over: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 codes of `x` and their scales, one for all that lies along the axes `over`."""
    scale = x.abs().amax(over) / _INT8_MOST
    divisor = _divisor(scale)[(..., *(None for _ in over))]
    codes = (x / divisor).round().clamp(-_INT8_MOST, _INT8_MOST).to(torch.int8)
    return _filled(codes).contiguous(), scale
