"""The kernels' tests run in Triton's interpreter, which must be chosen before the kernels are imported."""

import os

os.environ["TRITON_INTERPRET"] = "1"

from collections.abc import Callable
from typing import Any

import l4guide_kernels
import pytest
import torch

Function = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def poisoned(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`make`, whose tensors are filled with what no kernel would write."""

    def empty(*args: object, **kwargs: object) -> torch.Tensor:
        made = make(*args, **kwargs)
        if made.is_floating_point():
            return made.fill_(float("nan"))
        return made if made.dtype is torch.bool else made.fill_(torch.iinfo(made.dtype).min)

    return empty


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fills what the launchers allocate with NaN, so that an element never written shows."""
    for owner, name in ((torch, "empty"), (torch, "empty_like"), (torch, "empty_strided")):
        monkeypatch.setattr(owner, name, poisoned(getattr(owner, name)))
    for name in ("new_empty", "new_empty_strided"):
        monkeypatch.setattr(torch.Tensor, name, poisoned(getattr(torch.Tensor, name)))


@pytest.fixture
def generator() -> torch.Generator:
    """The same random numbers for every test."""
    return torch.Generator().manual_seed(20)


@pytest.fixture
def tensor(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """Makes random tensors that lie inside larger ones full of NaN, so that a read beyond an edge shows."""

    def make(shape: tuple[int, ...], dtype: torch.dtype, scale: float = 1.0) -> torch.Tensor:
        *outer, rows, heads, head_dim = shape
        width = -(-head_dim // 8) * 8
        frame = torch.full((*outer, rows + 2, heads + 1, width + 8), float("nan"), dtype=dtype)
        inside = frame[..., 1 : rows + 1, :heads, :head_dim]
        inside.copy_(torch.randn(shape, generator=generator, dtype=torch.float64) * scale)
        return inside

    return make


@pytest.fixture
def slopes(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """Makes ALiBi slopes from 0 to 1, which differ from head to head."""
    return lambda *shape: torch.rand(shape, generator=generator)


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest absolute difference; -inf agrees only with itself, and nothing else may be infinite or NaN."""
    finite = torch.isfinite(exact)
    assert torch.equal(torch.isneginf(exact), torch.isneginf(found))
    assert bool(torch.isfinite(found[finite]).all())
    return float((found.detach().double() - exact)[finite].abs().max()) if bool(finite.any()) else 0.0


@pytest.fixture
def within() -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.dtype, str], None]:
    """Fails when a result is further from fp64 than twice PyTorch's own in the same dtype, and one rounding."""

    def hold(
        found: torch.Tensor, theirs: torch.Tensor, exact: torch.Tensor, dtype: torch.dtype, what: str
    ) -> None:
        assert exact.shape == found.shape, what
        finite = exact[torch.isfinite(exact)]
        rounding = float(torch.finfo(dtype).eps * finite.abs().max()) if finite.numel() else 0.0
        # A gradient of exactly 0 comes out as the difference of two equal sums in fp32, of values from 1 to 10.
        allowed = 2 * error(theirs, exact) + rounding + 5e-6
        assert error(found, exact) <= allowed, f"{what} in {dtype}"

    return hold


@pytest.fixture
def agrees(tensor: Callable[..., torch.Tensor], within: Callable[..., None]) -> Callable[..., None]:
    """Holds a function and its gradients against an oracle, both called with the same named tensors.

    Both return an output and a log-sum-exp. The oracle is called in fp64 and in the dtype of `q`.
    """

    def hold(found: Function, oracle: Function, tensors: dict[str, torch.Tensor], what: object) -> None:
        dtype = tensors["q"].dtype
        mine = {name: x.detach().requires_grad_() for name, x in tensors.items()}
        out, lse = found(**mine)
        assert (dtype, torch.float32) == (out.dtype, lse.dtype)
        dout = tensor(tuple(out.shape), dtype)

        def expected(to: torch.dtype) -> tuple[torch.Tensor, ...]:
            leaves = {name: x.detach().to(to).requires_grad_() for name, x in tensors.items()}
            theirs, log_sum = oracle(**leaves)
            return (theirs, log_sum, *torch.autograd.grad(theirs, list(leaves.values()), dout.to(to)))

        gradients = torch.autograd.grad(out, list(mine.values()), dout)
        names = ("out", "lse", *(f"d{name}" for name in tensors))
        results = zip(names, (out, lse, *gradients), expected(dtype), expected(torch.float64), strict=True)
        for name, result, theirs, exact in results:
            within(result.detach(), theirs.detach(), exact.detach(), dtype, f"{name} of {what}")

    return hold


@pytest.fixture
def attends(agrees: Callable[..., None]) -> Callable[..., None]:
    """Holds `flash_attn_func` with some options, and its gradients, against the oracle with the same ones."""
    attention: Any = l4guide_kernels.flash_attn_func

    def hold(
        tensors: dict[str, torch.Tensor], launch: dict[str, Any] | None = None, **options: object
    ) -> None:
        def found(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            out, lse, _ = attention(**leaves, **options, **(launch or {}), return_attn_probs=True)
            return out, lse

        def oracle(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return l4guide_kernels.reference_attention(**leaves, **options)  # type: ignore[arg-type]

        shapes = {name: tuple(x.shape) for name, x in tensors.items()}
        agrees(found, oracle, tensors, f"{shapes} {options} {launch}")

    return hold
