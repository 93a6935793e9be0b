"""Dropout: its rate, its reproducibility, and that forward and backward pass drop the same weights."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from architectures import each_tiling
from hypothesis import HealthCheck, given, settings
from l4guide_kernels import (
    flash_attn_func,
    flash_attn_qkvpacked_func,
    flash_attn_varlen_func,
    reference_attention,
)
from l4guide_kernels.tiles import Tile
from torch.utils.checkpoint import checkpoint

attention: Callable[..., Any] = flash_attn_func
qkvpacked: Callable[..., Any] = flash_attn_qkvpacked_func
varlen: Callable[..., Any] = flash_attn_varlen_func
reference: Callable[..., Any] = reference_attention
Maker = Callable[..., torch.Tensor]
Check = Callable[..., None]
HALVES = (torch.float16, torch.bfloat16)
few = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same numbers for every test; dropout draws from torch's own generator."""
    torch.manual_seed(4)


@pytest.fixture
def qkv(tensor: Maker) -> Callable[..., dict[str, torch.Tensor]]:
    """Makes tensors whose scores are so small that every weight is far from 0."""

    def make(
        seqlen_q: int,
        seqlen_k: int,
        dtype: torch.dtype = torch.float16,
        batch: int = 1,
        heads: tuple[int, int] = (2, 1),
        head_dim: int = 16,
        v_dim: int | None = None,
    ) -> dict[str, torch.Tensor]:
        return {
            "q": tensor((batch, seqlen_q, heads[0], head_dim), dtype, 0.5),
            "k": tensor((batch, seqlen_k, heads[1], head_dim), dtype, 0.5),
            "v": tensor((batch, seqlen_k, heads[1], v_dim or head_dim), dtype),
        }

    return make


def kept_by(probabilities: torch.Tensor) -> torch.Tensor:
    """Which weights were kept: flash-attn marks the others by a negative sign."""
    return ~torch.signbit(probabilities)


def weights_of(tensors: dict[str, torch.Tensor], to: torch.dtype, **options: Any) -> torch.Tensor:
    """The weights (batch, heads, seqlen_q, seqlen_k) before dropout: what attention makes of one-hot values."""
    q, k = (tensors[name].detach().to(to) for name in ("q", "k"))
    one_hot = torch.eye(k.shape[1], dtype=to)[:, None].expand(len(k), -1, k.shape[2], -1)
    out: torch.Tensor = reference(q, k, one_hot, **options)[0]
    return out.transpose(1, 2)


@pytest.fixture
def check(agrees: Check, within: Check) -> Check:
    """Holds one call and its gradients against the oracle with the mask that the call returned."""

    def hold(tensors: dict[str, torch.Tensor], p: float, launch: dict[str, Any], **options: Any) -> None:
        seen: list[torch.Tensor] = []

        def found(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            out, lse, probabilities = attention(
                **leaves, dropout_p=p, **launch, **options, return_attn_probs=True
            )
            seen.append(probabilities)
            return out, lse

        def oracle(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            mask = kept_by(seen[0])
            out, lse = reference(**leaves, dropout_p=p, dropout_mask=mask, **options)
            return out, lse

        agrees(found, oracle, tensors, f"dropout {p} {options}")
        dtype = tensors["q"].dtype
        assert dtype == seen[0].dtype
        sink = tensors.get("learnable_sink")
        theirs, exact = (
            weights_of(tensors, to, learnable_sink=sink, **options) for to in (dtype, torch.float64)
        )
        within(seen[0].abs(), theirs, exact, dtype, f"probabilities with dropout {p} {options}")

    return hold


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32], ids=str)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_gradients_of_what_was_kept(p: float, dtype: torch.dtype, qkv: Any, check: Check) -> None:
    """Output and gradients are those of the returned mask: forward and backward pass drop the same."""
    check(qkv(20, 37, dtype, batch=2), p, {}, causal=True)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_every_feature_at_once(dtype: torch.dtype, qkv: Any, slopes: Maker, check: Check) -> None:
    """Dropout lies on top of windows, softcap, ALiBi, sinks and v's own width."""
    tensors = qkv(20, 37, dtype, batch=2, head_dim=40, v_dim=24)
    tensors["learnable_sink"] = torch.tensor([0.0, 1.0])
    check(tensors, 0.3, {}, window_size=(40, 5), softcap=3.0, alibi_slopes=slopes(2, 2) / 10)


@pytest.mark.parametrize(("head_dim", "arch"), each_tiling([64, 192]))
def test_every_architectures_tiles(head_dim: int, arch: int, qkv: Any, check: Check) -> None:
    """Each architecture's forward and backward tiles, which differ in shape, drop the same weights."""
    check(qkv(33, 70, heads=(1, 1), head_dim=head_dim), 0.2, {"arch": arch})


