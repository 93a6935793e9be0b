"""Windows, softcap, ALiBi, sinks and a head_dim of v's own, with their gradients, against fp64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from architectures import each_tiling
from l4guide_kernels import flash_attn_func, flash_attn_kvpacked_func, flash_attn_qkvpacked_func

attention: Callable[..., Any] = flash_attn_func
qkvpacked: Callable[..., Any] = flash_attn_qkvpacked_func
kvpacked: Callable[..., Any] = flash_attn_kvpacked_func
Maker = Callable[..., torch.Tensor]
Inputs = Callable[..., dict[str, torch.Tensor]]
Check = Callable[..., None]
HALVES = (torch.float16, torch.bfloat16)
DTYPES = (*HALVES, torch.float32)
#: A value's width by a key's.
V_DIMS = {64: 64, 96: 24, 192: 128, 320: 320}


@pytest.fixture
def qkv(tensor: Maker) -> Inputs:
    """Makes the tensors of one call."""

    def make(
        *lengths: int,
        dtype: torch.dtype = torch.float16,
        batch: int = 1,
        heads: tuple[int, int] = (1, 1),
        head_dim: int = 16,
        v_dim: int | None = None,
    ) -> dict[str, torch.Tensor]:
        seqlen_q, seqlen_k = lengths
        return {
            "q": tensor((batch, seqlen_q, heads[0], head_dim), dtype),
            "k": tensor((batch, seqlen_k, heads[1], head_dim), dtype),
            "v": tensor((batch, seqlen_k, heads[1], v_dim or head_dim), dtype),
        }

    return make


WINDOWS = [(0, 0), (7, 0), (-1, 0), (0, 5), (3, -1), (31, 32), (64, 64), (1, 130)]


@pytest.mark.parametrize("lengths", [(70, 70), (97, 41), (41, 97)], ids=str)
@pytest.mark.parametrize("window_size", WINDOWS, ids=str)
def test_windows(window_size: tuple[int, int], lengths: tuple[int, int], qkv: Inputs, attends: Check) -> None:
    """A query sees so many keys before and after its place, with more keys than queries and with fewer."""
    attends(qkv(*lengths), window_size=window_size)


@pytest.mark.parametrize("window_size", [(0, 9), (20, -1), (20, 3)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_causal_is_a_right_bound_of_zero(
    window_size: tuple[int, int], dtype: torch.dtype, qkv: Inputs, attends: Check
) -> None:
    """Under a causal mask the right bound is 0 whatever was asked, and the left bound stays."""
    attends(qkv(37, 50, dtype=dtype, heads=(2, 1)), window_size=window_size, causal=True)


def test_a_window_beyond_every_key_hides_nothing(qkv: Inputs) -> None:
    """The bits are those of no window."""
    tensors = qkv(40, 60)
    for causal in (True, False):
        whole = attention(**tensors, causal=causal)
        assert torch.equal(whole, attention(**tensors, causal=causal, window_size=(60, 60)))


@pytest.mark.parametrize("causal", [True, False])
def test_a_query_beside_all_keys_sees_none(causal: bool, qkv: Inputs) -> None:
    """Queries whose window lies before the first key give zeros and -inf, and take no gradient."""
    tensors = {name: x.requires_grad_() for name, x in qkv(40, 17).items()}
    out, lse, _ = attention(**tensors, window_size=(5, 2), causal=causal, return_attn_probs=True)
    blind = 40 - 17 - (0 if causal else 2)
    assert not bool(out[:, :blind].any())
    assert bool(torch.isneginf(lse[..., :blind]).all())
    assert bool(torch.isfinite(lse[..., blind:]).all())
    gradients = torch.autograd.grad(out.sum(), list(tensors.values()))
    assert not bool(gradients[0][:, :blind].any())
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("softcap", [0.5, 15.0])
def test_softcap(softcap: float, dtype: torch.dtype, qkv: Inputs, attends: Check) -> None:
    """Scores are squeezed into ± softcap, also where the cap bites hard; the scale comes before it."""
    attends(qkv(33, 40, dtype=dtype, heads=(2, 1)), softcap=softcap, causal=True)
    attends(qkv(20, 33, dtype=dtype), softcap=softcap, softmax_scale=1.5)


def test_softcap_of_large_scores(tensor: Maker) -> None:
    """Scores in the hundreds saturate the tanh without overflowing, and then have no gradient."""
    q, k = (tensor((1, 33, 1, 32), torch.float32, 30.0).requires_grad_() for _ in range(2))
    v = tensor((1, 33, 1, 32), torch.float32)
    out = attention(q, k, v, softcap=1e-3)
    # All scores are within ± 0.001, so that every weight is 1/33 to one part in 500.
    torch.testing.assert_close(v.mean(1, keepdim=True).expand_as(out), out, atol=5e-3, rtol=0)
    dq, dk = torch.autograd.grad(out.sum(), (q, k))
    assert bool(torch.isfinite(dq).all() and torch.isfinite(dk).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("per_sequence", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_alibi(
    causal: bool, per_sequence: bool, dtype: torch.dtype, qkv: Inputs, slopes: Maker, attends: Check
) -> None:
    """Far keys count less, by the distance to the query's place; slopes by head, or by sequence and head."""
    tensors = qkv(17, 37, dtype=dtype, batch=2, heads=(2, 1))
    attends(tensors, alibi_slopes=slopes(2, 2) if per_sequence else slopes(2), causal=causal)


