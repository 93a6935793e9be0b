"""The oracle itself, against PyTorch's attention and against the formula written out number by number."""

import math
from collections.abc import Callable

import pytest
import torch
from l4guide_kernels import reference_attention
from torch.nn.functional import scaled_dot_product_attention

Options = dict[str, object]


@pytest.fixture
def normal(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """Makes fp64 tensors of normal numbers."""

    def make(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return make


def one_query(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, i: int, seqlen_q: int, slope: float, sink: float
) -> tuple[torch.Tensor, float]:
    """Output and log-sum-exp of one query at scale 0.5, softcap 2 and window (3, 1), in plain Python."""
    place = i + len(k) - seqlen_q
    total, out = math.exp(sink), v.new_zeros(v.shape[1])
    for j in range(len(k)):
        if place - 3 <= j <= place + 1:
            score = 2 * math.tanh(0.5 * sum(float(a * b) for a, b in zip(q, k[j], strict=True)) / 2)
            weight = math.exp(score - slope * abs(place - j))
            total, out = total + weight, out + weight * v[j]
    return (out / total if total else out), (math.log(total) if total else -math.inf)


@pytest.mark.parametrize("seqlen_k", [0, 4, 9])
@pytest.mark.parametrize("has_sink", [True, False])
def test_formula_number_by_number(seqlen_k: int, has_sink: bool, normal: Callable[..., torch.Tensor]) -> None:
    """Scale, softcap, ALiBi, window, groups, sink and a head_dim of v's own are what one writes on a board."""
    q, k, v = normal(2, 7, 4, 3), normal(2, seqlen_k, 2, 3), normal(2, seqlen_k, 2, 5)
    slopes, sinks = normal(2, 4).abs(), normal(4) if has_sink else torch.full((4,), -math.inf)
    out, lse = reference_attention(
        *(q, k, v),
        softmax_scale=0.5,
        window_size=(3, 1),
        softcap=2.0,
        alibi_slopes=slopes,
        learnable_sink=sinks if has_sink else None,
    )
    assert (2, 7, 4, 5) == out.shape
    for b in range(2):
        for h in range(4):
            keys, values = k[b, :, h // 2], v[b, :, h // 2]
            for i in range(7):
                by_hand, log_sum = one_query(
                    q[b, i, h], keys, values, i, 7, float(slopes[b, h]), float(sinks[h])
                )
                torch.testing.assert_close(by_hand, out[b, i, h])
                assert lse[b, h, i].item() == pytest.approx(log_sum)


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, lambda i, j: i > -1),
        ({"causal": True}, lambda i, j: j <= i + 4),
        ({"window_size": (2, 0)}, lambda i, j: (j <= i + 4) & (j >= i + 2)),
        ({"window_size": (-1, 1)}, lambda i, j: j <= i + 5),
        ({"window_size": (3, -1)}, lambda i, j: j >= i + 1),
        ({"window_size": (2, 5), "causal": True}, lambda i, j: (j <= i + 4) & (j >= i + 2)),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_masks_are_what_pytorch_computes(
    options: Options, mask: Callable[..., torch.Tensor], normal: Callable[..., torch.Tensor]
) -> None:
    """Windows and causal masks, aligned bottom right, hide what an explicit mask hides; gradients too."""
    tensors = tuple(normal(2, n, h, 8).requires_grad_() for n, h in ((5, 4), (9, 2), (9, 2)))
    out, _ = reference_attention(*tensors, **options)  # type: ignore[arg-type]
    i, j = torch.arange(5)[:, None], torch.arange(9)
    seen = mask(i, j).expand(5, 9)
    q, k, v = (x.transpose(1, 2) for x in tensors)
    theirs = scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True).transpose(1, 2)
    torch.testing.assert_close(theirs, out)
    dout = normal(2, 5, 4, 8)
    for expected, found in zip(
        torch.autograd.grad(theirs, tensors, dout), torch.autograd.grad(out, tensors, dout), strict=True
    ):
        torch.testing.assert_close(expected, found)


def test_lengths_cut_the_keys(normal: Callable[..., torch.Tensor]) -> None:
    """A sequence of n keys gives what its first n keys give alone; what lies behind may be NaN."""
    q, k, v = normal(3, 2, 2, 4), normal(3, 6, 1, 4), normal(3, 6, 1, 4)
    lengths = torch.tensor([6, 3, 0], dtype=torch.int32)
    together = []
    for b, length in enumerate(lengths.tolist()):
        one = slice(b, b + 1)
        together.append(reference_attention(q[one], k[one, :length], v[one, :length], window_size=(2, 0)))
        k[b, length:], v[b, length:] = math.nan, math.nan
    out, lse = reference_attention(q, k, v, window_size=(2, 0), cache_seqlens=lengths)
    torch.testing.assert_close(torch.cat([x[0] for x in together]), out)
    torch.testing.assert_close(torch.cat([x[1] for x in together]), lse)


def test_dropout_keeps_what_the_mask_says(normal: Callable[..., torch.Tensor]) -> None:
    """Kept weights are divided by 1 - p, the others are 0, and the log-sum-exp knows nothing of it."""
    q, k, v = (normal(1, 4, 2, 3) for _ in range(3))
    kept = torch.rand(1, 2, 4, 4) > 0.3
    weights = torch.softmax(torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(3), -1)
    out, lse = reference_attention(q, k, v, dropout_p=0.3, dropout_mask=kept)
    torch.testing.assert_close(torch.einsum("bhij,bjhd->bihd", weights * kept / 0.7, v), out)
    torch.testing.assert_close(reference_attention(q, k, v)[1], lse)


def test_blind_queries_have_gradient_zero(normal: Callable[..., torch.Tensor]) -> None:
    """Where a query sees no key, nothing is NaN: output 0, log-sum-exp -inf, or the sink's score."""
    q, k, v = (normal(1, n, 2, 4).requires_grad_() for n in (5, 2, 2))
    sinks = normal(2)
    for sink, expected in ((None, torch.full((1, 2, 3), -math.inf)), (sinks, sinks[None, :, None])):
        out, lse = reference_attention(q, k, v, causal=True, learnable_sink=sink)
        assert not bool(out[:, :3].any())
        torch.testing.assert_close(expected.double().expand(1, 2, 3), lse[..., :3])
        (dq,) = torch.autograd.grad(out.sum(), (q,))
        assert not bool(dq[:, :3].any())
        assert bool(torch.isfinite(dq).all())


def test_gradients_by_finite_differences(normal: Callable[..., torch.Tensor]) -> None:
    """Autograd through all options at once is the true derivative, the sink's included."""
    q, k, v, sink = normal(1, 4, 2, 3), normal(1, 3, 1, 3), normal(1, 3, 1, 2), normal(2)
    kept = torch.rand(1, 2, 4, 3) > 0.3

    def attend(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return reference_attention(
            *tensors[:3],
            window_size=(2, 1),
            softcap=3.0,
            alibi_slopes=torch.tensor([0.1, 0.7]),
            dropout_p=0.3,
            dropout_mask=kept,
            learnable_sink=tensors[3],
        )

    assert torch.autograd.gradcheck(attend, tuple(x.requires_grad_() for x in (q, k, v, sink)))
