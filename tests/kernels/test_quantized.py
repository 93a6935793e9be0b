"""Attention on 8-bit codes, against fp64: how near it comes, what it refuses, and what the codes are."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import UnsupportedError, quantized_attention, reference_attention
from l4guide_kernels.checks import ShapeError
from l4guide_kernels.quantize import quantize
from l4guide_kernels.tiles import Tile

attention: Callable[..., Any] = quantized_attention
Maker = Callable[..., torch.Tensor]
# What one e4m3 code is away from its value at most, relative to it: half of 2**-3.
E4M3_ROUNDING = 0.0625


def cosine(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The cosine of the angle between two tensors taken as vectors."""
    return float(torch.nn.functional.cosine_similarity(found.double().flatten(), exact.flatten(), dim=0))


def outlying(x: torch.Tensor) -> torch.Tensor:
    """Keys as language models have them: two columns far from zero, nearly the same in every key."""
    x = x.clone()
    x[..., 3] += 40.0
    x[..., 10] -= 25.0
    return x


@pytest.mark.parametrize("pv", ["fp16", "fp8"])
@pytest.mark.parametrize(
    ("lengths", "heads", "head_dims", "dtype", "causal"),
    [
        ((130, 130), (2, 1), (64, 64), torch.float16, True),
        ((33, 200), (2, 2), (128, 128), torch.bfloat16, False),
        ((100, 70), (1, 1), (72, 96), torch.float32, True),
        ((1, 65), (4, 2), (16, 16), torch.bfloat16, True),
        ((40, 1), (1, 1), (192, 128), torch.float16, False),
        ((20, 96), (1, 1), (256, 256), torch.float16, True),
    ],
)
def test_near_fp64(
    pv: str,
    lengths: tuple[int, int],
    heads: tuple[int, int],
    head_dims: tuple[int, int],
    dtype: torch.dtype,
    causal: bool,
    tensor: Maker,
) -> None:
    """On normal inputs the cosine to fp64 is at least 0.999, and the log-sum-exp within 0.03."""
    batch = 2 if lengths[0] == 33 else 1
    q = tensor((batch, lengths[0], heads[0], head_dims[0]), dtype)
    k = tensor((batch, lengths[1], heads[1], head_dims[0]), dtype)
    v = tensor((batch, lengths[1], heads[1], head_dims[1]), dtype)
    out, lse = attention(q, k, v, pv=pv, causal=causal, return_lse=True)
    exact, exact_lse = reference_attention(q.double(), k.double(), v.double(), causal=causal)
    assert (exact.shape, dtype) == (out.shape, out.dtype)
    assert (exact_lse.shape, torch.float32) == (lse.shape, lse.dtype)
    assert cosine(out, exact) >= 0.999
    finite = torch.isfinite(exact_lse)
    assert torch.equal(finite, torch.isfinite(lse))
    assert float((lse.double() - exact_lse)[finite].abs().max()) < 0.03
    assert torch.equal(exact[~finite.transpose(1, 2)], out[~finite.transpose(1, 2)].double())


@pytest.mark.parametrize("pv", ["fp16", "fp8"])
def test_smoothing_saves_outlying_keys(pv: str, tensor: Maker) -> None:
    """Where two columns of K lie far from zero, taking the mean off makes the error at least half as large."""
    q, k, v = (tensor((1, 128, 1, 64), torch.float16) for _ in range(3))
    k = outlying(k)
    exact, exact_lse = reference_attention(q.double(), k.double(), v.double())
    smooth, lse = attention(q, k, v, pv=pv, return_lse=True)
    rough = attention(q, k, v, pv=pv, smooth_k=False)
    assert cosine(smooth, exact) >= 0.999
    assert 2 * float((smooth - exact).norm()) < float((rough - exact).norm())
    # The mean's part of the scores is put back: it is some hundred times a score here.
    assert float((lse - exact_lse).abs().max()) < 0.05


def test_smoothing_changes_nothing_but_rounding(tensor: Maker) -> None:
    """With and without smoothing the log-sum-exp is the same within the rounding of the codes."""
    q, k, v = (tensor((1, 70, 2, 32), torch.float32) for _ in range(3))
    first, second = (attention(q, k, v, smooth_k=smooth, return_lse=True)[1] for smooth in (True, False))
    assert float((first - second).abs().max()) < 0.03


@pytest.mark.parametrize("pv", ["fp16", "fp8"])
def test_zeros_divide_nothing(pv: str) -> None:
    """All-zero queries, keys and values give the mean of the values, not NaN."""
    zeros, ones = torch.zeros((1, 70, 1, 32)), torch.ones((1, 70, 1, 32))
    assert torch.equal(zeros, attention(zeros, zeros, zeros, pv=pv))
    torch.testing.assert_close(attention(zeros, zeros, ones, pv=pv), ones)


