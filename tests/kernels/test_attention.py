"""Output, log-sum-exp and gradients of `flash_attn_func` against fp64, in the interpreter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from architectures import each_tiling
from l4guide_kernels import flash_attn_func, reference_attention
from l4guide_kernels.tiles import Tile
from sweeps import crossed

attention: Callable[..., Any] = flash_attn_func
Maker = Callable[..., torch.Tensor]
HALVES = (torch.float16, torch.bfloat16)
DTYPES = (*HALVES, torch.float32)
NAMES = ("out", "lse", "dq", "dk", "dv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One shape."""

    batch: int = 1
    seqlen_q: int = 65
    seqlen_k: int = 65
    heads: int = 1
    kv_heads: int = 1
    head_dim: int = 64
    causal: bool = True

    def __str__(self) -> str:
        """How pytest names it."""
        mask = "causal" if self.causal else "full"
        return f"b{self.batch}-q{self.seqlen_q}-k{self.seqlen_k}-h{self.heads}x{self.kv_heads}-d{self.head_dim}-{mask}"


def inputs(case: Case, dtype: torch.dtype, tensor: Maker) -> tuple[torch.Tensor, ...]:
    """Tensors q, k, v and dO of a case, poisoned all around."""
    query = (case.batch, case.seqlen_q, case.heads, case.head_dim)
    key = (case.batch, case.seqlen_k, case.kv_heads, case.head_dim)
    return tensor(query, dtype), tensor(key, dtype), tensor(key, dtype), tensor(query, dtype)


def run(
    case: Case,
    tensors: tuple[torch.Tensor, ...],
    arch: int | None = None,
    tiles: dict[str, Tile] | None = None,
) -> tuple[torch.Tensor, ...]:
    """The kernels' (out, lse, dq, dk, dv)."""
    *qkv, dout = tensors
    q, k, v = (x.detach().requires_grad_() for x in qkv)
    out, lse, _ = attention(q, k, v, causal=case.causal, return_attn_probs=True, arch=arch, tiles=tiles)
    return (out.detach(), lse, *torch.autograd.grad(out, (q, k, v), dout))


