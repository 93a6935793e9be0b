"""The drop-in against torch's own function: shapes, masks, gradients, dropout, and what both refuse."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import sdpa
from l4guide_kernels.tiles import UnsupportedError
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right, causal_upper_left

scaled_dot_product_attention: Callable[..., torch.Tensor] = sdpa.scaled_dot_product_attention
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def theirs(*args: Any, **options: Any) -> torch.Tensor:
    """Torch's function, on its plainest path."""
    with sdpa_kernel(SDPBackend.MATH):
        return torch.nn.functional.scaled_dot_product_attention(*args, **options)


@pytest.fixture
def inputs(generator: torch.Generator) -> Callable[..., list[torch.Tensor]]:
    """Makes query, key and value of three shapes, in fp64."""

    def make(shapes: Shapes) -> list[torch.Tensor]:
        return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]

    return make


@pytest.fixture
def agree(inputs: Callable[..., list[torch.Tensor]], within: Callable[..., None]) -> Callable[..., None]:
    """Holds output and gradients against torch's, both measured from torch's in fp64."""

    def hold(shapes: Shapes, dtype: torch.dtype = torch.float32, **options: Any) -> None:
        exact = inputs(shapes)
        weights = torch.randn(theirs(*exact, **options).shape, dtype=torch.float64)
        found = []
        for function, kind in (
            (theirs, torch.float64),
            (theirs, dtype),
            (scaled_dot_product_attention, dtype),
        ):
            # The same rounded numbers for all three.
            leaves = [x.to(dtype).to(kind).requires_grad_() for x in exact]
            out = function(*leaves, **options)
            out.backward(weights.to(dtype).to(kind))  # type: ignore[no-untyped-call]
            found.append([out.detach(), *(x.grad for x in leaves)])
        for true, other, ours, what in zip(*found, ("out", "dq", "dk", "dv"), strict=True):
            assert other.shape == ours.shape
            within(ours, other, true, dtype, what)

    return hold


@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 8), (6, 8), (6, 5)),
        ((2, 4, 8), (2, 6, 8), (2, 6, 8)),
        ((4, 8), (2, 6, 8), (6, 8)),
        ((1, 2, 4, 8), (3, 2, 6, 8), (3, 2, 6, 24)),
        ((3, 2, 4, 8), (3, 1, 6, 8), (3, 1, 6, 8)),
        ((3, 1, 4, 8), (3, 2, 6, 8), (3, 1, 6, 8)),
        ((2, 3, 2, 4, 8), (3, 2, 6, 8), (2, 1, 2, 6, 8)),
        ((2, 0, 8), (2, 6, 8), (2, 6, 8)),
        ((2, 4, 8), (2, 0, 8), (2, 0, 8)),
        ((0, 4, 8), (0, 6, 8), (0, 6, 8)),
    ],
    ids=str,
)
def test_it_takes_the_shapes_that_torch_takes(agree: Callable[..., None], shapes: Shapes) -> None:
    """Any number of batch axes, missing, of one element, or empty."""
    agree(shapes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_a_strided_view_of_a_projection_is_as_good(within: Callable[..., None], dtype: torch.dtype) -> None:
    """The layout that models hand in: one projection, viewed as heads and transposed."""
    mixed = torch.randn((2, 9, 3, 2, 16), generator=torch.Generator().manual_seed(5)).to(dtype)
    q, k, v = (x.transpose(1, 2) for x in mixed.unbind(2))
    exact = theirs(q.double(), k.double(), v.double(), is_causal=True)
    found = scaled_dot_product_attention(q, k, v, is_causal=True)
    within(found, theirs(q, k, v, is_causal=True), exact, dtype, "out")


@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (3, 20), (20, 3)])
def test_the_causal_mask_is_aligned_top_left(agree: Callable[..., None], queries: int, keys: int) -> None:
    """Query i sees key j when j <= i, also where the lengths differ."""
    agree(((1, 2, queries, 16), (1, 2, keys, 16), (1, 2, keys, 16)), is_causal=True)


@pytest.mark.parametrize("bias", [causal_lower_right, causal_upper_left])
def test_torchs_causal_biases_are_taken(
    inputs: Callable[..., list[torch.Tensor]], bias: Callable[..., torch.Tensor]
) -> None:
    """Both alignments that torch has names for."""
    q, k, v = (x.float() for x in inputs(((1, 2, 3, 16), (1, 2, 7, 16), (1, 2, 7, 16))))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias(3, 7))
    torch.testing.assert_close(expected, scaled_dot_product_attention(q, k, v, attn_mask=bias(3, 7)))


