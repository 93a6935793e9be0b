"""Our kernels as a run calls them: plain, padded, from a cache in pages or in 8 bits, on 8-bit codes."""

from functools import partial
from typing import TYPE_CHECKING, Any

from l4guide.measure.peer import OWN, Attention, Peer
from l4guide.workload import Workload

if TYPE_CHECKING:
    import torch

#: What vLLM and FlashInfer keep in a page by default.
PAGE = 16
#: The largest code of each type.
LARGEST = {"int8": 127.0, "fp8": 448.0}


def ours(workload: Workload, *, arch: int | None = None) -> Attention:
    """Our kernels: split-KV decode for decode, otherwise the differentiable call.

    Args:
        workload: what they are bound to.
        arch: take the tiles of this architecture rather than the device's.
    """
    from l4guide_kernels import flash_attn_func, flash_attn_with_kvcache

    call: Attention = flash_attn_with_kvcache if workload.task == "decode" else flash_attn_func
    return partial(call, causal=workload.causal, arch=arch)


def in_pages(x: "torch.Tensor", page: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """A cache (batch, keys, heads, head_dim) cut into pages that lie in any order, and the table that finds them.

    Returns:
        The pages (pages, page, heads, head_dim) and the table (batch, pages of a sequence), int32.
    """
    import torch

    batch, keys, heads, head_dim = x.shape
    rows = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -keys % page))
    whole = rows.reshape(-1, page, heads, head_dim)
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0)).to(x.device)
    return whole[order], order.argsort().to(torch.int32).view(batch, -1)


def lay_pages(
    page: int, workload: Workload, q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor"
) -> "tuple[torch.Tensor, ...]":
    """Queries, pages of keys and of values, and their table."""
    del workload
    k_pages, table = in_pages(k, page)
    return q, k_pages, in_pages(v, page)[0], table


def _paged(workload: Workload) -> Attention:
    from l4guide_kernels import flash_attn_with_kvcache

    def attention(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor", table: "torch.Tensor") -> Any:  # noqa: ANN401
        return flash_attn_with_kvcache(
            q, k, v, cache_seqlens=workload.seqlen_kv, block_table=table, causal=workload.causal
        )

    return attention


def _lay_codes(
    kind: str, workload: Workload, q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor"
) -> "tuple[torch.Tensor, ...]":
    """Queries, codes of keys and values, and the factor of each KV head that undoes them."""
    import torch

    del workload
    dtype = {"int8": torch.int8, "fp8": torch.float8_e4m3fn}[kind]
    codes, factors = [], []
    for x in (k, v):
        factor = torch.linalg.vector_norm(x, torch.inf, (0, 1, 3), dtype=torch.float32) / LARGEST[kind]
        # A sequence at a time: a whole cache in fp32 may not fit beside the others.
        scaled = ((one / factor[:, None]).clamp(-LARGEST[kind], LARGEST[kind]) for one in x)
        codes.append(torch.stack([(one.round() if kind == "int8" else one).to(dtype) for one in scaled]))
        factors.append(factor)
    return (q, *codes, *factors)


def _coded(workload: Workload) -> Attention:
    from l4guide_kernels import flash_attn_with_kvcache

    def attention(
        q: "torch.Tensor",
        k: "torch.Tensor",
        v: "torch.Tensor",
        k_factor: "torch.Tensor",
        v_factor: "torch.Tensor",
    ) -> Any:  # noqa: ANN401
        return flash_attn_with_kvcache(
            q, k, v, causal=workload.causal, k_descale=k_factor, v_descale=v_factor
        )

    return attention


def _padded(workload: Workload) -> Attention:
    """The kernels that other widths have, told the scale of the true one."""
    from l4guide_kernels import flash_attn_func

    return partial(flash_attn_func, causal=workload.causal, softmax_scale=workload.head_dim**-0.5)


def _lay_padded(
    workload: Workload, q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor"
) -> "tuple[torch.Tensor, ...]":
    """Zeros beside each head up to the next power of two."""
    from torch.nn.functional import pad

    more = (1 << (workload.head_dim - 1).bit_length()) - workload.head_dim
    return pad(q, (0, more)), pad(k, (0, more)), pad(v, (0, more))


def _quantized(pv: str, workload: Workload) -> Attention:
    """Attention on codes that the call itself makes: their cost is in its time."""
    from l4guide_kernels import quantized_attention

    return partial(quantized_attention, pv=pv, causal=workload.causal)


def _coded_peer(kind: str) -> Peer:
    return Peer(
        name=f"l4guide/kv-{kind}",
        distribution=OWN,
        bind=_coded,
        lay=partial(_lay_codes, kind),
        trains=False,
        approximate=True,
        kv_dtype=kind,
    )


def _quantized_peer(pv: str) -> Peer:
    bind = partial(_quantized, pv)
    return Peer(name=f"l4guide/int8-{pv}", distribution=OWN, bind=bind, trains=False, approximate=True)


OURS = Peer(name="l4guide", distribution=OWN, bind=ours)
VARIANTS = (
    Peer(name="l4guide/padded", distribution=OWN, bind=_padded, lay=_lay_padded),
    Peer(name="l4guide/paged", distribution=OWN, bind=_paged, lay=partial(lay_pages, PAGE), trains=False),
    _coded_peer("int8"),
    _coded_peer("fp8"),
    _quantized_peer("fp16"),
    _quantized_peer("fp8"),
)
