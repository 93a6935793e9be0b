"""From tensors to launches: layouts, grids, tiles. Shapes are checked before (`interface`), not here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import triton

from l4guide_kernels.backward import delta_kernel, dkdv_kernel, dq_kernel
from l4guide_kernels.decode import decode_kernel, merge_kernel, split_count
from l4guide_kernels.dialect import ALIGN, interpreted
from l4guide_kernels.forward import forward_kernel
from l4guide_kernels.softmax import LN_2, LOG2_E
from l4guide_kernels.tiles import ARCHS, Tile, UnsupportedError, head_parts, tile_for

DTYPE_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}
HEAD_MULTIPLE = int(ALIGN.value)
MOST_SPLITS = 128
_ALIGN_BYTES = 16
_INTERPRETED_ARCH = 89
# Stated, so that no Triton version's change of default changes our arithmetic: contraction to fma is wanted.
OPTIONS = {"enable_fp_fusion": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to launch: whose architecture's tiles to take, and tiles that replace them, by kernel name."""

    arch: int
    tiles: Mapping[str, Tile] = field(default_factory=dict)

    def tile(self, kernel: str, q: torch.Tensor) -> Tile:
        """The tile that `kernel` runs with on tensors like `q`."""
        return self.tiles.get(kernel) or tile_for(kernel, q.shape[-1], DTYPE_NAMES[q.dtype], self.arch)


def device_arch(device: torch.device) -> int:
    """The newest architecture in `ARCHS` whose tables serve `device`; an L4's (89) in the interpreter.

    Raises:
        UnsupportedError: The device is older than sm_80.
    """
    if interpreted():
        return _INTERPRETED_ARCH
    major, minor = torch.cuda.get_device_capability(device)
    capability = 10 * major + minor
    served = [arch for arch in ARCHS if arch <= capability]
    if not served:
        name = torch.cuda.get_device_name(device)
        raise UnsupportedError(
            f"{name} is sm_{capability}, Triton's tensor cores start at sm_{ARCHS[0]}: "
            "use torch.nn.functional.scaled_dot_product_attention"
        )
    return served[-1]


def aligned(x: torch.Tensor) -> torch.Tensor:
    """`x`, copied if a row is not contiguous or not aligned to 16 bytes, which the loads rely on."""
    outer = [stride for size, stride in zip(x.shape[:-1], x.stride()[:-1], strict=True) if size > 1]
    fits = (
        x.stride(-1) == 1 and x.data_ptr() % _ALIGN_BYTES == 0 and not any(s % HEAD_MULTIPLE for s in outer)
    )
    return x if fits else x.clone(memory_format=torch.contiguous_format)


def _strides(x: torch.Tensor) -> tuple[int, ...]:
    """Strides of all axes but the last, in units of ALIGN elements; an axis of one element needs none."""
    return tuple(
        0 if size == 1 else stride // HEAD_MULTIPLE
        for size, stride in zip(x.shape[:-1], x.stride()[:-1], strict=True)
    )


def _constants(q: torch.Tensor) -> dict[str, int]:
    first, second = head_parts(q.shape[-1])
    return {"HEAD_DIM": q.shape[-1], "D1": first, "D2": second}


def _options(tile: Tile) -> dict[str, object]:
    return {"num_warps": tile.warps, "num_stages": tile.stages, **OPTIONS}


def forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, scale: float, causal: bool, plan: Plan
) -> tuple[torch.Tensor, torch.Tensor]:
    """Output like `q` and base-2 log-sum-exp (batch, heads, seqlen_q), fp32."""
    q, k, v = aligned(q), aligned(k), aligned(v)
    batch, seqlen_q, heads, _ = q.shape
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    lse = torch.empty((batch, heads, seqlen_q), dtype=torch.float32, device=q.device)
    if out.numel() == 0:
        return out, lse
    tile = plan.tile("forward", q)
    forward_kernel[(triton.cdiv(seqlen_q, tile.block_m), heads, batch)](
        *(q, k, v, out, lse),
        *(*_strides(q), *_strides(k), *_strides(v), *_strides(out)),
        heads=heads,
        group=heads // k.shape[2],
        seqlen_q=seqlen_q,
        seqlen_k=k.shape[1],
        scale_log2=scale * LOG2_E.value,
        CAUSAL=causal,
        BLOCK_M=tile.block_m,
        BLOCK_N=tile.block_n,
        **_constants(q),
        **_options(tile),
    )
    return out, lse


def _delta(out: torch.Tensor, dout: torch.Tensor) -> torch.Tensor:
    batch, seqlen_q, heads, _ = out.shape
    delta = torch.empty((batch, heads, seqlen_q), dtype=torch.float32, device=out.device)
    block_m, constants = 32, _constants(out)
    delta_kernel[(triton.cdiv(seqlen_q, block_m), heads, batch)](
        *(out, dout, delta, *_strides(out), *_strides(dout)),
        heads=heads,
        seqlen_q=seqlen_q,
        BLOCK_M=block_m,
        **constants,
        **OPTIONS,
    )
    return delta