@pytest.mark.parametrize(("of_key", "of_value"), [(2, 2), (1, 2), (2, 4)])
def test_grouped_heads_are_shared_when_enabled(
    agree: Callable[..., None], of_key: int, of_value: int
) -> None:
    """Key and value heads each divide the query's."""
    agree(((2, 4, 5, 8), (2, of_key, 6, 8), (2, of_value, 6, 8)), enable_gqa=True)


@pytest.mark.parametrize(
    ("shapes", "mask"),
    [
        (((2, 2, 5, 8), (2, 2, 6, 8), (2, 2, 6, 8)), (2, 1, 1, 6)),
        (((2, 2, 5, 8), (2, 2, 6, 8), (2, 2, 6, 8)), (1, 6)),
        (((2, 5, 8), (2, 6, 8), (2, 6, 8)), (2, 1, 6)),
    ],
    ids=str,
)
def test_a_boolean_mask_of_keys_is_taken(
    agree: Callable[..., None], shapes: Shapes, mask: tuple[int, ...]
) -> None:
    """Hidden anywhere, not only at the end, with exact gradients; where all are hidden the output is 0."""
    seen = torch.rand(mask, generator=torch.Generator().manual_seed(1)) > 0.5
    agree(shapes, attn_mask=seen)
    agree(shapes, attn_mask=torch.zeros_like(seen))


def test_a_hidden_key_may_hold_anything(inputs: Callable[..., list[torch.Tensor]]) -> None:
    """NaN behind a mask reaches neither the output nor a gradient."""
    q, k, v = (x.float() for x in inputs(((1, 1, 5, 8), (1, 1, 6, 8), (1, 1, 6, 8))))
    seen = torch.tensor([[True, False, True, True, False, True]])
    expected = scaled_dot_product_attention(q, k[:, :, seen[0]], v[:, :, seen[0]])
    k[:, :, ~seen[0]] = v[:, :, ~seen[0]] = float("nan")
    leaves = [x.requires_grad_() for x in (q, k, v)]
    out = scaled_dot_product_attention(*leaves, attn_mask=seen)
    out.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(expected, out.detach())
    assert all(bool(x.grad.isfinite().all()) for x in leaves if x.grad is not None)


def test_the_scale_is_the_callers(agree: Callable[..., None]) -> None:
    """0 included, where every key weighs the same."""
    for scale in (0.0, 0.3):
        agree(((1, 1, 3, 8), (1, 1, 5, 8), (1, 1, 5, 8)), scale=scale)


def test_one_query_gives_the_same_with_and_without_gradients(
    inputs: Callable[..., list[torch.Tensor]],
) -> None:
    """Without, few queries run on the decode kernel."""
    q, k, v = (x.float() for x in inputs(((2, 4, 1, 16), (2, 4, 40, 16), (2, 4, 40, 16))))
    expected = scaled_dot_product_attention(q.clone().requires_grad_(), k, v).detach()
    torch.testing.assert_close(expected, scaled_dot_product_attention(q, k, v))


def test_dropout_is_torchs_generators_and_differentiable(inputs: Callable[..., list[torch.Tensor]]) -> None:
    """The same seed drops the same weights, and the gradient is that of what was kept."""
    q, k, v = (x.float().requires_grad_() for x in inputs(((2, 2, 16, 8), (2, 2, 32, 8), (2, 2, 32, 8))))
    torch.manual_seed(1)
    out = scaled_dot_product_attention(q, k, v, dropout_p=0.5)
    torch.manual_seed(1)
    assert torch.equal(out, scaled_dot_product_attention(q, k, v, dropout_p=0.5))
    assert not torch.equal(out, scaled_dot_product_attention(q, k, v, dropout_p=0.5))
    out.backward(out.detach())  # type: ignore[no-untyped-call]
    # The output is linear in v.
    assert v.grad is not None
    torch.testing.assert_close(out.detach().square().sum(), (v.grad * v.detach()).sum())
    ones = scaled_dot_product_attention(q, k, torch.ones_like(v), dropout_p=0.5).detach()
    assert 0.95 < float(ones.mean()) < 1.05


