"""What changes nothing: the order of pages, of sequences and of heads, where keys are cut, and zero options."""

from collections.abc import Callable
from functools import partial
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from l4guide_kernels import flash_attn_func, flash_attn_varlen_func, flash_attn_with_kvcache

attention: Callable[..., Any] = flash_attn_func
varlen: Callable[..., Any] = flash_attn_varlen_func
decode: Callable[..., Any] = flash_attn_with_kvcache
Maker = Callable[..., torch.Tensor]
few = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
close = partial(torch.testing.assert_close, atol=2e-6, rtol=1e-5)


@few
@given(order=st.permutations(range(10)), splits=st.integers(1, 3))
def test_the_order_of_pages_does_not_matter(tensor: Maker, order: list[int], splits: int) -> None:
    """Pages may lie in any order, as long as the table says so: the same bits come out."""
    q = tensor((2, 1, 2, 32), torch.float16)
    k, v = (tensor((10, 16, 1, 32), torch.float16) for _ in range(2))
    table = torch.arange(10, dtype=torch.int32).view(2, 5)
    lengths = torch.tensor([71, 40], dtype=torch.int32)
    options = {"cache_seqlens": lengths, "num_splits": splits, "return_softmax_lse": True}
    expected = decode(q, k, v, block_table=table, **options)
    places = torch.tensor(order, dtype=torch.int32)
    moved = [torch.empty_like(x).index_copy_(0, places.long(), x) for x in (k, v)]
    found = decode(q, *moved, block_table=places[table.long()], **options)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


