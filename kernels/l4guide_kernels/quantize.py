"""Rows to codes of 8 bits and the scales that undo them: what `quantized_kernel` reads.

    code = round(x / scale)      scale = max |x| / largest code, over a row of Q, SCALED_KEYS keys of K, a column of V

K is smoothed first: its mean over the sequence is taken off every key. That shifts all scores of a query by the same
amount, which softmax does not see, and the outlying columns that language models have in K, equal in every key,
no longer use up the 127 steps.
"""

from typing import NamedTuple

import torch
import triton

from l4guide_kernels.device import on_its_device
from l4guide_kernels.launch import OPTIONS, aligned
from l4guide_kernels.operators import padded
from l4guide_kernels.quantize_kernels import code_rows_kernel, code_values_kernel
from l4guide_kernels.softmax import LOG2_E
from l4guide_kernels.tiles import SCALED_KEYS, quantized_width

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
        k_mean: (batch, kv_heads, head_dim) fp32, taken off every key; None for nothing.
    """
    dtype, largest = VALUES[pv]
    # The factor goes into q: it may be negative, a scale may not.
    codes_q, q_scale = _code_rows(q, by_row=True, factor=scale * float(LOG2_E.value))
    codes_k, k_scale = _code_rows(k, by_row=False, mean=k_mean)
    v_scale = _spread(v, largest, always=pv == "fp8")
    return Codes(
        q=codes_q,
        q_scale=q_scale,
        k=codes_k,
        k_scale=k_scale,
        v=_code_values(v, v_scale, dtype, largest),
        v_scale=v_scale,
    )


def _rows(x: torch.Tensor) -> torch.Tensor:
    """`x` contiguous, at an aligned address, with columns up to a multiple of 8."""
    return aligned(padded(x).contiguous())


def _sizes(head_dim: int) -> dict[str, int]:
    width = quantized_width(head_dim)
    return {"HEAD_DIM": head_dim, "WIDTH": width, "COLUMNS": triton.next_power_of_2(width)}


@on_its_device
def _code_rows(
    x: torch.Tensor, *, by_row: bool, mean: torch.Tensor | None = None, factor: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 codes and scales, of each row or of each group of rows, which are then filled up with zeros."""
    x = _rows(x)
    batch, seqlen, heads, head_dim = x.shape
    if mean is not None:
        mean = padded(mean).contiguous()
    groups, sizes = triton.cdiv(seqlen, SCALED_KEYS), _sizes(head_dim)
    rows = (seqlen,) if by_row else (groups, SCALED_KEYS)
    codes = torch.empty((batch, heads, *rows, sizes["WIDTH"]), dtype=torch.int8, device=x.device)
    scale = torch.empty((batch, heads, rows[0]), dtype=torch.float32, device=x.device)
    if codes.numel():
        code_rows_kernel[(groups, heads, batch)](
            *(x, mean, codes, scale, heads, seqlen, seqlen if by_row else groups * SCALED_KEYS, factor),
            BY_ROW=by_row,
            **sizes,
            **OPTIONS,
        )
    return codes, scale


def _spread(v: torch.Tensor, largest: float, *, always: bool) -> torch.Tensor:
    """Scales of V's columns (batch, kv_heads, width), 0 for those that are empty.

    fp16 holds nearly every value as it is: unless `always`, only what is beyond its largest is scaled.
    """
    batch, seqlen, heads, head_dim = v.shape
    scale = torch.zeros((batch, heads, quantized_width(head_dim)), dtype=torch.float32, device=v.device)
    if seqlen:
        scale[..., :head_dim] = torch.linalg.vector_norm(v, torch.inf, 1) / largest
    return scale if always else scale.clamp(min=1.0)


@on_its_device
def _code_values(v: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype, largest: float) -> torch.Tensor:
    """V's codes, transposed by groups of keys, filled up with zeros."""
    v = _rows(v)
    batch, seqlen, heads, head_dim = v.shape
    groups, sizes = triton.cdiv(seqlen, SCALED_KEYS), _sizes(head_dim)
    codes = torch.empty((batch, heads, groups, sizes["WIDTH"], SCALED_KEYS), dtype=dtype, device=v.device)
    if codes.numel():
        code_values_kernel[(groups, heads, batch)](
            *(v, scale, codes, heads, seqlen),
            LARGEST=largest,
            **sizes,
            **OPTIONS,
        )
    return codes
