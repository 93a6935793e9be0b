"""What goes wrong is said in one line before a launch, as an error that code for flash-attn catches."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import (
    flash_attn_func,
    flash_attn_kvpacked_func,
    flash_attn_qkvpacked_func,
    flash_attn_varlen_func,
    flash_attn_varlen_kvpacked_func,
    flash_attn_varlen_qkvpacked_func,
    flash_attn_with_kvcache,
)

attention: Callable[..., Any] = flash_attn_func
varlen: Callable[..., Any] = flash_attn_varlen_func
decode: Callable[..., Any] = flash_attn_with_kvcache
Arguments = dict[str, Any]


def zeros(*shape: int, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    """A tensor of zeros."""
    return torch.zeros(shape, dtype=dtype)


def integers(*values: Any, dtype: torch.dtype = torch.int32) -> torch.Tensor:
    """A tensor of integers."""
    return torch.tensor(values, dtype=dtype)


def refused(function: Callable[..., Any], arguments: Arguments) -> None:
    """Fails unless the call raises what both `except ValueError` and `except RuntimeError` catch, in one line."""
    with pytest.raises(ValueError, match=r"^\S.*$") as caught:
        function(**arguments)
    assert isinstance(caught.value, RuntimeError)
    assert "\n" not in str(caught.value)


PLAIN: Arguments = {"q": zeros(2, 4, 4, 16), "k": zeros(2, 6, 2, 16), "v": zeros(2, 6, 2, 16)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"q": zeros(4, 4, 16)},
        {"q": zeros(3, 4, 4, 16)},
        {"q": zeros(2, 4, 3, 16)},
        {"q": zeros(2, 4, 4, 24)},
        {"q": zeros(2, 4, 0, 16)},
        {"q": zeros(2, 4, 4, 16, dtype=torch.int32)},
        {"k": zeros(2, 5, 2, 16)},
        {"k": zeros(2, 6, 1, 16)},
        {"k": zeros(2, 6, 2, 16, dtype=torch.bfloat16)},
        {"v": zeros(1, 6, 2, 16)},
        {"v": zeros(2, 6, 2)},
        {"v": zeros(2, 6, 2, 16).to("meta")},
        {"v": zeros(2, 6, 2, 0)},
        {"q": zeros(2, 4, 4, 600), "k": zeros(2, 6, 2, 600)},
        {"dropout_p": 1.0},
        {"dropout_p": -0.5},
        {"window_size": (1, 2, 3)},
        {"alibi_slopes": torch.ones(3)},
        {"alibi_slopes": torch.ones(4, 2)},
        {"alibi_slopes": torch.ones(4).half()},
        {"learnable_sink": torch.ones(2)},
        {"learnable_sink": torch.ones(2, 4)},
        {"arch": 75},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_plain(wrong: Arguments) -> None:
    """Shapes, dtypes and devices that do not go together, and numbers out of range."""
    attention(**PLAIN)
    refused(attention, PLAIN | wrong)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (flash_attn_qkvpacked_func, {"qkv": zeros(2, 4, 2, 2, 16)}),
        (flash_attn_qkvpacked_func, {"qkv": zeros(4, 3, 2, 16)}),
        (flash_attn_kvpacked_func, {"q": PLAIN["q"], "kv": zeros(2, 6, 3, 2, 16)}),
        (flash_attn_kvpacked_func, {"q": PLAIN["q"], "kv": zeros(2, 2, 2, 16)}),
        (
            flash_attn_varlen_qkvpacked_func,
            {"qkv": zeros(4, 2, 2, 16), "cu_seqlens": integers(0, 4), "max_seqlen": 4},
        ),
        (
            flash_attn_varlen_kvpacked_func,
            {
                "q": zeros(4, 2, 16),
                "kv": zeros(4, 3, 2, 16),
                "cu_seqlens_q": integers(0, 4),
                "cu_seqlens_k": integers(0, 4),
                "max_seqlen_q": 4,
                "max_seqlen_k": 4,
            },
        ),
    ],
)
def test_packed(function: Callable[..., Any], arguments: Arguments) -> None:
    """Tensors that hold another number of parts, or lie differently."""
    refused(function, arguments)


VARLEN: Arguments = {
    "q": zeros(7, 4, 16),
    "k": zeros(9, 2, 16),
    "v": zeros(9, 2, 16),
    "cu_seqlens_q": integers(0, 3, 7),
    "cu_seqlens_k": integers(0, 5, 9),
    "max_seqlen_q": 4,
    "max_seqlen_k": 5,
}
PAGED: Arguments = VARLEN | {
    "k": zeros(4, 4, 2, 16),
    "v": zeros(4, 4, 2, 16),
    "block_table": integers([0, 1], [2, 3]),
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"q": zeros(1, 7, 4, 16)},
        {"k": zeros(9, 3, 16), "v": zeros(9, 3, 16)},
        {"v": zeros(8, 2, 16)},
        {"cu_seqlens_q": integers(0, 3, 7, dtype=torch.int64)},
        {"cu_seqlens_k": integers(0, 5, 9, dtype=torch.int64)},
        {"cu_seqlens_k": integers(0, 9)},
        {"cu_seqlens_q": integers([0, 3, 7])},
        {"cu_seqlens_q": integers(0, 5, 3)},
        {"cu_seqlens_q": integers(0, 3, 8)},
        {"cu_seqlens_k": integers(0, 5, 10)},
        {"max_seqlen_q": 3},
        {"max_seqlen_k": 4},
        {"alibi_slopes": torch.ones(3, 4)},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_varlen(wrong: Arguments) -> None:
    """Offsets that do not fit the tensors, or each other."""
    varlen(**VARLEN)
    refused(varlen, VARLEN | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"block_table": integers([0, 1], [2, 3], dtype=torch.int64)},
        {"block_table": integers([0, 1])},
        {"block_table": integers(0, 1)},
        {"block_table": integers([0], [2])},
        {"k": zeros(16, 2, 16), "v": zeros(16, 2, 16)},
    ],
)
def test_varlen_pages(wrong: Arguments) -> None:
    """Tables of another shape or type, or too short for the keys that they should hold."""
    varlen(**PAGED)
    refused(varlen, PAGED | wrong)


@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_no_gradient_through_pages(name: str) -> None:
    """A backward pass through a block table is refused by name rather than left out."""
    tensor = PAGED[name].clone().requires_grad_()
    with pytest.raises(NotImplementedError, match="block_table"):
        varlen(**(PAGED | {name: tensor}))
    with torch.no_grad():
        varlen(**(PAGED | {name: tensor}))


def cached(**changes: Any) -> Arguments:
    """A call that appends two rotated keys behind three."""
    arguments = {
        "q": zeros(2, 2, 4, 32),
        "k_cache": zeros(2, 8, 2, 32),
        "v_cache": zeros(2, 8, 2, 32),
        "k": zeros(2, 2, 2, 32),
        "v": zeros(2, 2, 2, 32),
        "rotary_cos": zeros(8, 8),
        "rotary_sin": zeros(8, 8),
        "cache_seqlens": integers(3, 0),
    }
    return {name: value for name, value in (arguments | changes).items() if value is not None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": None},
        {"v": None},
        {"k": zeros(1, 2, 2, 32)},
        {"k": zeros(2, 3, 2, 32)},
        {"v": zeros(2, 2, 2, 16)},
        {"k": zeros(2, 2, 2, 32, dtype=torch.float32)},
        {"k": None, "v": None},
        {"rotary_sin": None},
        {"rotary_sin": zeros(8, 4)},
        {"rotary_cos": zeros(8, 24), "rotary_sin": zeros(8, 24)},
        {"rotary_cos": zeros(4, 8), "rotary_sin": zeros(4, 8)},
        {"rotary_cos": zeros(8, 8, dtype=torch.float32), "rotary_sin": zeros(8, 8, dtype=torch.float32)},
        {"q": zeros(2, 6, 4, 32), "cache_seqlens": integers(6, 0), "causal": True},
        {"cache_seqlens": integers(7, 0)},
        {"cache_seqlens": integers(-1, 0)},
        {"cache_seqlens": 7},
        {"cache_seqlens": integers(3)},
        {"cache_seqlens": torch.ones(2)},
        {"q": zeros(3, 2, 4, 32)},
        {"v_cache": zeros(2, 7, 2, 32)},
        {"cache_batch_idx": integers(0)},
        {"cache_batch_idx": torch.zeros(2)},
        {"cache_batch_idx": integers(0, 2)},
        {"cache_leftpad": integers(0)},
        {"block_table": integers([0], [1], dtype=torch.int64)},
        {"block_table": integers([0])},
        {"num_splits": -1},
        {"num_splits": 129},
        {"alibi_slopes": torch.ones(3, 4)},
        {"learnable_sink": torch.ones(3)},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_cache(wrong: Arguments) -> None:
    """New keys, angles, lengths and indices that do not fit the cache; and the cache is left as it was."""
    decode(**cached())
    arguments = cached(**wrong)
    for name in ("k_cache", "v_cache"):
        arguments[name] = torch.full_like(arguments[name], 7)
    refused(decode, arguments)
    assert all(bool((arguments[name] == 7).all()) for name in ("k_cache", "v_cache"))


@pytest.mark.parametrize("name", ["cache_leftpad", "cache_batch_idx"])
def test_pages_say_where_everything_lies(name: str) -> None:
    """With a block table, as in flash-attn, there is no left padding and no other index."""
    arguments = cached(block_table=integers([0], [1]), **{name: integers(0, 1)})
    with pytest.raises((NotImplementedError, ValueError), match="block_table"):
        decode(**arguments)
