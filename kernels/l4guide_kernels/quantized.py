"""Attention in 8 bits for inference: int8 scores, values in e4m3 or fp16, as Ada's tensor cores take them."""

from collections.abc import Mapping, Sequence

import torch
import triton

from l4guide_kernels.arguments import Extras
from l4guide_kernels.attention import plan
from l4guide_kernels.checks import ShapeError, check_tensors
from l4guide_kernels.device import on_its_device
from l4guide_kernels.launch import OPTIONS, natural
from l4guide_kernels.operators import decode_tiles, encode_tiles
from l4guide_kernels.problem import DTYPE_NAMES, default_scale
from l4guide_kernels.quantize import VALUES, quantize
from l4guide_kernels.quantized_kernel import quantized_kernel
from l4guide_kernels.tiles import SCALED_KEYS, Tile, UnsupportedError, quantized_width, tile_for

Result = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


def quantized_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    pv: str = "fp16",
    causal: bool = False,
    softmax_scale: float | None = None,
    smooth_k: bool = True,
    return_lse: bool = False,
    arch: int | None = None,
    tiles: Mapping[str, Tile] | None = None,
) -> Result:
    """Attention whose scores are computed from int8 codes of q and k; no gradient.

    After SageAttention: q has a scale for each row, k one for each 64 keys after its mean over the sequence is taken
    off, v one for each column.

    Args:
        q: (batch, seqlen_q, heads, head_dim), fp16, bf16 or fp32, head_dim 1 to 256.
        k: (batch, seqlen_k, kv_heads, head_dim); `heads` is a multiple of `kv_heads`.
        v: (batch, seqlen_k, kv_heads, head_dim_v).
        pv: What weights times values are computed in: "fp16", or "fp8" (e4m3; from sm_89 on), which is faster
            and less accurate.
        causal: Query i sees key j when j <= i + seqlen_k - seqlen_q.
        softmax_scale: Factor on q·k; head_dim ** -0.5 when None.
        smooth_k: Take k's mean off first. The result is the same but for rounding, which it keeps small where k has
            outlying columns.
        return_lse: Also return the log-sum-exp.
        arch: Take the tiles of this architecture (89 for an L4) rather than the device's.
        tiles: Tiles to use instead of the table's, by kernel name ("quantized-fp16", "quantized-fp8").

    Returns:
        The output (batch, seqlen_q, heads, head_dim_v) in q's dtype; with `return_lse` also the natural log-sum-exp
        (batch, heads, seqlen_q), fp32. A query that sees no key has output 0 and log-sum-exp -inf.

    Raises:
        UnsupportedError: head_dim, dtype, `pv` or architecture is not supported.
        ShapeError: Shapes, dtypes or devices do not match.
    """
    if pv not in VALUES:
        raise UnsupportedError(f"pv {pv!r} is unknown: use one of {', '.join(VALUES)}")
    check_tensors(q, k, v)
    quantized_width(max(q.shape[-1], v.shape[-1]))
    _check_tiles(tiles or {})
    wanted = plan(q, arch, tiles)
    tile_for(f"quantized-{pv}", max(q.shape[-1], v.shape[-1]), DTYPE_NAMES[q.dtype], wanted.arch)
    scale = default_scale(q.shape[-1]) if softmax_scale is None else softmax_scale
    with torch.no_grad():
        k_mean = k.mean(1, dtype=torch.float32) if smooth_k and k.shape[1] else None
        codes = quantize(q, k, v, pv=pv, scale=scale, k_mean=k_mean)
        made: tuple[torch.Tensor, torch.Tensor] = torch.ops.l4guide.quantized_forward(
            *codes, k.shape[1], causal, q.dtype, wanted.arch, encode_tiles(wanted.tiles)
        )
        out, lse = made[0][..., : v.shape[-1]], made[1]
        if not return_lse:
            return out
        # What taking the mean off took from every score of a query is put back.
        shift = 0.0 if k_mean is None else scale * _along_heads(q.float(), k_mean)
    return out, natural(lse, q) + shift


def _along_heads(q: torch.Tensor, k_mean: torch.Tensor) -> torch.Tensor:
    """q·mean of each query, (batch, heads, seqlen_q)."""
    group = q.shape[2] // k_mean.shape[1]
    return torch.einsum("bihd,bhd->bhi", q, k_mean.repeat_interleave(group, 1))


def _check_tiles(tiles: Mapping[str, Tile]) -> None:
    for kernel, tile in tiles.items():
        if kernel.startswith("quantized") and SCALED_KEYS % tile.block_n:
            raise ShapeError(
                f"block_n {tile.block_n} of {kernel} must divide {SCALED_KEYS}, the number of keys that share a scale"
            )


@torch.library.custom_op(
    "l4guide::quantized_forward",
    mutates_args=(),
    schema=(
        "(Tensor q, Tensor q_scale, Tensor k, Tensor k_scale, Tensor v, Tensor v_scale, SymInt seqlen_k, bool causal, "
        "ScalarType dtype, SymInt arch, SymInt[] tiles=[]) -> (Tensor, Tensor)"
    ),
)
@on_its_device
def _forward(
    q: torch.Tensor,
    q_scale: torch.Tensor,
    k: torch.Tensor,
    k_scale: torch.Tensor,
    v: torch.Tensor,
    v_scale: torch.Tensor,
    seqlen_k: int,
    causal: bool,
    dtype: torch.dtype,
    arch: int,
    tiles: Sequence[int] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    out, lse = _room(q, v, dtype)
    if out.numel() == 0:
        return out, lse
    batch, heads, seqlen_q, head_dim = q.shape
    head_dim_v = v.shape[-2]
    kernel = "quantized-fp16" if v.dtype == torch.float16 else "quantized-fp8"
    own = decode_tiles(tiles).get(kernel)
    tile = own or tile_for(kernel, max(head_dim, head_dim_v), DTYPE_NAMES[dtype], arch)
    quantized_kernel[(triton.cdiv(seqlen_q, tile.block_m), heads, batch)](
        *(q, q_scale, k, k_scale, v, v_scale, out, lse),
        heads=heads,
        group=heads // k.shape[1],
        seqlen_q=seqlen_q,
        seqlen_k=seqlen_k,
        groups_k=k.shape[2],
        extras=Extras(),
        CAUSAL=causal,
        HEAD_DIM=head_dim,
        HEAD_DIM_V=head_dim_v,
        BLOCK_M=tile.block_m,
        BLOCK_N=tile.block_n,
        num_warps=tile.warps,
        num_stages=tile.stages,
        **OPTIONS,
    )
    return out, lse


def _room(q: torch.Tensor, v: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    batch, heads, seqlen_q, _ = q.shape
    out = q.new_empty((batch, seqlen_q, heads, v.shape[-2]), dtype=dtype)
    return out, q.new_empty((heads, batch * seqlen_q), dtype=torch.float32)


@_forward.register_fake
def _forward_fake(
    q: torch.Tensor,
    q_scale: torch.Tensor,
    k: torch.Tensor,
    k_scale: torch.Tensor,
    v: torch.Tensor,
    v_scale: torch.Tensor,
    seqlen_k: int,
    causal: bool,
    dtype: torch.dtype,
    arch: int,
    tiles: Sequence[int] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    return _room(q, v, dtype)
