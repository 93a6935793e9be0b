"""Gradients by finite differences in fp64, which only the interpreter takes: no oracle stands in between."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import flash_attn_func, flash_attn_varlen_func
from sweeps import crossed
from torch.autograd import gradcheck

attention: Callable[..., Any] = flash_attn_func
varlen: Callable[..., Any] = flash_attn_varlen_func
Maker = Callable[..., torch.Tensor]
SLOPES = torch.tensor([0.3, 0.05])


@pytest.fixture
def leaves(tensor: Maker) -> Callable[..., tuple[torch.Tensor, ...]]:
    """Makes fp64 tensors q, k and v of two query heads that share a KV head, and a sink."""

    def make(
        *outer: int, seqlen_q: int = 5, seqlen_k: int = 7, head_dim: int = 3, v_dim: int = 3
    ) -> tuple[torch.Tensor, ...]:
        shapes = (seqlen_q, 2, head_dim), (seqlen_k, 1, head_dim), (seqlen_k, 1, v_dim)
        made = tuple(tensor((*outer, *shape), torch.float64).requires_grad_() for shape in shapes)
        return (*made, torch.tensor([0.5, -0.5], dtype=torch.float64, requires_grad=True))

    return make


PLAIN: dict[str, Any] = {}
FEATURES: list[dict[str, Any]] = [
    PLAIN,
    {"causal": True},
    {"softmax_scale": -0.7},
    {"window_size": (2, 1)},
    {"softcap": 0.8},
    {"alibi_slopes": SLOPES},
    {"alibi_slopes": SLOPES[None]},
    {"causal": True, "window_size": (3, 0), "softcap": 1.5, "alibi_slopes": SLOPES},
]


@pytest.mark.parametrize(("options", "has_sink"), crossed(FEATURES, [True, False], whole=[PLAIN]), ids=str)
def test_every_feature(options: dict[str, Any], has_sink: bool, leaves: Any) -> None:
    """The derivative in q, k, v and the sink is the one of the output itself."""

    def attend(*tensors: torch.Tensor) -> torch.Tensor:
        sink = {"learnable_sink": tensors[3]} if has_sink else {}
        out: torch.Tensor = attention(*tensors[:3], **options, **sink)
        return out

    assert gradcheck(attend, leaves(1)[: 4 if has_sink else 3], fast_mode=True)


@pytest.mark.parametrize(
    "shape",
    [
        {"seqlen_q": 7, "seqlen_k": 3},
        {"seqlen_q": 1, "seqlen_k": 1},
        {"seqlen_q": 19, "seqlen_k": 35},
        {"head_dim": 5, "v_dim": 2},
        {"head_dim": 24, "v_dim": 40},
        {"head_dim": 80, "v_dim": 96},
    ],
    ids=str,
)
def test_every_shape(shape: dict[str, int], leaves: Any) -> None:
    """Ragged lengths, more queries than keys, and a head_dim of v's own."""
    assert gradcheck(lambda q, k, v: attention(q, k, v, causal=True), leaves(2, **shape)[:3], fast_mode=True)


def test_number_by_number(leaves: Any) -> None:
    """Every entry of the Jacobian by itself, and not only a random direction through it."""
    q, k, v, sink = leaves(1, seqlen_q=2, seqlen_k=3, head_dim=2, v_dim=1)
    assert gradcheck(
        lambda q, k, v, sink: attention(q, k, v, window_size=(1, 0), softcap=2.0, learnable_sink=sink),
        (q, k, v, sink),
    )


def test_dropout(leaves: Any) -> None:
    """With the seed held fast, dropout is a function like any other."""

    def attend(*tensors: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(7)
        out: torch.Tensor = attention(*tensors[:3], 0.4, learnable_sink=tensors[3])
        return out

    assert gradcheck(attend, leaves(2), fast_mode=True)


def test_sequences_end_to_end(leaves: Any) -> None:
    """The derivative of a varlen batch, an empty sequence in it."""
    queries, keys = (torch.tensor(x, dtype=torch.int32) for x in ([0, 3, 3, 5], [0, 2, 4, 7]))
    slopes = torch.rand(3, 2)

    def attend(*tensors: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = varlen(
            *(*tensors[:3], queries, keys, 3, 3),
            causal=True,
            softcap=2.0,
            alibi_slopes=slopes,
            learnable_sink=tensors[3],
        )
        return out

    assert gradcheck(attend, leaves(), fast_mode=True)