@few
@given(
    seqlen_q=st.sampled_from([0, 1, 2, 17, 31, 40]),
    seqlen_k=st.sampled_from([0, 1, 2, 17, 37, 64]),
    heads=st.sampled_from([(1, 1), (2, 2), (3, 1)]),
    p=st.floats(0.01, 0.95),
    causal=st.booleans(),
)
def test_any_shape_and_rate(
    qkv: Any, check: Check, seqlen_q: int, seqlen_k: int, heads: tuple[int, int], p: float, causal: bool
) -> None:
    """Lengths of 0 and 1, ragged ones and any probability."""
    # A single weight is always 1 and has gradient 0, which shows only if dividing by 1 - p does not round O.
    p = 0.5 if seqlen_k == 1 else p
    check(qkv(seqlen_q, seqlen_k, heads=heads), p, {}, causal=causal)


def mask_of(tensors: dict[str, torch.Tensor], p: float, **options: Any) -> torch.Tensor:
    """The mask of one call."""
    return kept_by(attention(**tensors, dropout_p=p, return_attn_probs=True, **options)[2])


@pytest.mark.parametrize("p", [0.02, 0.25, 0.5, 0.85])
def test_rate(p: float, qkv: Any) -> None:
    """As many weights are dropped as a fair coin drops, in every head, every row and every column."""
    kept = mask_of(qkv(128, 128, batch=2), p).double()
    for axes, size in (((0, 1, 2, 3), kept.numel()), ((2, 3), 128 * 128), ((3,), 128), ((2,), 128)):
        deviation = (kept.mean(axes) - (1 - p)).abs().max()
        assert float(deviation) <= 5 * math.sqrt(p * (1 - p) / size) + 4 / size


def test_no_pattern(qkv: Any) -> None:
    """Neighbouring keys, queries, heads and sequences are dropped independently of each other."""
    kept = mask_of(qkv(128, 128, batch=2), 0.5).double() - 0.5
    neighbours = [(kept[..., :-n], kept[..., n:]) for n in (1, 2, 4, 16, 64)]
    neighbours += [(kept[..., :-n, :], kept[..., n:, :]) for n in (1, 2, 4, 16, 64)]
    neighbours += [(kept[:, 0], kept[:, 1]), (kept[0], kept[1])]
    for one, other in neighbours:
        assert float((one * other).mean().abs() * 4) <= 5 / math.sqrt(one.numel())


def test_reproducible_by_seed(qkv: Any) -> None:
    """The same seed drops the same weights, gradients included; the next call drops others."""
    tensors = qkv(33, 40)

    def run() -> tuple[torch.Tensor, ...]:
        leaves = {name: x.detach().requires_grad_() for name, x in tensors.items()}
        out, _, probabilities = attention(**leaves, dropout_p=0.4, return_attn_probs=True)
        return (out, probabilities, *torch.autograd.grad(out.sum(), list(leaves.values())))

    torch.manual_seed(7)
    first, second = run(), run()
    torch.manual_seed(7)
    assert all(torch.equal(one, other) for one, other in zip(first, run(), strict=True))
    assert all(torch.equal(one, other) for one, other in zip(second, run(), strict=True))
    assert not torch.equal(first[1], second[1])
    torch.manual_seed(8)
    assert not torch.equal(first[1], run()[1])


def test_asking_for_the_mask_changes_nothing(qkv: Any) -> None:
    """The output is the same to the bit, and torch's generator is left in the same state."""
    tensors, results = qkv(40, 50), []
    for asked in (False, True):
        torch.manual_seed(7)
        out = attention(**tensors, dropout_p=0.4, return_attn_probs=asked)
        results.append((out[0] if asked else out, torch.rand(3)))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_without_dropout_nothing_is_drawn(qkv: Any) -> None:
    """Torch's generator stays as it was."""
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    attention(**qkv(9, 9))
    assert torch.equal(expected, torch.rand(3))


def test_recomputation_drops_the_same(qkv: Any) -> None:
    """Activation checkpointing, which restores torch's generator, gives the gradients that keeping gives."""
    tensors, results = qkv(33, 40), []
    for recomputed in (False, True):
        torch.manual_seed(7)
        leaves = [x.detach().requires_grad_() for x in tensors.values()]
        arguments = (*leaves, 0.4)
        out = checkpoint(attention, *arguments, use_reentrant=False) if recomputed else attention(*arguments)
        results.append((out, *torch.autograd.grad(out.sum(), leaves)))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize(("block_m", "block_n"), [(16, 64), (64, 32), (128, 128)])
