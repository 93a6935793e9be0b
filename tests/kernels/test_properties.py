"""What holds of attention for any shape, tried on shapes that hypothesis makes up."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from l4guide_kernels import flash_attn_func, flash_attn_with_kvcache

attention: Callable[..., Any] = flash_attn_func
decode: Callable[..., Any] = flash_attn_with_kvcache
Maker = Callable[..., torch.Tensor]
few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
lengths = st.one_of(st.sampled_from([0, 1, 2, 31, 37, 64, 67]), st.integers(0, 80))
short = st.one_of(st.sampled_from([0, 1, 2, 31, 37]), st.integers(0, 48))
bounds = st.one_of(st.just(-1), st.integers(0, 50))
groups = st.sampled_from([(1, 1), (2, 1), (3, 1), (4, 2)])


@few
@given(seqlen_q=lengths, seqlen_k=lengths, heads=groups, head_dim=st.integers(1, 80), causal=st.booleans())
def test_any_shape_agrees_with_fp64(
    tensor: Maker,
    attends: Callable[..., None],
    seqlen_q: int,
    seqlen_k: int,
    heads: tuple[int, int],
    head_dim: int,
    causal: bool,
) -> None:
    """Output and gradients stay within twice PyTorch's own error."""
    q = tensor((1, seqlen_q, heads[0], head_dim), torch.float16)
    k, v = (tensor((1, seqlen_k, heads[1], head_dim), torch.float16) for _ in range(2))
    attends({"q": q, "k": k, "v": v}, causal=causal)


@settings(few, max_examples=12)
@given(
    lengths=st.tuples(st.integers(1, 2), short, short),
    heads=st.sampled_from([(1, 1), (2, 2), (3, 1)]),
    dims=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32]),
    mask=st.fixed_dictionaries({"causal": st.booleans(), "window_size": st.tuples(bounds, bounds)}),
    softcap=st.sampled_from([0.0, 0.7, 10.0]),
    alibi=st.sampled_from([None, "heads", "sequences and heads"]),
    has_sink=st.booleans(),
)
def test_any_features_agree_with_fp64(
    tensor: Maker,
    slopes: Maker,
    attends: Callable[..., None],
    lengths: tuple[int, int, int],
    heads: tuple[int, int],
    dims: tuple[int, int],
    dtype: torch.dtype,
    mask: dict[str, Any],
    softcap: float,
    alibi: str | None,
    has_sink: bool,
) -> None:
    """The same for every mixture of masks, softcap, ALiBi and sinks, whatever the lengths and widths."""
    batch, seqlen_q, seqlen_k = lengths
    tensors = {
        "q": tensor((batch, seqlen_q, heads[0], dims[0]), dtype),
        "k": tensor((batch, seqlen_k, heads[1], dims[0]), dtype),
        "v": tensor((batch, seqlen_k, heads[1], dims[1]), dtype),
    }
    if has_sink:
        tensors["learnable_sink"] = torch.arange(float(heads[0])) - 1
    if alibi is not None:
        mask = mask | {"alibi_slopes": slopes(heads[0]) if alibi == "heads" else slopes(batch, heads[0])}
    attends(tensors, **mask, softcap=softcap)


@few
@given(head_dim=st.integers(129, 512), v_dim=st.integers(1, 512), heads=groups, causal=st.booleans())
def test_any_wide_head_agrees_with_fp64(
    tensor: Maker,
    attends: Callable[..., None],
    head_dim: int,
    v_dim: int,
    heads: tuple[int, int],
    causal: bool,
) -> None:
    """The same for heads of up to 512 columns, each cut into blocks."""
    q = tensor((1, 9, heads[0], head_dim), torch.float16)
    k, v = (tensor((1, 20, heads[1], dim), torch.float16) for dim in (head_dim, v_dim))
    attends({"q": q, "k": k, "v": v}, causal=causal)


@few
@given(cut=st.integers(0, 60), seqlen_q=st.integers(1, 20))
def test_keys_may_be_split_anywhere(tensor: Maker, cut: int, seqlen_q: int) -> None:
    """Two parts of the keys, weighed by their log-sum-exp, make the whole."""
    q, k, v = (tensor((1, n, 2, 24), torch.float32) for n in (seqlen_q, 60, 60))
    whole, lse, _ = attention(q, k, v, return_attn_probs=True)
    parts = [attention(q, k[:, s], v[:, s], return_attn_probs=True) for s in (slice(0, cut), slice(cut, 60))]
    weights = [torch.exp(part[1] - lse).transpose(1, 2)[..., None] for part in parts]
    merged = sum(weight * part[0] for weight, part in zip(weights, parts, strict=True))
    torch.testing.assert_close(whole, merged, atol=2e-6, rtol=1e-5)


@few
@given(order=st.permutations(range(33)))
def test_the_order_of_keys_does_not_matter(tensor: Maker, order: list[int]) -> None:
    """Without a causal mask keys and values may be permuted together."""
    q, k, v = (tensor((1, n, 1, 16), torch.float32) for n in (9, 33, 33))
    torch.testing.assert_close(
        attention(q, k, v), attention(q, k[:, order], v[:, order]), atol=2e-6, rtol=1e-5
    )


@few
@given(seqlens=st.lists(st.integers(0, 70), min_size=2, max_size=3), splits=st.integers(1, 5))
def test_sequences_of_a_batch_do_not_meet(tensor: Maker, seqlens: list[int], splits: int) -> None:
    """Each sequence of a decoding batch gets the bits that it gets alone."""
    q, k, v = (tensor((len(seqlens), n, 2, 16), torch.float16) for n in (1, 70, 70))
    together = decode(q, k, v, cache_seqlens=torch.tensor(seqlens, dtype=torch.int32), num_splits=splits)
    for i, length in enumerate(seqlens):
        one = slice(i, i + 1)
        assert torch.equal(
            decode(q[one], k[one], v[one], cache_seqlens=length, num_splits=splits), together[one]
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_constant_values_come_out_as_they_are(dtype: torch.dtype, tensor: Maker) -> None:
    """Weights sum to one: where all values of a column are equal, so is the output, to the last bit but one."""
    q, k = (tensor((1, 50, 1, 32), dtype) for _ in range(2))
    v = tensor((1, 1, 1, 32), dtype).expand(1, 50, 1, 32)
    torch.testing.assert_close(v, attention(q, k, v, causal=True), atol=0, rtol=2 * torch.finfo(dtype).eps)
