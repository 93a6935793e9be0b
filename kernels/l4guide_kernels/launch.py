"""From tensors to launches: layouts, grids, tiles. Shapes are checked before (`interface`), not here.

Rows are (batch, seqlen, heads, head_dim), or (total, heads, head_dim) with `Problem.cu_q` and `cu_k`. Log-sum-exps
are in base 2, fp32 and (heads, rows): what the kernels write, `natural` turns into what users get.
"""

from dataclasses import replace
from functools import cache

import torch
import triton

from l4guide_kernels.append import append_kernel
from l4guide_kernels.boxes import boxes
from l4guide_kernels.candidates import LIMIT_BYTES
from l4guide_kernels.decode import LEAST_BLOCKS, decode_kernel, split_count
from l4guide_kernels.device import on_its_device
from l4guide_kernels.dialect import interpreted
from l4guide_kernels.dkdv import delta_kernel, dkdv_kernel
from l4guide_kernels.dq import dq_kernel
from l4guide_kernels.forward import forward_kernel
from l4guide_kernels.probabilities import probabilities_kernel
from l4guide_kernels.problem import DECODERS, DTYPE_NAMES, Problem
from l4guide_kernels.softmax import LN_2, LOG2_E
from l4guide_kernels.tiles import HEAD_MULTIPLE, Tile, can_box, shared_bytes

#: What the system keeps of a processor's shared memory for each program.
RESERVED_BYTES = 1024
_ALIGN_BYTES = 16
_ROWS = 32
# The smallest normal number of fp32.
_LEAST_SCALE = 2.0**-126
# Stated, so that no Triton version's change of default changes our arithmetic: contraction to fma is wanted.
OPTIONS = {"enable_fp_fusion": True}


def aligned(x: torch.Tensor) -> torch.Tensor:
    """`x`, copied if a row is not contiguous or not aligned to 16 bytes, which the loads rely on."""
    outer = [stride for size, stride in zip(x.shape[:-1], x.stride()[:-1], strict=True) if size > 1]
    fits = x.stride(-1) == 1 and x.data_ptr() % _ALIGN_BYTES == 0 and not any(s % _unit(x) for s in outer)
    return x if fits else x.clone(memory_format=torch.contiguous_format)


def _unit(x: torch.Tensor) -> int:
    """Elements that the kernels count strides of `x` in: `dialect.unit`."""
    return HEAD_MULTIPLE * (2 if x.element_size() == 1 else 1)


def _strides(x: torch.Tensor) -> tuple[int, int, int]:
    """Strides of batch, row and head in the kernels' units; an axis of one element needs none."""
    unit = _unit(x)
    row, head = (
        0 if size == 1 else stride // unit
        for size, stride in zip(x.shape[-3:-1], x.stride()[-3:-1], strict=True)
    )
    outer = 0 if x.dim() == 3 or x.shape[0] == 1 else x.stride(0) // unit
    return outer, row, head


def sums(x: torch.Tensor) -> torch.dtype:
    """What log-sum-exps and partial outputs of `x` are kept in."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _empty(like: torch.Tensor, shape: tuple[int, ...], problem: Problem) -> torch.Tensor:
    """Room for rows; zeros where some rows of the tensor may be no sequence's."""
    whole = problem.cu_q is None and problem.used_k is None and problem.leftpad is None
    make = torch.empty if whole else torch.zeros
    return make(shape, dtype=like.dtype, device=like.device)


def _upright(q: torch.Tensor, problem: Problem) -> tuple[torch.Tensor, Problem]:
    """The same scores by a factor above 0: so the highest product gives the highest, and none hidden becomes NaN."""
    if problem.scale > 0:
        return q, problem
    return -q if problem.scale else q, replace(problem, scale=abs(problem.scale) or _LEAST_SCALE)


def _asked(q: torch.Tensor, k: torch.Tensor, problem: Problem) -> dict[str, object]:
    """What every kernel over scores is told of the problem."""
    heads = q.shape[-2]
    return {
        "heads": heads,
        "group": heads // k.shape[-2],
        "seqlen_q": problem.seqlen_q(q),
        "seqlen_k": problem.seqlen_k(k),
        "scale_log2": problem.scale * LOG2_E.value,
        "span": problem.span(k),
        "extras": problem.extras(),
    }