def test_alibi_with_more_queries_than_keys(qkv: Inputs, slopes: Maker, attends: Check) -> None:
    """Places before the first key are negative."""
    attends(qkv(70, 33), alibi_slopes=slopes(1))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("lengths", [(17, 37), (37, 17), (5, 0)], ids=str)
def test_sinks(lengths: tuple[int, int], dtype: torch.dtype, qkv: Inputs, attends: Check) -> None:
    """A sink takes its share of every softmax, blind queries' included, and has a gradient."""
    tensors = qkv(*lengths, dtype=dtype, batch=2, heads=(2, 1))
    tensors["learnable_sink"] = torch.tensor([-1.0, 9.0])
    attends(tensors, causal=True)


def test_a_sink_of_minus_infinity_is_none(qkv: Inputs) -> None:
    """A sink without weight changes nothing, and where there is no key nothing becomes NaN."""
    tensors = qkv(20, 9)
    without = attention(**tensors, causal=True, return_attn_probs=True)
    nothing = torch.full((1,), -torch.inf)
    found = attention(**tensors, causal=True, return_attn_probs=True, learnable_sink=nothing)
    for expected, result in zip(without[:2], found[:2], strict=True):
        torch.testing.assert_close(expected, result, atol=1e-3, rtol=1e-3)


def test_a_large_sink_takes_all(qkv: Inputs) -> None:
    """A sink far above every score leaves outputs of zero and its own score as log-sum-exp."""
    out, lse, _ = attention(
        **qkv(9, 9, heads=(2, 1)), learnable_sink=torch.tensor([1e4, 2e4]), return_attn_probs=True
    )
    assert not bool(out.any())
    torch.testing.assert_close(torch.tensor([1e4, 2e4])[None, :, None].expand(1, 2, 9), lse)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dims", [(16, 40), (40, 16), (1, 24), (96, 7)], ids=str)
def test_v_has_a_head_dim_of_its_own(
    dims: tuple[int, int], dtype: torch.dtype, qkv: Inputs, attends: Check
) -> None:
    """The output and dV are as wide as v, whatever q's and k's width."""
    attends(qkv(20, 37, dtype=dtype, head_dim=dims[0], v_dim=dims[1]), causal=True)


@pytest.mark.parametrize("dims", [(192, 128), (576, 512), (257, 257), (320, 320), (512, 512)], ids=str)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_wide_heads(dims: tuple[int, int], dtype: torch.dtype, qkv: Inputs, attends: Check) -> None:
    """Heads wider than 256, and those of multi-head latent attention, expanded and absorbed."""
    attends(qkv(9, 20, dtype=dtype, head_dim=dims[0], v_dim=dims[1]), causal=True)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("head_dim", [24, 64, 111, 128])
def test_all_at_once(head_dim: int, dtype: torch.dtype, qkv: Inputs, slopes: Maker, attends: Check) -> None:
    """Window, softcap, ALiBi, sinks, groups and a v of its own width do not get into each other's way."""
    tensors = qkv(20, 37, dtype=dtype, batch=2, heads=(2, 1), head_dim=head_dim, v_dim=64)
    tensors["learnable_sink"] = torch.tensor([-1.0, 0.5])
    attends(tensors, window_size=(30, 4), softcap=4.0, alibi_slopes=slopes(2, 2), softmax_scale=0.3)


