"""The kernels' tests run in Triton's interpreter, which must be chosen before the kernels are imported."""

import os

os.environ["TRITON_INTERPRET"] = "1"

from collections.abc import Callable

import pytest
import torch

real_empty = torch.empty


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fills what the launchers allocate with NaN, so that an element never written shows."""

    def empty(*args: object, **kwargs: object) -> torch.Tensor:
        made: torch.Tensor = real_empty(*args, **kwargs)  # type: ignore[call-overload]
        return made.fill_(float("nan")) if made.is_floating_point() else made

    monkeypatch.setattr(torch, "empty", empty)


@pytest.fixture
def generator() -> torch.Generator:
    """The same random numbers for every test."""
    return torch.Generator().manual_seed(20)


@pytest.fixture
def tensor(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """Makes random tensors that lie inside larger ones full of NaN, so that a read beyond an edge shows."""

    def make(shape: tuple[int, ...], dtype: torch.dtype, scale: float = 1.0) -> torch.Tensor:
        batch, seqlen, heads, head_dim = shape
        width = -(-head_dim // 8) * 8
        frame = torch.full((batch, seqlen + 2, heads + 1, width + 8), float("nan"), dtype=dtype)
        inside = frame[:, 1 : seqlen + 1, :heads, :head_dim]
        inside.copy_(torch.randn(shape, generator=generator, dtype=torch.float64) * scale)
        return inside

    return make


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest absolute difference; -inf agrees only with itself, and nothing else may be infinite or NaN."""
    finite = torch.isfinite(exact)
    assert torch.equal(torch.isneginf(exact), torch.isneginf(found))
    assert bool(torch.isfinite(found[finite]).all())
    return float((found.double() - exact)[finite].abs().max()) if bool(finite.any()) else 0.0


@pytest.fixture
def within() -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.dtype, str], None]:
    """Fails when a result is further from fp64 than twice PyTorch's own in the same dtype, and one rounding."""

    def hold(
        found: torch.Tensor, theirs: torch.Tensor, exact: torch.Tensor, dtype: torch.dtype, what: str
    ) -> None:
        finite = exact[torch.isfinite(exact)]
        rounding = float(torch.finfo(dtype).eps * finite.abs().max()) if finite.numel() else 0.0
        # A gradient of exactly 0 comes out as the difference of two equal sums in fp32, of values from 1 to 10.
        allowed = 2 * error(theirs, exact) + rounding + 5e-6
        assert error(found, exact) <= allowed, f"{what} in {dtype}"

    return hold