def test_the_mask_does_not_depend_on_tiles(block_m: int, block_n: int, qkv: Any) -> None:
    """One weight's fate hangs on its place alone, so that any tile drops the same."""
    tensors = qkv(40, 75)
    tile = Tile(block_m=block_m, block_n=block_n, warps=4, stages=1)
    tiles = dict.fromkeys(("forward", "backward-dkdv", "backward-dq"), tile)
    masks, results = [], []
    for own in (None, tiles):
        torch.manual_seed(7)
        leaves = {name: x.detach().requires_grad_() for name, x in tensors.items()}
        out, _, probabilities = attention(**leaves, dropout_p=0.5, return_attn_probs=True, tiles=own)
        masks.append(kept_by(probabilities))
        results.append((out, *torch.autograd.grad(out.sum(), list(leaves.values()))))
    assert torch.equal(*masks)
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(expected, found, atol=4e-3, rtol=4e-3)


def test_the_mask_does_not_depend_on_what_is_computed(qkv: Any) -> None:
    """Other numbers, dtypes and head_dims drop the same; hidden weights are 0, not negative."""
    masks = []
    for tensors in (qkv(40, 50), qkv(40, 50, torch.float32, head_dim=72)):
        torch.manual_seed(7)
        masks.append(mask_of(tensors, 0.5))
    assert torch.equal(*masks)
    torch.manual_seed(7)
    causal = attention(**qkv(40, 50), dropout_p=0.5, causal=True, return_attn_probs=True)[2]
    hidden = torch.ones(40, 50, dtype=torch.bool).triu(11)
    assert not bool(causal[..., hidden].any())
    assert torch.equal(masks[0][..., ~hidden], kept_by(causal[..., ~hidden]))


def test_dropping_leaves_the_mean(qkv: Any) -> None:
    """Outputs average, over many draws, to what comes out without dropout."""
    tensors = qkv(16, 100, torch.float32, heads=(1, 1))
    plain = attention(**tensors)
    draws = torch.stack([attention(**tensors, dropout_p=0.5) for _ in range(30)])
    assert float((draws.mean(0) - plain).abs().max()) <= 5.5 * float(draws.std(0).max()) / math.sqrt(30)


def test_sequences_of_a_varlen_batch(tensor: Maker, agrees: Check) -> None:
    """Sequences laid end to end have masks of their own, in a square as large as the longest; the rest is 0."""
    queries, keys = [0, 20, 20, 53], [0, 33, 40, 40]
    names = ("cu_seqlens_q", "cu_seqlens_k")
    at: dict[str, Any] = {
        name: torch.tensor(x, dtype=torch.int32) for name, x in zip(names, (queries, keys), strict=True)
    }
    at |= {"max_seqlen_q": 33, "max_seqlen_k": 33}
    tensors = {
        name: tensor((total, heads, 16), torch.float16, 0.5)
        for name, total, heads in (("q", 53, 2), ("k", 40, 1), ("v", 40, 1))
    }
    seen: list[torch.Tensor] = []

    def found(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out, lse, probabilities = varlen(**leaves, **at, dropout_p=0.3, return_attn_probs=True)
        seen.append(probabilities)
        return out, lse

    def oracle(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parts = []
        for i, ((q0, q1), (k0, k1)) in enumerate(zip(pairwise(queries), pairwise(keys), strict=True)):
            own = (leaves["q"][None, q0:q1], leaves["k"][None, k0:k1], leaves["v"][None, k0:k1])
            mask = kept_by(seen[0])[i : i + 1, :, : q1 - q0, : k1 - k0]
            parts.append(reference(*own, dropout_p=0.3, dropout_mask=mask))
        return torch.cat([out[0] for out, _ in parts]), torch.cat([lse[0] for _, lse in parts], -1)

    agrees(found, oracle, tensors, "varlen with dropout")
    assert (3, 2, 33, 33) == seen[0].shape
    inside = torch.zeros(3, 2, 33, 33, dtype=torch.bool)
    inside[0, :, :20, :33] = True
    assert not bool(seen[0][~inside].any())
    assert 0.5 < float(kept_by(seen[0][inside]).double().mean()) < 0.9


def test_packed_tensors(tensor: Maker) -> None:
    """The packed functions drop what the plain one drops."""
    packed = tensor((1, 20, 3, 2, 16), torch.float16)
    torch.manual_seed(7)
    expected = attention(*packed.unbind(2), 0.3)
    torch.manual_seed(7)
    assert torch.equal(expected, qkvpacked(packed, 0.3))


@pytest.mark.parametrize("p", [1.0, 1.5, -0.1])
def test_rates_that_are_none(p: float, qkv: Any) -> None:
    """A probability outside 0 to 1, or one that leaves nothing, is refused."""
    with pytest.raises(ValueError, match="dropout_p"):
        attention(**qkv(4, 4), dropout_p=p)
