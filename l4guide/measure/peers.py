"""Attention as other installed libraries offer it, each a call on (batch, seqlen, heads, head_dim) tensors.

A library is imported only when it is bound to a workload. Whatever it raises then, or when it runs, is a
result: it says that this library does not do this workload here.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from l4guide.measure.ours import PAGE, lay_pages
from l4guide.measure.peer import Attention, Peer
from l4guide.workload import Workload

if TYPE_CHECKING:
    import torch

#: flash-attn takes pages of multiples of this alone.
FLASH_PAGE = 256
WORKSPACE_BYTES = 256 * 2**20


def _sdpa(backend: str | None, workload: Workload) -> Attention:
    """PyTorch's `scaled_dot_product_attention`, held to one backend or left to its own choice."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.attention.bias import causal_lower_right
    from torch.nn.functional import scaled_dot_product_attention

    sdpa: Attention = scaled_dot_product_attention
    square = workload.seqlen_q == workload.seqlen_kv
    options: dict[str, Any] = {"enable_gqa": workload.heads != workload.kv_heads}
    if workload.causal and square:
        options["is_causal"] = True
    elif workload.causal and workload.seqlen_q > 1:
        # `is_causal` aligns a rectangle top-left; the decoders that we compare with align bottom-right.
        options["attn_mask"] = causal_lower_right(workload.seqlen_q, workload.seqlen_kv)

    def attention(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor") -> Any:  # noqa: ANN401
        heads_first = [x.transpose(1, 2) for x in (q, k, v)]
        if backend is None:
            return sdpa(*heads_first, **options).transpose(1, 2)
        with sdpa_kernel(getattr(SDPBackend, backend)):
            return sdpa(*heads_first, **options).transpose(1, 2)

    return attention


def _flex(workload: Workload) -> Attention:
    """PyTorch's flex_attention, compiled, with a block mask where the workload is causal."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    offset = workload.seqlen_kv - workload.seqlen_q

    def visible(_b: Any, _h: Any, query: Any, key: Any) -> Any:  # noqa: ANN401
        return query + offset >= key

    sizes = (None, None, workload.seqlen_q, workload.seqlen_kv)
    mask = create_block_mask(visible, *sizes, device="cuda") if workload.causal else None
    compiled: Any = torch.compile(flex_attention)
    gqa = workload.heads != workload.kv_heads

    def attention(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor") -> Any:  # noqa: ANN401
        heads_first = [x.transpose(1, 2) for x in (q, k, v)]
        return compiled(*heads_first, block_mask=mask, enable_gqa=gqa).transpose(1, 2)

    return attention


def _flash_attn(workload: Workload) -> Attention:
    import flash_attn  # type: ignore[import-not-found,unused-ignore]

    if workload.task == "decode":
        return partial(flash_attn.flash_attn_with_kvcache, causal=workload.causal)
    return partial(flash_attn.flash_attn_func, causal=workload.causal)


def _flash_attn_paged(workload: Workload) -> Attention:
    import flash_attn

    def attention(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor", table: "torch.Tensor") -> Any:  # noqa: ANN401
        return flash_attn.flash_attn_with_kvcache(
            q, k, v, cache_seqlens=workload.seqlen_kv, block_table=table, causal=workload.causal
        )

    return attention


def _xformers(workload: Workload) -> Attention:
    from xformers.ops import memory_efficient_attention  # type: ignore[import-not-found,unused-ignore]
    from xformers.ops.fmha.attn_bias import (  # type: ignore[import-not-found,unused-ignore]
        LowerTriangularFromBottomRightMask,
    )

    bias = LowerTriangularFromBottomRightMask() if workload.causal and workload.seqlen_q > 1 else None
    group = workload.heads // workload.kv_heads

    def attention(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor") -> Any:  # noqa: ANN401
        if group == 1:
            return memory_efficient_attention(q, k, v, attn_bias=bias)
        grouped = q.view(*q.shape[:2], workload.kv_heads, group, -1)
        k, v = (x.unsqueeze(3).expand(-1, -1, -1, group, -1) for x in (k, v))
        return memory_efficient_attention(grouped, k, v, attn_bias=bias).flatten(2, 3)

    return attention


def _flashinfer(workload: Workload) -> Attention:
    """FlashInfer's batch prefill over ragged sequences, planned once, as a serving engine does."""
    import flashinfer  # type: ignore[import-not-found,unused-ignore]
    import torch

    def starts(length: int) -> torch.Tensor:
        return torch.arange(workload.batch + 1, dtype=torch.int32, device="cuda") * length

    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[workload.dtype]
    workspace = torch.empty(WORKSPACE_BYTES, dtype=torch.uint8, device="cuda")
    wrapper = flashinfer.BatchPrefillWithRaggedKVCacheWrapper(workspace, "NHD")
    wrapper.plan(
        *(starts(workload.seqlen_q), starts(workload.seqlen_kv)),
        *(workload.heads, workload.kv_heads, workload.head_dim),
        causal=workload.causal,
        q_data_type=dtype,
    )

    def attention(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor") -> Any:  # noqa: ANN401
        return wrapper.run(*(x.flatten(0, 1) for x in (q, k, v))).view(q.shape)

    return attention


def _flashinfer_paged(workload: Workload) -> Attention:
    """FlashInfer's batch decode over pages, planned for the table of `lay_pages` before the clock starts."""
    import flashinfer
    import torch

    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[workload.dtype]
    workspace = torch.empty(WORKSPACE_BYTES, dtype=torch.uint8, device="cuda")
    # Its kernels for tensor cores serve every group; the others waste them on more than one query head.
    grouped = workload.heads > workload.kv_heads
    wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(workspace, "NHD", use_tensor_cores=grouped)
    planned = False

    def attention(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor", table: "torch.Tensor") -> Any:  # noqa: ANN401
        nonlocal planned
        if not planned:
            pages = table.shape[1]
            wrapper.plan(
                torch.arange(workload.batch + 1, dtype=torch.int32, device=q.device) * pages,
                table.flatten(),
                torch.full_like(table[:, 0], workload.seqlen_kv - (pages - 1) * PAGE),
                *(workload.heads, workload.kv_heads, workload.head_dim, PAGE),
                q_data_type=dtype,
                kv_data_type=dtype,
            )
            planned = True
        return wrapper.run(q[:, 0], (k, v))[:, None]

    return attention


def _sage(workload: Workload) -> Attention:
    from sageattention import sageattn  # type: ignore[import-not-found,unused-ignore]

    return partial(sageattn, tensor_layout="NHD", is_causal=workload.causal and workload.seqlen_q > 1)


SDPA = (
    Peer(name="torch/sdpa", distribution="torch", bind=partial(_sdpa, None)),
    Peer(name="torch/flash", distribution="torch", bind=partial(_sdpa, "FLASH_ATTENTION")),
    Peer(name="torch/efficient", distribution="torch", bind=partial(_sdpa, "EFFICIENT_ATTENTION")),
    Peer(name="torch/cudnn", distribution="torch", bind=partial(_sdpa, "CUDNN_ATTENTION")),
    Peer(name="torch/math", distribution="torch", bind=partial(_sdpa, "MATH")),
)
OTHERS = (
    Peer(name="torch/flex", distribution="torch", bind=_flex),
    Peer(name="flash-attn", distribution="flash-attn", bind=_flash_attn),
    Peer(name="xformers", distribution="xformers", bind=_xformers),
    Peer(name="flashinfer", distribution="flashinfer-python", bind=_flashinfer, trains=False),
    Peer(name="sageattention", distribution="sageattention", bind=_sage, trains=False, approximate=True),
)
#: The same from a cache in pages.
PAGED = (
    Peer(
        name="flash-attn/paged",
        distribution="flash-attn",
        bind=_flash_attn_paged,
        lay=partial(lay_pages, FLASH_PAGE),
        trains=False,
    ),
    Peer(
        name="flashinfer/paged",
        distribution="flashinfer-python",
        bind=_flashinfer_paged,
        lay=partial(lay_pages, PAGE),
        trains=False,
    ),
)


@contextmanager
def explained() -> Iterator[list[str]]:
    """Collects what a library warns while it refuses: SDPA's reasons arrive as warnings, not in its error."""
    reasons: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield reasons
        finally:
            reasons.extend(dict.fromkeys(" ".join(str(w.message).split()) for w in caught))