@few
@given(page=st.integers(1, 80), splits=st.integers(1, 3))
def test_pages_or_none(tensor: Maker, page: int, splits: int) -> None:
    """A cache cut into pages of any size gives what it gives in one piece."""
    q = tensor((1, 2, 2, 32), torch.float32)
    k, v = (tensor((1, 75, 1, 32), torch.float32) for _ in range(2))
    blocks = -(-75 // page)
    room = torch.nn.functional.pad
    pages = [
        room(x, (0, 0, 0, 0, 0, blocks * page - 75), value=torch.nan).view(blocks, page, 1, 32)
        for x in (k, v)
    ]
    options = {"cache_seqlens": 75, "causal": True, "num_splits": splits}
    expected = decode(q, k, v, **options)
    found = decode(q, *pages, block_table=torch.arange(blocks, dtype=torch.int32)[None], **options)
    close(expected, found)


@few
@given(splits=st.sampled_from([2, 3, 5, 30]), length=st.integers(0, 130), seqlen_q=st.integers(1, 3))
def test_any_number_of_splits(tensor: Maker, splits: int, length: int, seqlen_q: int) -> None:
    """However many parts the keys are cut into, and however many of them are empty."""
    q = tensor((1, seqlen_q, 2, 16), torch.float32)
    k, v = (tensor((1, 131, 1, 16), torch.float32) for _ in range(2))
    options = {"cache_seqlens": length, "window_size": (90, 0), "return_softmax_lse": True}
    options["learnable_sink"] = torch.tensor([0.0, 2.0])
    whole = decode(q, k, v, num_splits=1, **options)
    for expected, found in zip(whole, decode(q, k, v, num_splits=splits, **options), strict=True):
        close(expected, found)


@settings(few, max_examples=3)
@given(order=st.permutations(range(4)))
def test_the_order_of_sequences_does_not_matter(tensor: Maker, order: list[int]) -> None:
    """Sequences of a batch, of any lengths, may be permuted: the same bits come out."""
    q = tensor((4, 3, 1, 16), torch.float16)
    k, v = (tensor((4, 40, 1, 16), torch.float16) for _ in range(2))
    lengths = torch.tensor([40, 0, 1, 33], dtype=torch.int32)
    slopes = torch.arange(4).view(4, 1) / 10
    options = {"causal": True, "num_splits": 2}
    expected = decode(q, k, v, cache_seqlens=lengths, alibi_slopes=slopes, **options)[order]
    permuted = (x[order] for x in (q, k, v))
    found = decode(*permuted, cache_seqlens=lengths[order], alibi_slopes=slopes[order], **options)
    assert torch.equal(expected, found)
    expected = attention(q, k, v, alibi_slopes=slopes)[order]
    assert torch.equal(expected, attention(q[order], k[order], v[order], alibi_slopes=slopes[order]))


@few
@given(order=st.permutations(range(3)))
def test_the_order_of_heads_does_not_matter(tensor: Maker, order: list[int]) -> None:
    """KV heads may be permuted with the query heads that share them."""
    q, (k, v) = tensor((1, 33, 6, 16), torch.float16), (tensor((1, 40, 3, 16), torch.float16) for _ in "kv")
    slopes, sinks = torch.arange(6) / 10, torch.arange(6.0) - 3
    queries = [2 * head + i for head in order for i in range(2)]
    options = {"causal": True, "window_size": (20, 0)}
    expected = attention(q, k, v, alibi_slopes=slopes, learnable_sink=sinks, **options)[:, :, queries]
    permuted = {"alibi_slopes": slopes[queries], "learnable_sink": sinks[queries]}
    found = attention(q[:, :, queries], k[:, :, order], v[:, :, order], **permuted, **options)
    assert torch.equal(expected, found)


@settings(few, max_examples=3)
@given(order=st.permutations(range(5)))
def test_the_order_of_a_varlen_batch_does_not_matter(tensor: Maker, order: list[int]) -> None:
    """Sequences laid end to end may be laid in any order, their gradients with them."""
    sizes = [20, 0, 1, 5, 33]
    q, k, v = ([tensor((size, 1, 16), torch.float16) for size in sizes] for _ in range(3))

    def run(chosen: list[int]) -> dict[int, tuple[torch.Tensor, ...]]:
        lengths = [sizes[i] for i in chosen]
        ends = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
        leaves = [torch.cat([x[i] for i in chosen]).requires_grad_() for x in (q, k, v)]
        out = varlen(*leaves, ends, ends, 40, 40, causal=True)
        results = (out, *torch.autograd.grad(out.sum(), leaves))
        return dict(zip(chosen, zip(*(x.split(lengths) for x in results), strict=True), strict=True))

    expected, found = run(list(range(5))), run(order)
    for i in range(5):
        assert all(torch.equal(one, other) for one, other in zip(expected[i], found[i], strict=True))


@pytest.mark.parametrize("dropout_p", [0.0, 0.4])
def test_linear_in_v(dropout_p: float, tensor: Maker) -> None:
    """Attention of a sum of values is the sum of the attentions, whatever features are on."""
    q, k, v, w = (tensor((1, 40, 2, 32), torch.float32) for _ in range(4))
    options = {"window_size": (20, 3), "softcap": 3.0, "alibi_slopes": torch.tensor([0.1, 0.4])}

    def attend(values: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(7)
        out: torch.Tensor = attention(q, k, values, dropout_p, **options, learnable_sink=torch.ones(2))
        return out

    torch.testing.assert_close(attend(v) + 2 * attend(w), attend(v + 2 * w), atol=1e-5, rtol=1e-5)


def test_decoding_is_linear_in_v(tensor: Maker) -> None:
    """The same for a cache, across splits."""
    q, k = tensor((1, 2, 2, 32), torch.float32), tensor((1, 90, 2, 32), torch.float32)
    v, w = (tensor((1, 90, 2, 32), torch.float32) for _ in range(2))
    together = decode(q, k, v + 2 * w, num_splits=3)
    apart = decode(q, k, v, num_splits=3) + 2 * decode(q, k, w, num_splits=3)
    torch.testing.assert_close(apart, together, atol=1e-5, rtol=1e-5)


def test_options_that_say_nothing(tensor: Maker) -> None:
    """Slopes of zero, and a softcap far above every score, change no more than rounding does."""
    q, k, v = (tensor((1, 40, 2, 32), torch.float32) for _ in range(3))
    plain = attention(q, k, v, causal=True)
    close(plain, attention(q, k, v, causal=True, alibi_slopes=torch.zeros(2)))
    # A tanh near 0 is exact to fp32's rounding of 1, so the capped score to that of the cap.
    capped = attention(q, k, v, causal=True, softcap=1e3)
    torch.testing.assert_close(plain, capped, atol=1e-3, rtol=1e-3)


def test_scores_may_be_shifted(tensor: Maker) -> None:
    """A vector added to every key adds the same to all scores of a query, which softmax does not see."""
    q, k, v = (tensor((1, 40, 2, 32), torch.float32) for _ in range(3))
    shift = tensor((1, 1, 2, 32), torch.float32)
    torch.testing.assert_close(
        attention(q, k, v, causal=True), attention(q, k + shift, v, causal=True), atol=1e-5, rtol=1e-5
    )


def test_a_window_is_a_cut(tensor: Maker) -> None:
    """A query with a window of n keys gets what it gets from these n keys alone."""
    q, k, v = (tensor((1, 50, 2, 16), torch.float32) for _ in range(3))
    out = attention(q, k, v, window_size=(9, 4))
    for i in (0, 5, 20, 47, 49):
        keys = slice(max(i - 9, 0), i + 5)
        close(attention(q[:, i : i + 1], k[:, keys], v[:, keys]), out[:, i : i + 1])


def test_groups_are_repeated_heads(tensor: Maker) -> None:
    """Shared KV heads give what copies of them give, and their gradient is the copies' sum."""
    q, dout = (tensor((1, 33, 4, 16), torch.float32) for _ in range(2))
    k, v = (tensor((1, 40, 2, 16), torch.float32).requires_grad_() for _ in range(2))
    shared = attention(q, k, v, causal=True)
    copied = attention(q, *(x.repeat_interleave(2, 2) for x in (k, v)), causal=True)
    close(copied, shared)
    for expected, found in zip(
        torch.autograd.grad(copied, (k, v), dout), torch.autograd.grad(shared, (k, v), dout), strict=True
    ):
        torch.testing.assert_close(expected, found, atol=1e-5, rtol=1e-5)


def test_step_by_step_is_all_at_once(tensor: Maker) -> None:
    """A prompt appended token by token gives what it gives as a whole."""
    q, k, v = (tensor((1, 9, 2, 32), torch.float32) for _ in range(3))
    angles = torch.arange(12.0)[:, None] * torch.tensor([1.0, 0.1, 0.01, 0.001] * 4)
    rotary = {"rotary_cos": angles.cos(), "rotary_sin": angles.sin(), "causal": True}
    whole = [torch.zeros(1, 12, 2, 32) for _ in range(2)]
    steps = [torch.zeros(1, 12, 2, 32) for _ in range(2)]
    together = decode(q, *whole, k, v, **rotary, cache_seqlens=0)
    for i in range(9):
        one = slice(i, i + 1)
        out = decode(q[:, one], *steps, k[:, one], v[:, one], **rotary, cache_seqlens=i)
        close(together[:, one], out)
    for expected_cache, cache in zip(whole, steps, strict=True):
        torch.testing.assert_close(expected_cache, cache)