def expected(case: Case, tensors: tuple[torch.Tensor, ...], dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """The reference's (out, lse, dq, dk, dv), computed in `dtype`."""
    *qkv, dout = (x.detach().to(dtype) for x in tensors)
    q, k, v = (x.requires_grad_() for x in qkv)
    out, lse = reference_attention(q, k, v, causal=case.causal)
    return (out.detach(), lse.detach(), *torch.autograd.grad(out, (q, k, v), dout))


@pytest.fixture
def check(tensor: Maker, within: Callable[..., None]) -> Callable[..., None]:
    """Runs one case and holds all its results against fp64."""

    def hold(case: Case, dtype: torch.dtype, **options: object) -> None:
        tensors = inputs(case, dtype, tensor)
        found = run(case, tensors, **options)  # type: ignore[arg-type]
        exact, same_dtype = expected(case, tensors, torch.float64), expected(case, tensors, dtype)
        for name, mine, theirs, truth in zip(NAMES, found, same_dtype, exact, strict=True):
            within(mine, theirs, truth, dtype, f"{name} of {case}")

    return hold


SHAPES = [
    Case(seqlen_q=1, seqlen_k=1, head_dim=16),
    Case(seqlen_q=1, seqlen_k=200, head_dim=40, heads=2, kv_heads=1),
    Case(seqlen_q=200, seqlen_k=1, head_dim=32, causal=False),
    Case(seqlen_q=17, seqlen_k=63, heads=3, kv_heads=3, head_dim=64),
    Case(seqlen_q=63, seqlen_k=17, heads=3, kv_heads=1, head_dim=64),
    Case(seqlen_q=97, seqlen_k=128, heads=2, kv_heads=1, head_dim=72),
    Case(seqlen_q=128, seqlen_k=128, heads=2, kv_heads=2, head_dim=64),
    Case(batch=2, seqlen_q=65, seqlen_k=65, heads=2, kv_heads=1, head_dim=96),
    Case(seqlen_q=65, seqlen_k=97, heads=7, kv_heads=1, head_dim=16, causal=False),
    Case(seqlen_q=97, seqlen_k=200, head_dim=128),
    Case(seqlen_q=200, seqlen_k=65, head_dim=80),
]
HEAD_DIMS = (1, 8, 16, 40, 64, 72, 80, 96, 111, 128, 160, 192, 256)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_agrees_with_fp64_at_any_length(case: Case, dtype: torch.dtype, check: Callable[..., None]) -> None:
    """Ragged lengths, groups and masks change nothing about the accuracy."""
    check(case, dtype)


@pytest.mark.parametrize(("head_dim", "dtype"), crossed(HEAD_DIMS, DTYPES, whole=(1, 96, 111)), ids=str)
def test_agrees_with_fp64_at_any_head_dim(
    head_dim: int, dtype: torch.dtype, check: Callable[..., None]
) -> None:
    """Columns that pad the head to a power of two never count."""
    check(Case(seqlen_q=33, seqlen_k=70, heads=2, kv_heads=1, head_dim=head_dim), dtype)


@pytest.mark.parametrize("case", SHAPES[3:6], ids=str)
def test_fp32_is_not_tf32(case: Case, check: Callable[..., None]) -> None:
    """In fp32 the error stays at fp32's size."""
    check(case, torch.float32)


@pytest.mark.parametrize(("seqlen_q", "seqlen_k"), [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("causal", [True, False])
def test_empty_sequences_give_zeros(seqlen_q: int, seqlen_k: int, causal: bool, tensor: Maker) -> None:
    """Without keys or queries outputs and gradients are zero or empty, and the log-sum-exp is -inf."""
    case = Case(seqlen_q=seqlen_q, seqlen_k=seqlen_k, heads=2, kv_heads=1, head_dim=16, causal=causal)
    out, lse, *gradients = run(case, inputs(case, torch.float16, tensor))
    assert (1, seqlen_q, 2, 16) == out.shape
    assert not bool(out.any())
    assert bool(torch.isneginf(lse).all())
    assert all(not bool(gradient.any()) for gradient in gradients)


def test_queries_before_the_first_key_give_zeros(tensor: Maker) -> None:
    """With more queries than keys under a causal mask the first ones see nothing: zeros, never NaN."""
    case = Case(seqlen_q=40, seqlen_k=17, head_dim=16)
    out, lse, dq, *_ = run(case, inputs(case, torch.bfloat16, tensor))
    assert not bool(out[:, :23].any())
    assert not bool(dq[:, :23].any())
    assert bool(torch.isneginf(lse[..., :23]).all())
    assert bool(torch.isfinite(lse[..., 23:]).all())


@pytest.mark.parametrize(("head_dim", "arch"), each_tiling([64, 128, 192]))
def test_every_architecture_computes_the_same(head_dim: int, arch: int, check: Callable[..., None]) -> None:
    """Each architecture's tiles pass the same check, whatever machine runs the test."""
    check(Case(seqlen_q=70, seqlen_k=130, head_dim=head_dim), torch.float16, arch=arch)


@pytest.mark.parametrize(("block_m", "block_n"), [(16, 64), (64, 16), (128, 128), (32, 32)])
def test_a_callers_tile_changes_nothing(block_m: int, block_n: int, check: Callable[..., None]) -> None:
    """Any tile gives attention, for blocks of queries wider than those of keys and the reverse."""
    tile = Tile(block_m=block_m, block_n=block_n, warps=4, stages=1)
    tiles = dict.fromkeys(("forward", "backward-dkdv", "backward-dq"), tile)
    check(Case(seqlen_q=90, seqlen_k=75, head_dim=32, heads=2), torch.float16, tiles=tiles)


def test_twice_the_same_bits(tensor: Maker) -> None:
    """No sum depends on timing: a second run gives the same bits, gradients included."""
    case = Case(seqlen_q=65, seqlen_k=97, heads=4, kv_heads=2, head_dim=32)
    tensors = inputs(case, torch.bfloat16, tensor)
    for first, second in zip(run(case, tensors), run(case, tensors), strict=True):
        assert torch.equal(first, second)


def test_large_scores_do_not_overflow(tensor: Maker) -> None:
    """Scores in the thousands, whose exponential no float holds, come out finite and right."""
    shape = (1, 33, 1, 64)
    q, k, v = (
        tensor(shape, torch.float32, 30.0),
        tensor(shape, torch.float32, 30.0),
        tensor(shape, torch.float32),
    )
    exact, _ = reference_attention(q.double(), k.double(), v.double(), causal=True)
    found = attention(q, k, v, causal=True)
    torch.testing.assert_close(exact.float(), found, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("scale", [0.0, -0.3, 0.7])
def test_any_softmax_scale(scale: float, tensor: Maker) -> None:
    """The scale is used as given, zero and negative ones included."""
    q, k, v = (tensor((1, 20, 1, 16), torch.float32) for _ in range(3))
    exact, _ = reference_attention(q.double(), k.double(), v.double(), softmax_scale=scale)
    found = attention(q, k, v, softmax_scale=scale)
    torch.testing.assert_close(exact.float(), found, atol=1e-5, rtol=1e-5)


def test_linear_in_v(tensor: Maker) -> None:
    """Attention of a sum of values is the sum of the attentions."""
    q, k, v, w = (tensor((1, 40, 2, 32), torch.float32) for _ in range(4))
    together = attention(q, k, v + 2 * w, causal=True)
    apart = attention(q, k, v, causal=True) + 2 * attention(q, k, w, causal=True)
    torch.testing.assert_close(apart, together, atol=1e-5, rtol=1e-5)


def test_layouts_other_than_contiguous(tensor: Maker) -> None:
    """Transposed, sliced and unaligned views give what contiguous tensors give."""
    q, k, v = (tensor((2, 3, 20, 24), torch.float16).transpose(1, 2) for _ in range(3))
    packed = torch.randn(2, 20, 3, 75).half()
    unaligned = tuple(packed[..., 25 * i + 1 : 25 * i + 25] for i in range(3))
    for tensors in ((q, k, v), unaligned):
        assert torch.equal(
            attention(*(x.contiguous() for x in tensors), causal=True),
            attention(*tensors, causal=True),
        )


def test_expanded_gradient(tensor: Maker) -> None:
    """The gradient of a sum arrives as an expanded tensor with strides of zero, and is read right."""
    q, k, v = (tensor((1, 20, 2, 16), torch.float32).requires_grad_() for _ in range(3))
    attention(q, k, v).sum().backward()
    # Rows of P sum to one, so the gradient of the sum is that of the column sums of P.
    p = torch.softmax(torch.einsum("bihd,bjhd->bhij", q, k) / 4, -1).detach()
    torch.testing.assert_close(p.sum(2).transpose(1, 2)[..., None].expand_as(v), v.grad, atol=1e-5, rtol=1e-5)
