"""Attention and its gradients on the card, against fp64 by the 2x rule, with memory poisoned before each launch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import flash_attn_func, reference_attention

pytestmark = pytest.mark.gpu

attention: Callable[..., Any] = flash_attn_func
Maker = Callable[..., torch.Tensor]
Check = Callable[..., None]
HALVES = (torch.float16, torch.bfloat16)
DTYPES = (*HALVES, torch.float32)
FEATURES: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"causal": True},
    "scaled": {"softmax_scale": 0.31},
    "window": {"window_size": (37, 5)},
    "window to the left": {"window_size": (100, -1)},
    "window to the right": {"window_size": (-1, 20)},
    "causal window": {"window_size": (129, 0), "causal": True},
    "softcap": {"softcap": 3.0, "causal": True},
    "everything": {"window_size": (90, 70), "softcap": 5.0, "softmax_scale": 0.2},
}
#: head_dim of q and k, and of v: one block, two blocks, masked columns, odd ones, and multi-head latent attention.
WIDTHS = [*((d, d) for d in (1, 16, 24, 33, 64, 72, 80, 96, 111, 128, 160, 192, 256)), (192, 128), (64, 40)]
LENGTHS = [(0, 5), (5, 0), (1, 1), (1, 700), (700, 1), (63, 65), (129, 1025), (1025, 129), (997, 997)]


@pytest.fixture
def check(tensor: Maker, agrees: Check, device: torch.device) -> Check:
    """Holds one call and its gradients against the oracle with the same options."""

    def hold(
        *lengths: int,
        dtype: torch.dtype = torch.float16,
        batch: int = 2,
        heads: tuple[int, int] = (4, 2),
        widths: tuple[int, int] = (128, 128),
        sink: bool = False,
        **options: Any,
    ) -> None:
        (seqlen_q, seqlen_k), (width, v_width) = lengths, widths
        tensors = {
            "q": tensor((batch, seqlen_q, heads[0], width), dtype),
            "k": tensor((batch, seqlen_k, heads[1], width), dtype),
            "v": tensor((batch, seqlen_k, heads[1], v_width), dtype),
        }
        if sink:
            tensors["learnable_sink"] = torch.linspace(-1, 3, heads[0], device=device)

        def found(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            out, lse, _ = attention(**leaves, **options, return_attn_probs=True)
            return out, lse

        def oracle(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return reference_attention(**leaves, **options)  # type: ignore[arg-type]

        agrees(found, oracle, tensors, f"{lengths} {widths} {options}")

    return hold


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("feature", FEATURES)
def test_features(feature: str, dtype: torch.dtype, long: int, check: Check) -> None:
    """Each mask and each change of the scores, with more keys than queries."""
    check(long, long + 77, dtype=dtype, **FEATURES[feature])


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("shape", [(4,), (2, 4)], ids=str)
def test_alibi(shape: tuple[int, ...], dtype: torch.dtype, long: int, check: Check, device: Any) -> None:
    """Slopes by head, and by sequence and head."""
    slopes = torch.rand(shape, device=device)
    check(long, long + 9, dtype=dtype, alibi_slopes=slopes, causal=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sinks(dtype: torch.dtype, long: int, check: Check) -> None:
    """A sink takes its share, and has a gradient; blind queries are there too."""
    check(long, long // 2, dtype=dtype, causal=True, sink=True)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_widths(widths: tuple[int, int], dtype: torch.dtype, long: int, check: Check) -> None:
    """Heads of every width that the backward pass serves, each with the card's own tiles."""
    check(long // 2 + 3, long // 2 + 40, dtype=dtype, widths=widths, causal=True)


@pytest.mark.parametrize("widths", [(320, 320), (512, 512), (576, 512)], ids=str)
def test_the_widest_heads(widths: tuple[int, int], long: int, tensor: Maker, within: Check) -> None:
    """Up to 512 columns, and absorbed multi-head latent attention's 576 by 512, forwards."""
    width, v_width = widths
    q = tensor((1, long // 4, 4, width), torch.bfloat16)
    k, v = (tensor((1, long // 2, 1, w), torch.bfloat16) for w in (width, v_width))
    out = attention(q, k, v, causal=True)
    theirs, _ = reference_attention(q, k, v, causal=True)
    exact, _ = reference_attention(q.double(), k.double(), v.double(), causal=True)
    within(out, theirs, exact, torch.bfloat16, f"out of {widths}")


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_lengths(lengths: tuple[int, int], causal: bool, check: Check, long: int) -> None:
    """Empty, single, ragged and prime lengths, with more queries than keys and with fewer."""
    seqlen_q, seqlen_k = (min(length, 2 * long) for length in lengths)
    check(seqlen_q, seqlen_k, widths=(64, 64), causal=causal)


@pytest.mark.parametrize("feature", ["plain", "causal", "everything"])
@pytest.mark.parametrize("width", [64, 128])
def test_fp32(width: int, feature: str, long: int, check: Check) -> None:
    """Products of fp32 are fp32's, not TF32's."""
    check(long // 2, long // 2, dtype=torch.float32, widths=(width, width), **FEATURES[feature])


@pytest.mark.parametrize("heads", [(1, 1), (8, 8), (7, 1), (12, 3)], ids=str)
def test_heads(heads: tuple[int, int], long: int, check: Check) -> None:
    """One head, as many KV heads, one KV head for seven, groups of four."""
    check(long // 2, long // 2, heads=heads, widths=(64, 64), causal=True)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("causal", [True, False])
def test_dropout(
    causal: bool, dtype: torch.dtype, long: int, tensor: Maker, agrees: Check, device: torch.device
) -> None:
    """The mask that comes back is what forward and backward used; a seed gives it again; a fifth is dropped."""
    seqlen, p = long // 2, 0.2
    tensors = {
        "q": tensor((2, seqlen, 4, 64), dtype),
        "k": tensor((2, seqlen, 2, 64), dtype),
        "v": tensor((2, seqlen, 2, 64), dtype),
    }
    masks = []

    def found(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(5)
        out, lse, probabilities = attention(**leaves, dropout_p=p, causal=causal, return_attn_probs=True)
        masks.append(~torch.signbit(probabilities))
        return out, lse

    def oracle(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return reference_attention(**leaves, dropout_p=p, dropout_mask=masks[0], causal=causal)  # type: ignore[arg-type]

    agrees(found, oracle, tensors, f"dropout {causal}")
    found(**tensors)
    assert torch.equal(masks[0], masks[1])
    seen = torch.ones(seqlen, seqlen, dtype=torch.bool, device=device)
    dropped = ~masks[0][..., seen.tril() if causal else seen]
    assert abs(float(dropped.double().mean()) - p) < 5 * (p * (1 - p) / dropped.numel()) ** 0.5


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_same_bits_every_time(dtype: torch.dtype, long: int, tensor: Maker) -> None:
    """Outputs and gradients of ten runs are equal to the bit, whatever else the card does."""
    q, k, v = (tensor((2, long, heads, 128), dtype).requires_grad_() for heads in (8, 2, 2))
    dout = tensor((2, long, 8, 128), dtype)

    def run() -> tuple[torch.Tensor, ...]:
        out = attention(q, k, v, causal=True, deterministic=True)
        return (out.detach(), *torch.autograd.grad(out, (q, k, v), dout))

    first = run()
    for _ in range(9):
        for name, one, again in zip(("out", "dq", "dk", "dv"), first, run(), strict=True):
            assert torch.equal(one, again), name


def test_rows_beyond_two_to_the_31(device: torch.device, within: Check) -> None:
    """Sequences that begin behind element 2**31 are read and written where they are."""
    if device.type == "cpu" or torch.cuda.mem_get_info()[0] < 16 * 2**30:
        pytest.skip("needs 16 GiB of free GPU memory")
    stride = 2**30 + 64
    memory = torch.empty(2 * stride + 2**20, dtype=torch.float16, device=device).normal_()
    q = torch.as_strided(memory, (3, 300, 4, 64), (stride, 256, 64, 1))
    k, v = (torch.as_strided(memory, (3, 300, 2, 64), (stride, 128, 64, 1), 2**18 * i) for i in (1, 2))
    out = attention(q, k, v, causal=True)
    theirs, _ = reference_attention(q, k, v, causal=True)
    exact, _ = reference_attention(q.double(), k.double(), v.double(), causal=True)
    within(out, theirs, exact, torch.float16, "out beyond 2**31")
