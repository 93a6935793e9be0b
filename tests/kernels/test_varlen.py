"""Batches of sequences of any length, laid end to end, against fp64 one sequence at a time."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from architectures import each_tiling
from hypothesis import HealthCheck, given, settings
from l4guide_kernels import (
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_varlen_kvpacked_func,
    flash_attn_varlen_qkvpacked_func,
    reference_attention,
)

attention: Callable[..., Any] = flash_attn_func
varlen: Callable[..., Any] = flash_attn_varlen_func
qkvpacked: Callable[..., Any] = flash_attn_varlen_qkvpacked_func
kvpacked: Callable[..., Any] = flash_attn_varlen_kvpacked_func
Maker = Callable[..., torch.Tensor]
Check = Callable[..., None]
Tensors = dict[str, torch.Tensor]
Pairs = list[tuple[int, int]]
HALVES = (torch.float16, torch.bfloat16)
RAGGED = [(17, 33), (0, 5), (5, 0), (1, 1), (0, 0), (40, 13)]
few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def ends(lengths: list[int]) -> torch.Tensor:
    """Where each sequence begins, and the last one ends."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)


def layout(pairs: Pairs) -> dict[str, Any]:
    """The arguments that say where sequences of so many queries and keys lie."""
    queries, keys = ([pair[i] for pair in pairs] for i in (0, 1))
    return {
        "cu_seqlens_q": ends(queries),
        "cu_seqlens_k": ends(keys),
        "max_seqlen_q": max(queries),
        "max_seqlen_k": max(keys),
    }


def one_by_one(pairs: Pairs, tensors: Tensors, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The oracle's output (total_q, heads, head_dim) and log-sum-exp (heads, total_q)."""
    q, k, v = (tensors[name] for name in "qkv")
    at = layout(pairs)
    slopes = options.pop("alibi_slopes", None)
    outs, sums = [], []
    for i in range(len(pairs)):
        queries = slice(*at["cu_seqlens_q"][i : i + 2].tolist())
        keys = slice(*at["cu_seqlens_k"][i : i + 2].tolist())
        own = slopes[i] if slopes is not None and slopes.dim() > 1 else slopes
        out, lse = reference_attention(
            *(q[None, queries], k[None, keys], v[None, keys]),
            alibi_slopes=own,
            learnable_sink=tensors.get("learnable_sink"),
            **options,
        )
        outs.append(out[0])
        sums.append(lse[0])
    return torch.cat(outs), torch.cat(sums, -1)


@pytest.fixture
def inputs(tensor: Maker) -> Callable[..., Tensors]:
    """Makes the tensors of sequences of so many queries and keys."""

    def make(
        pairs: Pairs,
        dtype: torch.dtype = torch.float16,
        heads: tuple[int, int] = (2, 1),
        head_dim: int = 16,
        v_dim: int | None = None,
    ) -> Tensors:
        total_q, total_k = (sum(pair[i] for pair in pairs) for i in (0, 1))
        return {
            "q": tensor((total_q, heads[0], head_dim), dtype),
            "k": tensor((total_k, heads[1], head_dim), dtype),
            "v": tensor((total_k, heads[1], v_dim or head_dim), dtype),
        }

    return make


@pytest.fixture
def check(agrees: Check) -> Check:
    """Holds one call and its gradients against the oracle."""

    def hold(pairs: Pairs, tensors: Tensors, launch: dict[str, Any] | None = None, **options: object) -> None:
        def found(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            kwargs = layout(pairs) | options | (launch or {})
            out, lse, _ = varlen(**leaves, **kwargs, return_attn_probs=True)
            return out, lse

        agrees(found, lambda **leaves: one_by_one(pairs, leaves, **options), tensors, f"{pairs} {options}")

    return hold


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32], ids=str)
@pytest.mark.parametrize("causal", [True, False])
def test_ragged_batches(causal: bool, dtype: torch.dtype, inputs: Any, check: Check) -> None:
    """Sequences of any lengths, empty ones included, with more queries than keys and with fewer."""
    check(RAGGED, inputs(RAGGED, dtype), causal=causal)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_every_feature_at_once(dtype: torch.dtype, inputs: Any, slopes: Maker, check: Check) -> None:
    """Windows, softcap, ALiBi by sequence, sinks and v's own width hold inside each sequence."""
    tensors = inputs(RAGGED, dtype, head_dim=40, v_dim=24)
    tensors["learnable_sink"] = torch.tensor([0.0, 2.0])
    options = {"window_size": (20, 3), "softcap": 5.0, "softmax_scale": 0.3}
    check(RAGGED, tensors, **options, alibi_slopes=slopes(len(RAGGED), 2))