@pytest.mark.parametrize(("head_dim", "arch"), each_tiling(V_DIMS))
def test_every_architectures_tiles(
    head_dim: int, arch: int, qkv: Inputs, slopes: Maker, attends: Check
) -> None:
    """Each architecture's tiles give the same with every feature on, whatever machine runs the test."""
    lengths = (70, 130) if head_dim == 64 else (20, 37)
    tensors = qkv(*lengths, head_dim=head_dim, v_dim=V_DIMS[head_dim])
    tensors["learnable_sink"] = torch.tensor([1.0])
    attends(tensors, {"arch": arch}, window_size=(50, 0), softcap=8.0, alibi_slopes=slopes(1))


@pytest.mark.parametrize(("head_dim", "arch"), each_tiling([80], dtype="fp32"))
def test_every_architectures_tiles_in_fp32(head_dim: int, arch: int, qkv: Inputs, attends: Check) -> None:
    """The same for fp32, which has tiles of its own."""
    attends(
        qkv(20, 37, dtype=torch.float32, head_dim=head_dim, v_dim=48), {"arch": arch}, window_size=(20, 3)
    )


def test_deterministic_gives_the_same_bits(qkv: Inputs, slopes: Maker) -> None:
    """No sum depends on timing, with or without `deterministic`: runs give the same bits, gradients included."""
    tensors = qkv(33, 40, heads=(2, 1)) | {"learnable_sink": torch.zeros(2)}
    options = {"window_size": (30, 4), "softcap": 4.0, "alibi_slopes": slopes(2)}
    runs = []
    for deterministic in (True, False, True):
        leaves = {name: x.detach().requires_grad_() for name, x in tensors.items()}
        out = attention(**leaves, **options, deterministic=deterministic)
        runs.append((out, *torch.autograd.grad(out.sum(), list(leaves.values()))))
    for first, *others in zip(*runs, strict=True):
        assert all(torch.equal(first, other) for other in others)


def test_packed_tensors_give_what_their_parts_give(tensor: Maker, slopes: Maker) -> None:
    """The packed functions are the plain one: the same bits out, and the gradient packed the same way."""
    options = {"causal": True, "window_size": (20, 0), "softcap": 5.0, "alibi_slopes": slopes(2)}
    options |= {"softmax_scale": 0.2, "return_attn_probs": True}
    packed = tensor((2, 33, 3, 2, 24), torch.float16).requires_grad_()
    dout = tensor((2, 33, 2, 24), torch.float16)
    q, k, v = (x.detach().requires_grad_() for x in packed.unbind(2))
    out, lse, _ = attention(q, k, v, **options)
    parts = torch.autograd.grad(out, (q, k, v), dout)
    found, log_sum, _ = qkvpacked(packed, **options)
    assert torch.equal(out, found)
    assert torch.equal(lse, log_sum)
    assert torch.equal(torch.stack(parts, 2), torch.autograd.grad(found, packed, dout)[0])

    kv = packed.detach()[:, :, 1:].requires_grad_()
    found, log_sum, _ = kvpacked(q, kv, **options)
    assert torch.equal(out, found)
    assert torch.equal(lse, log_sum)
    dq, dkv = torch.autograd.grad(found, (q, kv), dout)
    assert torch.equal(parts[0], dq)
    assert torch.equal(torch.stack(parts[1:], 2), dkv)


def test_only_some_gradients_are_asked_for(qkv: Inputs) -> None:
    """A frozen tensor gets no gradient, and the others get the same as with it."""
    tensors = qkv(20, 33)
    leaves = {name: x.detach().requires_grad_() for name, x in tensors.items()}
    everything = torch.autograd.grad(attention(**leaves, causal=True).sum(), list(leaves.values()))
    for name, expected in zip(tensors, everything, strict=True):
        alone = tensors[name].detach().requires_grad_()
        attention(**(tensors | {name: alone}), causal=True).sum().backward()
        assert torch.equal(expected, alone.grad)  # type: ignore[arg-type]


def test_returned_values(qkv: Inputs) -> None:
    """The output alone, or with the log-sum-exp in fp32 and a third value that is empty without dropout."""
    tensors = qkv(7, 9, batch=2, heads=(2, 1), head_dim=24, v_dim=16)
    out = attention(**tensors)
    assert (2, 7, 2, 16) == out.shape
    again, lse, probabilities = attention(**tensors, return_attn_probs=True)
    assert torch.equal(out, again)
    assert ((2, 2, 7), torch.float32) == (lse.shape, lse.dtype)
    assert (0, torch.float16) == (probabilities.numel(), probabilities.dtype)