def test_everything_dropped_is_0(inputs: Callable[..., list[torch.Tensor]]) -> None:
    """dropout_p = 1, which torch allows, gives zeros and zero gradients."""
    q, k, v = (x.float().requires_grad_() for x in inputs(((1, 2, 3, 8), (1, 2, 4, 8), (1, 2, 4, 8))))
    out = scaled_dot_product_attention(q, k, v, dropout_p=1.0)
    out.sum().backward()  # type: ignore[no-untyped-call]
    assert all(not bool(x.any()) for x in (out, q.grad, k.grad, v.grad) if x is not None)


def test_autocast_decides_the_dtype(inputs: Callable[..., list[torch.Tensor]]) -> None:
    """As of torch's function."""
    q, k, v = (x.float() for x in inputs(((1, 2, 3, 8), (1, 2, 4, 8), (1, 2, 4, 8))))
    with torch.autocast("cpu", torch.bfloat16):
        found = scaled_dot_product_attention(q, k, v)
        assert theirs(q, k, v).dtype == found.dtype == torch.bfloat16


def test_it_compiles_without_a_graph_break(inputs: Callable[..., list[torch.Tensor]]) -> None:
    """Causal, with lengths that differ, and with a mask of keys."""
    q, k, v = (x.float() for x in inputs(((2, 2, 5, 8), (2, 2, 7, 8), (2, 2, 7, 8))))
    compiled = torch.compile(scaled_dot_product_attention, fullgraph=True, backend="aot_eager")
    seen = torch.tensor([[True] * 4 + [False] * 3, [True] * 7])[:, None, None]
    for options in ({"is_causal": True}, {"attn_mask": seen}):
        assert torch.equal(scaled_dot_product_attention(q, k, v, **options), compiled(q, k, v, **options))


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        (((8,), (8,), (8,)), {}),
        (((2, 4, 8), (2, 6, 7), (2, 6, 8)), {}),
        (((2, 4, 8), (2, 6, 8), (2, 5, 8)), {}),
        (((2, 4, 8), (3, 6, 8), (3, 6, 8)), {}),
        (((3, 4, 4, 8), (3, 2, 6, 8), (3, 2, 6, 8)), {}),
        (((3, 3, 4, 8), (3, 2, 6, 8), (3, 2, 6, 8)), {"enable_gqa": True}),
        (((2, 4, 8), (2, 6, 8), (2, 6, 8)), {"is_causal": True, "attn_mask": torch.ones(1, 6) > 0}),
        (((2, 4, 8), (2, 6, 8), (2, 6, 8)), {"attn_mask": torch.ones(3, 1, 6) > 0}),
        (((2, 4, 8), (2, 6, 8), (2, 6, 8)), {"dropout_p": 1.5}),
    ],
    ids=str,
)
def test_what_torch_refuses_is_refused_alike(
    inputs: Callable[..., list[torch.Tensor]], shapes: Shapes, options: dict[str, Any]
) -> None:
    """With an error that the same `except` catches."""
    tensors = [x.float() for x in inputs(shapes)]
    for function in (theirs, scaled_dot_product_attention):
        with pytest.raises(RuntimeError):
            function(*tensors, **options)


@pytest.mark.parametrize(
    "mask", [torch.ones(4, 6) > 0, torch.zeros(1, 6), torch.ones(2, 2, 1, 6) > 0], ids=str
)
def test_other_masks_are_refused_by_name(
    inputs: Callable[..., list[torch.Tensor]], mask: torch.Tensor
) -> None:
    """A mask that would need a score of its own for each pair, a bias, or a mask of a head."""
    tensors = [x.float() for x in inputs(((2, 2, 4, 8), (2, 2, 6, 8), (2, 2, 6, 8)))]
    with pytest.raises(NotImplementedError, match="attn_mask"):
        scaled_dot_product_attention(*tensors, attn_mask=mask)


def test_what_the_kernels_do_not_serve_is_refused() -> None:
    """Integers, and nested tensors, with the way out."""
    whole = torch.ones((2, 4, 8), dtype=torch.int32)
    with pytest.raises(UnsupportedError, match="int32"):
        scaled_dot_product_attention(whole, whole, whole)
    nested = torch.nested.nested_tensor([torch.ones(2, 8), torch.ones(3, 8)], layout=torch.jagged)
    with pytest.raises(NotImplementedError, match="varlen"):
        scaled_dot_product_attention(nested, nested, nested)