@pytest.mark.parametrize(("head_dim", "arch"), each_tiling([64, 160]))
def test_every_architectures_tiles(head_dim: int, arch: int, inputs: Any, check: Check) -> None:
    """Each architecture's tiles give the same, whatever machine runs the test."""
    pairs = [(33, 70), (0, 9), (20, 17)]
    check(pairs, inputs(pairs, heads=(1, 1), head_dim=head_dim), {"arch": arch}, causal=True)


lengths = st.one_of(st.sampled_from([0, 1, 2, 31, 37]), st.integers(0, 50))


@few
@given(
    pairs=st.lists(st.tuples(lengths, lengths), min_size=1, max_size=4),
    heads=st.sampled_from([(1, 1), (2, 2), (2, 1)]),
    head_dim=st.integers(1, 72),
    causal=st.booleans(),
    left=st.sampled_from([-1, 0, 11, 50]),
    dtype=st.sampled_from([torch.float16, torch.bfloat16]),
)
def test_any_batch_agrees_with_fp64(
    inputs: Any,
    check: Check,
    pairs: Pairs,
    heads: tuple[int, int],
    head_dim: int,
    causal: bool,
    left: int,
    dtype: torch.dtype,
) -> None:
    """Whatever sequences lie in a batch, output and gradients stay within twice PyTorch's own error."""
    check(pairs, inputs(pairs, dtype, heads, head_dim), causal=causal, window_size=(left, -1))


@pytest.mark.parametrize("pairs", [[(0, 0)], [(0, 7), (0, 3)], [(7, 0), (3, 0)]], ids=str)
def test_nothing_but_empty_sequences(pairs: Pairs, inputs: Any) -> None:
    """Without a key or a query in the whole batch outputs are zeros or empty, gradients too."""
    leaves = {name: x.requires_grad_() for name, x in inputs(pairs).items()}
    out, lse, _ = varlen(**leaves, **layout(pairs), causal=True, return_attn_probs=True)
    assert leaves["q"].shape == out.shape
    assert not bool(out.any())
    assert bool(torch.isneginf(lse).all())
    gradients = torch.autograd.grad(out.sum(), list(leaves.values()))
    assert all(not bool(gradient.any()) for gradient in gradients)


def test_sequences_do_not_meet(inputs: Any) -> None:
    """Each sequence gets the bits, gradients included, that it gets in a batch of its own."""
    tensors = inputs(RAGGED)
    at = layout(RAGGED)

    def run(parts: Tensors, pairs: Pairs) -> tuple[torch.Tensor, ...]:
        leaves = {name: x.detach().requires_grad_() for name, x in parts.items()}
        limits = {"max_seqlen_q": at["max_seqlen_q"], "max_seqlen_k": at["max_seqlen_k"]}
        out = varlen(**leaves, **(layout(pairs) | limits), causal=True)
        return (out, *torch.autograd.grad(out.sum(), list(leaves.values())))

    together = run(tensors, RAGGED)
    for i, pair in enumerate(RAGGED):
        queries = slice(*at["cu_seqlens_q"][i : i + 2].tolist())
        keys = slice(*at["cu_seqlens_k"][i : i + 2].tolist())
        own = {name: x[queries if name == "q" else keys] for name, x in tensors.items()}
        for whole, part, rows in zip(together, run(own, [pair]), (queries, queries, keys, keys), strict=True):
            assert torch.equal(whole[rows], part)


def test_limits_may_be_generous(inputs: Any) -> None:
    """A maximum above the longest sequence changes nothing."""
    tensors, at = inputs(RAGGED), layout(RAGGED)
    exact = varlen(**tensors, **at, causal=True)
    at |= {"max_seqlen_q": 200, "max_seqlen_k": 300}
    assert torch.equal(exact, varlen(**tensors, **at, causal=True))


