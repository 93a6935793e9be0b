"""Decoding from a cache of 8-bit codes, against fp64 on what the codes stand for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import UnsupportedError, flash_attn_with_kvcache, reference_attention
from l4guide_kernels.checks import ShapeError

decode: Callable[..., Any] = flash_attn_with_kvcache
Check = Callable[..., None]
LARGEST = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}
CODES = tuple(LARGEST)
BATCH, CAPACITY, PAGE = 3, 96, 16
LENGTHS = torch.tensor([96, 1, 50], dtype=torch.int32)


def coded(x: torch.Tensor, code: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of a cache and the factor of each head of each sequence; NaN, or the largest code, behind the last key."""
    factor = x.abs().amax((1, 3)) / LARGEST[code]
    codes = x / factor[:, None, :, None]
    codes = (codes.round() if code is torch.int8 else codes).clamp(-LARGEST[code], LARGEST[code])
    unused = torch.arange(CAPACITY)[None, :] >= LENGTHS[:, None]
    codes = codes.masked_fill(unused[..., None, None], 127.0 if code is torch.int8 else float("nan"))
    return codes.to(code), factor


def paged(x: torch.Tensor) -> torch.Tensor:
    """A cache cut into pages, the sequences' one after another."""
    return x.reshape(BATCH * CAPACITY // PAGE, PAGE, *x.shape[2:])


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    ("head_dims", "heads", "seqlen_q", "pages", "options"),
    [
        ((64, 64), (4, 2), 1, True, {}),
        ((80, 128), (2, 2), 2, False, {"num_splits": 3}),
        ((32, 32), (8, 1), 20, True, {"softcap": 5.0, "window_size": (30, 0)}),
    ],
)
def test_codes_count_as_what_they_stand_for(
    code: torch.dtype,
    dtype: torch.dtype,
    head_dims: tuple[int, int],
    heads: tuple[int, int],
    seqlen_q: int,
    pages: bool,
    options: dict[str, Any],
    generator: torch.Generator,
    within: Check,
) -> None:
    """Output and log-sum-exp are those of the decoded cache, as near as decoding a 16-bit one comes."""
    q = torch.randn((BATCH, seqlen_q, heads[0], head_dims[0]), generator=generator).to(dtype)
    caches, factors, decoded = [], [], []
    for head_dim, spread in zip(head_dims, (2.0, 1.0), strict=True):
        codes, factor = coded(
            torch.randn((BATCH, CAPACITY, heads[1], head_dim), generator=generator) * spread, code
        )
        caches.append(codes)
        factors.append(factor)
        decoded.append(codes.double() * factor[:, None, :, None].double())
    arguments = dict(options)
    if pages:
        caches = [paged(cache) for cache in caches]
        table = torch.arange(BATCH * CAPACITY // PAGE, dtype=torch.int32).view(BATCH, -1)
        arguments["block_table"] = table
    out, lse = decode(
        *(q, *caches),
        cache_seqlens=LENGTHS,
        causal=True,
        k_descale=factors[0],
        v_descale=factors[1],
        return_softmax_lse=True,
        **arguments,
    )
    known = {name: value for name, value in options.items() if name != "num_splits"}
    exact, theirs = (
        reference_attention(
            q.to(to), *(x.to(to) for x in decoded), causal=True, cache_seqlens=LENGTHS, **known
        )
        for to in (torch.float64, dtype)
    )
    within(out, theirs[0], exact[0], dtype, "out")
    within(lse, theirs[1], exact[1], dtype, "lse")


@pytest.mark.parametrize("code", CODES)
def test_factors_by_head_or_none(code: torch.dtype, generator: torch.Generator) -> None:
    """Factors of (kv_heads,) serve every sequence, and none are ones."""
    q = torch.randn((BATCH, 1, 4, 32), generator=generator)
    k, v = (torch.randint(-8, 9, (BATCH, CAPACITY, 2, 32), generator=generator).to(code) for _ in range(2))
    one = torch.ones(2)
    plain = decode(q, k, v, softmax_scale=0.01)
    assert torch.equal(plain, decode(q, k, v, softmax_scale=0.01, k_descale=one, v_descale=one))
    scaled = decode(q, k, v, softmax_scale=0.02, k_descale=one / 2, v_descale=one * 4)
    torch.testing.assert_close(4 * plain, scaled)


def test_what_is_refused() -> None:
    """What an 8-bit cache cannot do is said with a way out."""
    q, cache = torch.zeros((1, 1, 2, 32)), torch.zeros((1, 16, 2, 32), dtype=torch.int8)
    odd = torch.zeros((1, 16, 2, 40), dtype=torch.int8)
    fp8, plain, one = cache.to(torch.float8_e4m3fn), cache.float(), torch.ones(2)
    with pytest.raises(UnsupportedError, match=r"sm_80 has no fp8.*use a cache of int8"):
        decode(q, fp8, fp8, arch=80)
    with pytest.raises(
        UnsupportedError, match=r"head_dim 40 of a cache of torch.int8 must be a multiple of 16"
    ):
        decode(torch.zeros((1, 1, 2, 40)), odd, odd)
    with pytest.raises(NotImplementedError, match="write them into the cache before the call"):
        decode(q, cache, cache, q, q, cache_seqlens=3)
    with pytest.raises(ShapeError, match=r"k_cache is torch.int8 but q is torch.float32"):
        decode(q, cache, fp8)
    with pytest.raises(ShapeError, match=r"k_descale with a cache of torch.float32"):
        decode(q, plain, plain, k_descale=one)
    with pytest.raises(ShapeError, match=r"v_descale has shape \(3,\): it must be \(2,\) or \(1, 2\)"):
        decode(q, cache, cache, v_descale=torch.ones(3))
    with pytest.raises(ShapeError, match=r"k_descale is torch.float64"):
        decode(q, cache, cache, k_descale=one.double())
