"""Tensors on another card than the current one; with one card there is nothing to see."""

import pytest
import torch
from l4guide_kernels import flash_attn_func, flash_attn_with_kvcache, quantized_attention

pytestmark = pytest.mark.gpu


@pytest.fixture
def cards(device: torch.device) -> tuple[torch.device, torch.device]:
    """The current card and another."""
    if device.type != "cuda" or torch.cuda.device_count() < 2:
        pytest.skip("one card is attached: launches on the card of their tensors are seen on two")
    return torch.device("cuda", torch.cuda.current_device()), torch.device("cuda", 1)


def results(device: torch.device) -> list[torch.Tensor]:
    """Every kernel's, on the same numbers wherever they lie."""
    generator = torch.Generator().manual_seed(3)
    q, k, v = (
        torch.randn((2, 300, heads, 64), generator=generator).half().to(device).requires_grad_()
        for heads in (4, 2, 2)
    )
    out = flash_attn_func(q, k, v, causal=True)
    assert isinstance(out, torch.Tensor)
    gradients = torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    with torch.no_grad():
        lengths = torch.tensor([290, 5], dtype=torch.int32, device=device)
        new = q[:, :1], k.clone(), v.clone(), k[:, :1], v[:, :1]
        decoded = flash_attn_with_kvcache(*new, cache_seqlens=lengths, num_splits=4)
        quantized = quantized_attention(q, k, v)
    assert isinstance(decoded, torch.Tensor)
    assert isinstance(quantized, torch.Tensor)
    return [out, *gradients, decoded, quantized]


def test_another_card_gives_the_same(cards: tuple[torch.device, torch.device]) -> None:
    """To rounding, by every kernel; and the current card stays the current one."""
    here, there = cards
    expected, found = results(here), results(there)
    torch.cuda.synchronize(there)
    assert here.index == torch.cuda.current_device()
    for one, other in zip(expected, found, strict=True):
        assert there == other.device
        torch.testing.assert_close(one.to(there), other, rtol=1e-3, atol=1e-3)