def _constants(q: torch.Tensor, v: torch.Tensor, problem: Problem, tile: Tile) -> dict[str, object]:
    return {
        "CAUSAL": problem.causal,
        "HEAD_DIM": q.shape[-1],
        "HEAD_DIM_V": v.shape[-1],
        "BLOCK_M": tile.block_m,
        "BLOCK_N": tile.block_n,
        "num_warps": tile.warps,
        "num_stages": tile.stages,
        **OPTIONS,
    }


@on_its_device
def forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, problem: Problem
) -> tuple[torch.Tensor, torch.Tensor]:
    """Output, like `q` with v's head_dim, and base-2 log-sum-exp (heads, rows of q)."""
    q, problem = _upright(q, problem)
    q, k, v = aligned(q), aligned(k), aligned(v)
    heads, head_dim_v = q.shape[-2], v.shape[-1]
    rows_q = q.shape[:-2].numel()
    out = _empty(q, (*q.shape[:-1], head_dim_v), problem)
    lse = torch.empty((heads, rows_q), dtype=sums(q), device=q.device)
    if problem.cu_q is not None:
        lse.fill_(float("-inf"))
    batch, seqlen_q = problem.batch(q), problem.seqlen_q(q)
    if out.numel() == 0 or batch == 0 or seqlen_q == 0:
        return out, lse
    in_boxes = can_box("forward", DTYPE_NAMES[q.dtype], problem.plan.arch)
    in_boxes = in_boxes and problem.fits_boxes(k) and problem.fits_boxes(v)
    tile = problem.plan.tile("forward", q, v, boxes=in_boxes)
    k_boxes, v_boxes = (boxes(x, tile.block_n) if in_boxes and tile.boxes else (None, None) for x in (k, v))
    forward_kernel[(triton.cdiv(seqlen_q, tile.block_m), heads, batch)](
        *(q, k, v, out, lse, *k_boxes, *v_boxes, *_strides(q), *_strides(k), *_strides(v)),
        **_asked(q, k, problem),
        rows_q=rows_q,
        **_constants(q, v, problem, tile),
    )
    return out, lse


def _delta(out: torch.Tensor, dout: torch.Tensor) -> torch.Tensor:
    """rowsum(dO ∘ O) (heads, rows) of two contiguous tensors."""
    heads, rows = out.shape[-2], out.shape[:-2].numel()
    delta = torch.empty((heads, rows), dtype=sums(out), device=out.device)
    delta_kernel[(triton.cdiv(rows, _ROWS), heads)](
        *(out, dout, delta),
        heads=heads,
        rows_q=rows,
        HEAD_DIM=out.shape[-1],
        BLOCK_M=_ROWS,
        **OPTIONS,
    )
    return delta