def backward(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    dout: torch.Tensor,
    scale: float,
    causal: bool,
    plan: Plan,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of q, k and v, from what `forward` took and returned."""
    q, k, v, out, dout = aligned(q), aligned(k), aligned(v), aligned(out), aligned(dout)
    batch, seqlen_q, heads, _ = q.shape
    seqlen_k, kv_heads = k.shape[1], k.shape[2]
    if batch == 0 or seqlen_q == 0 or seqlen_k == 0:
        return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    dq, dk, dv = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
    inputs = (q, k, v, dout, lse, _delta(out, dout))
    strides = (*_strides(q), *_strides(k), *_strides(v), *_strides(dout))
    sizes = {"heads": heads, "group": heads // kv_heads, "seqlen_q": seqlen_q, "seqlen_k": seqlen_k}
    scales = {"scale": scale, "scale_log2": scale * LOG2_E.value}
    tile = plan.tile("backward-dkdv", q)
    dkdv_kernel[(triton.cdiv(seqlen_k, tile.block_n), kv_heads, batch)](
        *(*inputs, dk, dv, *strides, *_strides(dk), *_strides(dv)),
        **sizes,
        **scales,
        CAUSAL=causal,
        BLOCK_M=tile.block_m,
        BLOCK_N=tile.block_n,
        **_constants(q),
        **_options(tile),
    )
    tile = plan.tile("backward-dq", q)
    dq_kernel[(triton.cdiv(seqlen_q, tile.block_m), heads, batch)](
        *(*inputs, dq, *strides, *_strides(dq)),
        **sizes,
        **scales,
        CAUSAL=causal,
        BLOCK_M=tile.block_m,
        BLOCK_N=tile.block_n,
        **_constants(q),
        **_options(tile),
    )
    return dq, dk, dv


def decode(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    seqlens: torch.Tensor,
    *,
    scale: float,
    causal: bool,
    splits: int,
    plan: Plan,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Like `forward`, for few queries: `seqlens` (batch,) int32 says how many keys of each sequence count.

    `splits` parts of the keys are worked on side by side; 0 lets `split_count` choose.
    """
    q, k, v = aligned(q), aligned(k), aligned(v)
    batch, seqlen_q, heads, _ = q.shape
    kv_heads = k.shape[2]
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    lse = torch.empty((batch, heads, seqlen_q), dtype=torch.float32, device=q.device)
    if out.numel() == 0:
        return out, lse
    tile = plan.tile("decode", q)
    row_blocks = triton.cdiv(heads // kv_heads * seqlen_q, tile.block_m)
    if splits == 0:
        blocks = triton.cdiv(k.shape[1], tile.block_n)
        splits = split_count(batch * kv_heads * row_blocks, blocks, _processors(q.device))
    if splits == 1:
        part, part_lse = out[None], lse[None]
    else:
        part = torch.empty((splits, *q.shape), dtype=torch.float32, device=q.device)
        part_lse = torch.empty((splits, *lse.shape), dtype=torch.float32, device=q.device)
    decode_kernel[(row_blocks * splits, kv_heads, batch)](
        *(q, k, v, part, part_lse, seqlens),
        *(*_strides(q), *_strides(k), *_strides(v), *_strides(part)),
        heads=heads,
        group=heads // kv_heads,
        seqlen_q=seqlen_q,
        splits=splits,
        scale_log2=scale * LOG2_E.value,
        CAUSAL=causal,
        BLOCK_M=tile.block_m,
        BLOCK_N=tile.block_n,
        **_constants(q),
        **_options(tile),
    )
    if splits > 1:
        merge_kernel[(seqlen_q, heads, batch)](
            *(part, part_lse, out, lse, *_strides(part), *_strides(out)),
            splits=splits,
            SPLITS=triton.next_power_of_2(splits),
            **_constants(q),
            **OPTIONS,
        )
    return out, lse


def natural(lse: torch.Tensor) -> torch.Tensor:
    """A base-2 log-sum-exp as a natural one."""
    return lse * float(LN_2.value)


def default_scale(head_dim: int) -> float:
    """What flash-attn multiplies q·k with when not told: 1 / sqrt(head_dim)."""
    return 1.0 / math.sqrt(head_dim)


def _processors(device: torch.device) -> int:
    """Programs that run side by side: two small ones to a processor, as FlashAttention-2 counts."""
    if interpreted():
        return 1
    return 2 * int(torch.cuda.get_device_properties(device).multi_processor_count)