@pytest.mark.parametrize("pv", ["fp16", "fp8"])
def test_values_beyond_the_codes_range(pv: str, tensor: Maker) -> None:
    """Values beyond 448 and 65504 are scaled, not cut off."""
    q, k, v = (tensor((1, 64, 1, 32), torch.float32) for _ in range(3))
    v = v * 1e6
    exact, _ = reference_attention(q.double(), k.double(), v.double())
    assert cosine(attention(q, k, v, pv=pv), exact) >= 0.999


def test_a_negative_factor(tensor: Maker) -> None:
    """A negative softmax_scale turns the scores round."""
    q, k, v = (tensor((1, 70, 1, 32), torch.float32) for _ in range(3))
    exact, _ = reference_attention(q.double(), k.double(), v.double(), softmax_scale=-0.3)
    assert cosine(attention(q, k, v, softmax_scale=-0.3), exact) >= 0.999


def test_no_keys_and_no_queries() -> None:
    """Without keys the output is 0 and the log-sum-exp -inf; without queries there is none of either."""
    q, k = torch.ones((1, 3, 2, 32)), torch.ones((1, 0, 1, 32))
    out, lse = attention(q, k, k, return_lse=True)
    assert torch.equal(torch.zeros_like(q), out)
    assert bool(torch.isneginf(lse).all())
    out, lse = attention(q[:, :0], q[:, :, :1], q[:, :, :1], return_lse=True)
    assert ((1, 0, 2, 32), (1, 2, 0)) == (tuple(out.shape), tuple(lse.shape))


def test_tiles_change_nothing_but_rounding(tensor: Maker) -> None:
    """Scales belong to rows and keys, not to tiles: another tile gives the same within the order of sums."""
    q, k, v = (tensor((1, 150, 1, 64), torch.float32) for _ in range(3))
    tile = Tile(block_m=32, block_n=32, warps=4, stages=2)
    first, second = (attention(q, k, v, tiles=tiles) for tiles in ({}, {"quantized-fp16": tile}))
    assert float((first - second).abs().max()) < 2e-3


def test_codes_are_within_half_a_step() -> None:
    """Each code stands for its value within half a step of its scale, e4m3 within half of its last bit."""
    q, k, v = (torch.randn((1, 130, 2, 32), generator=torch.Generator().manual_seed(1)) for _ in range(3))
    codes = quantize(q, k, v, pv="fp8", scale=0.5, k_mean=None)
    assert codes.q.dtype == codes.k.dtype == torch.int8
    found = (codes.k.float() * codes.k_scale[..., None, None]).flatten(2, 3)[:, :, :130].transpose(1, 2)
    step = codes.k_scale.repeat_interleave(64, 2)[:, :, :130].transpose(1, 2)[..., None]
    assert bool(((found - k).abs() <= step / 2 + 1e-6).all())
    assert bool((codes.k.flatten(2, 3)[:, :, 130:] == 0).all())
    values = codes.v.float().transpose(-2, -1).flatten(2, 3)[:, :, :130] * codes.v_scale[:, :, None]
    error = (values.transpose(1, 2) - v).abs()
    assert bool((error <= E4M3_ROUNDING * v.abs() + codes.v_scale[:, None] * 2.0**-10).all())


def test_the_operator_is_one() -> None:
    """What PyTorch asks of an operator holds: schema, fake tensors, tracing; its own check cannot add fp8 up."""
    x = torch.randn((1, 20, 1, 32), generator=torch.Generator().manual_seed(2))
    codes = quantize(x, x, x, pv="fp16", scale=1.0, k_mean=None)
    operator = torch.ops.l4guide.quantized_forward.default
    torch.library.opcheck(operator, (*codes, 20, True, torch.bfloat16, 89))


def test_what_is_refused() -> None:
    """An unknown product, a wide head, fp8 before sm_89 and an unfit tile are refused by name."""
    q = torch.zeros((1, 8, 1, 32))
    wide = torch.zeros((1, 8, 1, 264))
    with pytest.raises(UnsupportedError, match="pv 'int4' is unknown: use one of fp16, fp8"):
        attention(q, q, q, pv="int4")
    with pytest.raises(UnsupportedError, match="head_dim 264 is above 256"):
        attention(wide, wide, wide)
    with pytest.raises(UnsupportedError, match="sm_86 has no fp8, which needs sm_89: use pv='fp16'"):
        attention(q, q, q, pv="fp8", arch=86)
    with pytest.raises(UnsupportedError, match="sm_75 is not supported"):
        attention(q, q, q, arch=75)
    with pytest.raises(ShapeError, match="block_n 128 of quantized-fp16 must divide 64"):
        attention(q, q, q, tiles={"quantized-fp16": Tile(block_m=64, block_n=128, warps=4, stages=2)})