@on_its_device
def backward(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    dout: torch.Tensor,
    problem: Problem,
    dlse: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Gradients of q, k, v and the sink, from what `forward` took and returned; `dlse` is that of its second result."""
    q, k, v = aligned(q), aligned(k), aligned(v)
    out, dout = aligned(out.contiguous()), aligned(dout.contiguous())
    batch, seqlen_q, seqlen_k = problem.batch(q), problem.seqlen_q(q), problem.seqlen_k(k)
    dq, dk, dv = (_empty(x, tuple(x.shape), problem) for x in (q, k, v))
    if 0 in (batch, seqlen_q, seqlen_k, q.numel(), k.numel()):
        nothing = _less_dlse(torch.zeros_like(lse), lse, dlse)
        dsink = None if problem.sink is None else _dsink(problem.sink, lse, nothing)
        return dq.zero_(), dk.zero_(), dv.zero_(), dsink
    delta = _less_dlse(_delta(out, dout), lse, dlse)
    asked = {**_asked(q, k, problem), "rows_q": q.shape[:-2].numel(), "scale": problem.scale}
    inputs = (q, k, v, dout, lse, delta)
    strides = (*_strides(q), *_strides(k), *_strides(v))
    tile = problem.plan.tile("backward-dkdv", q, v)
    dkdv_kernel[(triton.cdiv(seqlen_k, tile.block_n), k.shape[-2], batch)](
        *(*inputs, dk, dv, *strides), **asked, **_constants(q, v, problem, tile)
    )
    tile = problem.plan.tile("backward-dq", q, v)
    dq_kernel[(triton.cdiv(seqlen_q, tile.block_m), q.shape[-2], batch)](
        *(*inputs, dq, *strides), **asked, **_constants(q, v, problem, tile)
    )
    return dq, dk, dv, None if problem.sink is None else _dsink(problem.sink, lse, delta)


def _less_dlse(delta: torch.Tensor, lse: torch.Tensor, dlse: torch.Tensor | None) -> torch.Tensor:
    """D of a loss that the log-sum-exp enters too: dS = P ∘ (dP - D) + P · dLSE, so that dLSE is taken from D."""
    if dlse is None:
        return delta
    # A query that sees no key has no log-sum-exp, and nothing to pass on.
    return delta - torch.where(torch.isinf(lse), 0.0, dlse * LOG2_E.value)


def _dsink(sink: torch.Tensor, lse: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """The sink's weight gives nothing to the output: dS of it is -weight · delta, summed over the queries."""
    weight = torch.exp2(sink.to(lse.dtype)[:, None] * LOG2_E.value - lse)
    # Rows that no sequence owns have no log-sum-exp.
    return -torch.where(torch.isinf(lse), 0.0, weight * delta).sum(1).to(sink.dtype)


@on_its_device
def decode(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, problem: Problem, *, splits: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Like `forward`, for few queries of equal number a sequence.

    `splits` parts of the keys are worked on side by side; 0 lets `split_count` choose.
    """
    q, problem = _upright(q, problem)
    q, k, v = aligned(q), aligned(k), aligned(v)
    batch, seqlen_q, heads, _ = q.shape
    kv_heads, head_dim_v = k.shape[-2], v.shape[-1]
    out = torch.empty((*q.shape[:-1], head_dim_v), dtype=q.dtype, device=q.device)
    lse = torch.empty((heads, batch * seqlen_q), dtype=sums(q), device=q.device)
    if out.numel() == 0:
        return out, lse
    kernel = DECODERS.get(k.dtype, "decode")
    tile = problem.plan.tile(kernel, q, v)
    row_blocks = triton.cdiv(heads // kv_heads * seqlen_q, tile.block_m)
    programs, least = batch * kv_heads * row_blocks, 1
    if splits == 0:
        blocks, least = triton.cdiv(problem.seqlen_k(k), tile.block_n), LEAST_BLOCKS
        shared = shared_bytes(
            tile,
            kernel=kernel,
            head_dim=max(q.shape[-1], head_dim_v),
            dtype=DTYPE_NAMES[q.dtype],
            arch=problem.plan.arch,
        )
        splits = split_count(programs, blocks, _side_by_side(q.device, problem.plan.arch, shared))
    part, part_lse, arrived = None, None, None
    if splits > 1:
        part = torch.empty((splits, *out.shape), dtype=sums(q), device=q.device)
        part_lse = torch.empty((splits, *lse.shape), dtype=sums(q), device=q.device)
        arrived = _counters(programs, q.device)
    decode_kernel[(row_blocks * splits, kv_heads, batch)](
        *(q, k, v, out, lse, part, part_lse, arrived, *_strides(q), *_strides(k), *_strides(v)),
        **_asked(q, k, problem),
        splits=splits,
        least=least,
        **_constants(q, v, problem, tile),
    )
    return out, lse


def _counters(count: int, device: torch.device) -> torch.Tensor:
    """Zeros, which a kernel leaves as it found them.

    Kept, since filling them anew would be a launch of its own beside each kernel. Launches on one stream follow one
    another and may share them. A CUDA graph is replayed beside anything: it gets its own.
    """
    on_card = device.type == "cuda"
    if on_card and torch.cuda.is_current_stream_capturing():
        return torch.zeros(count, dtype=torch.int32, device=device)
    stream = torch.cuda.current_stream(device).cuda_stream if on_card else 0
    return _kept_counters(triton.next_power_of_2(count), device, stream)


@cache
def _kept_counters(count: int, device: torch.device, stream: int) -> torch.Tensor:
    """`stream` only tells them apart."""
    return torch.zeros(count, dtype=torch.int32, device=device)


@on_its_device
def place(
    x: torch.Tensor,
    y: torch.Tensor,
    lengths: torch.Tensor,
    problem: Problem,
    *,
    in_cache: bool,
    step: int = 1,
    rotary: tuple[torch.Tensor, torch.Tensor] | None = None,
    interleaved: bool = True,
) -> None:
    """Writes the rows of `x` (batch, seqlen, heads, head_dim) to `y`, rotated where `rotary` (cos, sin) is given.

    Row i of a sequence is at position `lengths[batch]` + i * `step`, and goes to that row of the cache `y`
    (`in_cache`), or to row i of `y`.
    """
    batch, seqlen, heads, head_dim = x.shape
    if x.numel() == 0:
        return
    cos, sin = (None, None) if rotary is None else (rotary[0].contiguous(), rotary[1].contiguous())
    x = aligned(x)
    # Nothing is written outside of a cache, whatever lengths, slots and pages say.
    capacity = problem.seqlen_k(y) if in_cache else seqlen
    append_kernel[(triton.cdiv(seqlen, _ROWS), heads, batch)](
        *(x, y, lengths, cos, sin, *_strides(x), *_strides(y)),
        seqlen=seqlen,
        capacity=capacity,
        entries=y.shape[0],
        positions=0 if cos is None else cos.shape[0],
        span=problem.span(y),
        IN_CACHE=in_cache,
        STEP=step,
        ROTARY_HALF=0 if cos is None else cos.shape[-1],
        INTERLEAVED=interleaved,
        HEAD_DIM=head_dim,
        COLUMNS=triton.next_power_of_2(head_dim),
        BLOCK_M=_ROWS,
        **OPTIONS,
    )


@on_its_device
def probabilities(q: torch.Tensor, k: torch.Tensor, lse: torch.Tensor, problem: Problem) -> torch.Tensor:
    """P (batch, heads, seqlen_q, seqlen_k) of a forward pass with dropout, negative where dropped."""
    q, k = aligned(q), aligned(k)
    batch, heads = problem.batch(q), q.shape[-2]
    seqlen_q, seqlen_k = problem.seqlen_q(q), problem.seqlen_k(k)
    made = torch.zeros((batch, heads, seqlen_q, seqlen_k), dtype=q.dtype, device=q.device)
    if made.numel() == 0:
        return made
    grid = (triton.cdiv(seqlen_q, _ROWS), triton.cdiv(seqlen_k, _ROWS), batch * heads)
    probabilities_kernel[grid](
        *(q, k, lse, made, *_strides(q), *_strides(k)),
        **_asked(q, k, problem),
        rows_q=q.shape[:-2].numel(),
        CAUSAL=problem.causal,
        HEAD_DIM=q.shape[-1],
        BLOCK_M=_ROWS,
        BLOCK_N=_ROWS,
        **OPTIONS,
    )
    return made


def natural(lse: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """A base-2 log-sum-exp (heads, rows) as users get it: natural, (batch, heads, seqlen_q) unless q is varlen."""
    lse = lse * float(LN_2.value)
    return lse if q.dim() == 3 else lse.view(lse.shape[0], *q.shape[:2]).transpose(0, 1).contiguous()


def _side_by_side(device: torch.device, arch: int, shared: int | None) -> int:
    """Programs that run at once: two to a processor, as FlashAttention-2 counts, where its shared memory holds two.

    More would fit of small ones; but two already keep enough bytes in flight, and each split is one more to merge.
    """
    if interpreted():
        return 1
    processors = int(torch.cuda.get_device_properties(device).multi_processor_count)
    per_processor = LIMIT_BYTES[arch] + RESERVED_BYTES
    return processors * (1 if 2 * ((shared or 0) + RESERVED_BYTES) > per_processor else 2)