def test_equal_lengths_are_a_plain_batch(inputs: Any) -> None:
    """Sequences of one length give what the plain function gives."""
    pairs = [(20, 33)] * 3
    tensors = inputs(pairs)
    batch = {name: x.unflatten(0, (3, -1)) for name, x in tensors.items()}
    options = {"causal": True, "window_size": (12, 0), "return_attn_probs": True}
    out, lse, _ = varlen(**tensors, **layout(pairs), **options)
    expected, log_sum, _ = attention(**batch, **options)
    torch.testing.assert_close(expected.flatten(0, 1), out, atol=1e-3, rtol=2e-3)
    torch.testing.assert_close(log_sum.transpose(0, 1).flatten(1), lse)


def test_packed_tensors_give_what_their_parts_give(tensor: Maker) -> None:
    """The packed functions are the plain one: the same bits out, and the gradient packed the same way."""
    sizes = [17, 0, 1, 40]
    at = layout([(size, size) for size in sizes])
    options = {"causal": True, "softcap": 5.0, "softmax_scale": 0.2, "return_attn_probs": True}
    packed = tensor((sum(sizes), 3, 2, 24), torch.float16).requires_grad_()
    dout = tensor((sum(sizes), 2, 24), torch.float16)
    q, k, v = (x.detach().requires_grad_() for x in packed.unbind(1))
    out, lse, _ = varlen(q, k, v, **at, **options)
    parts = torch.autograd.grad(out, (q, k, v), dout)
    found, log_sum, _ = qkvpacked(packed, at["cu_seqlens_q"], 40, **options)
    assert torch.equal(out, found)
    assert torch.equal(lse, log_sum)
    assert torch.equal(torch.stack(parts, 1), torch.autograd.grad(found, packed, dout)[0])

    kv = packed.detach()[:, 1:].requires_grad_()
    found, log_sum, _ = kvpacked(q, kv, **at, **options)
    assert torch.equal(out, found)
    assert torch.equal(lse, log_sum)
    dq, dkv = torch.autograd.grad(found, (q, kv), dout)
    assert torch.equal(parts[0], dq)
    assert torch.equal(torch.stack(parts[1:], 1), dkv)


@pytest.mark.parametrize("page", [1, 3, 7, 16, 64, 256])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_keys_in_pages(
    page: int, dtype: torch.dtype, inputs: Any, tensor: Maker, within: Check, generator: torch.Generator
) -> None:
    """Keys scattered over pages of any size are found; unused pages and the rest of a last page are NaN."""
    tensors = inputs(RAGGED, dtype)
    at = layout(RAGGED)
    used = [-(-keys // page) for _, keys in RAGGED]
    order = torch.randperm(sum(used) + 2, generator=generator).to(torch.int32)
    # A table's unused entries may hold anything; a page that exists, but is NaN, shows that it was read.
    table = torch.full((len(RAGGED), max(used)), int(order[-1]), dtype=torch.int32)
    pages = {
        name: tensor((len(order), page, *tensors[name].shape[1:]), dtype).fill_(torch.nan) for name in "kv"
    }
    for i, (first, (_, keys)) in enumerate(zip(accumulate([0, *used]), RAGGED, strict=False)):
        table[i, : used[i]] = order[first : first + used[i]]
        for j in range(keys):
            for name, stored in pages.items():
                row = int(at["cu_seqlens_k"][i]) + j
                stored[table[i, j // page], j % page] = tensors[name][row]
    out, lse, _ = varlen(
        *(tensors["q"], pages["k"], pages["v"]),
        **at,
        causal=True,
        window_size=(40, 0),
        block_table=table,
        return_attn_probs=True,
    )
    options = {"causal": True, "window_size": (40, 0)}
    theirs, exact = (
        one_by_one(RAGGED, {name: x.to(to) for name, x in tensors.items()}, **options)
        for to in (dtype, torch.float64)
    )
    for name, mine, other, truth in zip(("out", "lse"), (out, lse), theirs, exact, strict=True):
        within(mine, other, truth, dtype, f"{name} with pages of {page}")
