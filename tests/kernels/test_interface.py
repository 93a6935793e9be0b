"""What the public functions refuse, and that they carry flash-attn's signatures."""

import inspect
from collections.abc import Callable
from typing import Any

import l4guide_kernels
import pytest
import torch
from l4guide_kernels import compile_ahead, flash_attn_func, flash_attn_with_kvcache, interpreted
from l4guide_kernels.cross import CompileError
from l4guide_kernels.launch import aligned
from l4guide_kernels.tiles import Tile, UnsupportedError


def zeros(*shape: int, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    """A tensor of zeros."""
    return torch.zeros(shape, dtype=dtype)


attention: Callable[..., Any] = flash_attn_func
decode: Callable[..., Any] = flash_attn_with_kvcache
ONE = (1, 4, 2, 16)


def test_argument_order_and_defaults_are_flash_attns() -> None:
    """Code written for flash-attn 2.8 passes the same arguments in the same places."""
    positional = {
        name: parameter.default
        for name, parameter in inspect.signature(flash_attn_func).parameters.items()
        if parameter.kind is not parameter.KEYWORD_ONLY
    }
    assert list(positional) == [
        *("q", "k", "v", "dropout_p", "softmax_scale", "causal", "window_size", "softcap"),
        *("alibi_slopes", "deterministic", "return_attn_probs"),
    ]
    assert list(positional.values())[3:] == [0.0, None, False, (-1, -1), 0.0, None, False, False]
    cached = inspect.signature(flash_attn_with_kvcache).parameters
    assert list(cached)[:19] == [
        *(
            "q",
            "k_cache",
            "v_cache",
            "k",
            "v",
            "rotary_cos",
            "rotary_sin",
            "cache_seqlens",
            "cache_batch_idx",
        ),
        *("cache_leftpad", "block_table", "softmax_scale", "causal", "window_size", "softcap"),
        *("rotary_interleaved", "alibi_slopes", "num_splits", "return_softmax_lse"),
    ]


@pytest.mark.parametrize(
    ("q", "k", "v", "message"),
    [
        (zeros(4, 2, 16), zeros(*ONE), zeros(*ONE), r"q has shape \(4, 2, 16\): it must be \(batch"),
        (zeros(*ONE), zeros(1, 4, 2, 32), zeros(1, 4, 2, 32), "must have the same batch and head_dim"),
        (
            zeros(*ONE),
            zeros(*ONE),
            zeros(1, 5, 2, 16),
            "may differ in head_dim only: give one value per key",
        ),
        (zeros(*ONE), zeros(1, 4, 3, 16), zeros(1, 4, 3, 16), "2 query heads cannot share 3 KV heads"),
        (zeros(*ONE), zeros(*ONE).float(), zeros(*ONE), "k is torch.float32 but q is torch.float16"),
        (
            zeros(*ONE),
            zeros(*ONE, dtype=torch.float16).to("meta"),
            zeros(*ONE),
            "k is on meta but q is on cpu",
        ),
    ],
)
def test_tensors_that_do_not_go_together(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, message: str
) -> None:
    """Wrong shapes, dtypes and devices get one line that says what is wrong."""
    with pytest.raises(ValueError, match=message) as caught:
        attention(q, k, v)
    assert "\n" not in str(caught.value)


def test_dtypes_and_heads_that_no_kernel_serves() -> None:
    """Other dtypes and wider heads are refused with what is served."""
    with pytest.raises(UnsupportedError, match="cast it to one of float16, bfloat16, float32"):
        attention(*(zeros(*ONE, dtype=torch.int32) for _ in range(3)))
    with pytest.raises(UnsupportedError, match="head_dim 584 is outside 1 to 576"):
        attention(*(zeros(1, 4, 2, 584) for _ in range(3)))


def test_lengths_outside_the_cache() -> None:
    """A length that would read past the cache is refused."""
    for lengths in (5, torch.tensor([5], dtype=torch.int32)):
        with pytest.raises(ValueError, match="from 0 to 4"):
            decode(zeros(*ONE), zeros(*ONE), zeros(*ONE), cache_seqlens=lengths)
    with pytest.raises(ValueError, match=r"must be \(1,\) integers"):
        decode(zeros(*ONE), zeros(*ONE), zeros(*ONE), cache_seqlens=torch.ones(1))
    with pytest.raises(ValueError, match="num_splits 129 must be from 0 to 128"):
        decode(zeros(*ONE), zeros(*ONE), zeros(*ONE), num_splits=129)


def test_tiles_that_triton_cannot_take() -> None:
    """A caller's tile is checked before the launch."""
    good, odd = (Tile(block_m=size, block_n=16, warps=4, stages=2) for size in (16, 48))
    with pytest.raises(ValueError, match="block size 48 of forward must be a power of two"):
        attention(zeros(*ONE), zeros(*ONE), zeros(*ONE), tiles={"forward": odd})
    with pytest.raises(ValueError, match="kernel 'fwd' is unknown"):
        attention(zeros(*ONE), zeros(*ONE), zeros(*ONE), tiles={"fwd": good})


def test_returned_values() -> None:
    """With `return_attn_probs` come the log-sum-exp and an empty third value, else the output alone."""
    q = zeros(1, 4, 2, 16)
    out = attention(q, q, q)
    assert isinstance(out, torch.Tensor)
    assert q.dtype == out.dtype
    _, lse, probabilities = attention(q, q, q, return_attn_probs=True)
    assert (1, 2, 4) == lse.shape
    assert lse.dtype == torch.float32
    torch.testing.assert_close(torch.full_like(lse, 4.0).log(), lse)
    assert probabilities.numel() == 0


def test_aligned_copies_only_what_it_must() -> None:
    """Rows of 16-byte multiples are taken as they are; others are copied."""
    fits = zeros(2, 8, 3, 32)[:, 1:5]
    assert aligned(fits) is fits
    for x in (
        zeros(2, 8, 3, 33)[..., :32],
        zeros(1, 9)[:, 1:9].view(1, 1, 1, 8),
        zeros(1, 1, 8, 8).transpose(2, 3),
    ):
        copy = aligned(x)
        assert copy is not x
        assert copy.is_contiguous()


def test_compiling_while_interpreting_is_refused() -> None:
    """A process that interprets Triton says so instead of failing inside the compiler."""
    assert interpreted()
    with pytest.raises(CompileError, match="TRITON_INTERPRET=1"):
        compile_ahead("forward", head_dim=64, dtype="fp16", arch=89)


def test_every_public_name_is_there() -> None:
    """All of `__all__` can be had, and nothing else is made up."""
    assert all(hasattr(l4guide_kernels, name) for name in l4guide_kernels.__all__)
    with pytest.raises(AttributeError, match="no attribute 'flash_attn'"):
        _ = l4guide_kernels.flash_attn
