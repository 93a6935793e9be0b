"""Checks on a real card. With TRITON_INTERPRET=1 they run on the CPU, small, which tries the tests themselves.

Run from source with whatever torch and Triton the machine has: `PYTHONPATH=.:kernels pytest -m gpu tests/gpu`.
"""

import os
from collections.abc import Callable

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
#: A gradient of exactly 0 comes out as the sum of a thousand differences of equal sums in fp32.
ZERO = 3e-5
Function = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def pytest_configure(config: pytest.Config) -> None:
    """On somebody else's machine another library's farewell to an old name is no failure of ours."""
    if config.getoption("markexpr") == "gpu":
        for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"):
            config.addinivalue_line("filterwarnings", f"default::{kind}")


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where everything happens; without a GPU the tests that were asked for fail."""
    if INTERPRETED:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.fail("no NVIDIA GPU, or a torch built without CUDA")
    return torch.device("cuda")


@pytest.fixture(scope="session")
def long() -> int:
    """A length of many blocks."""
    return 60 if INTERPRETED else 1000


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
def generator(device: torch.device) -> torch.Generator:
    """The same random numbers for every test."""
    return torch.Generator(device).manual_seed(20)


@pytest.fixture
def tensor(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """Makes random tensors that lie inside larger ones full of NaN, so that a read beyond an edge shows."""

    def make(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        *outer, rows, heads, head_dim = shape
        width = -(-head_dim // 8) * 8
        frame = torch.full(
            (*outer, rows + 2, heads + 1, width + 8), torch.nan, dtype=dtype, device=generator.device
        )
        inside = frame[..., 1 : rows + 1, :heads, :head_dim]
        inside.copy_(torch.randn(shape, generator=generator, dtype=dtype, device=generator.device))
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
        assert exact.shape == found.shape, what
        finite = exact[torch.isfinite(exact)]
        rounding = float(torch.finfo(dtype).eps * finite.abs().max()) if finite.numel() else 0.0
        allowed = 2 * error(theirs, exact) + rounding + ZERO
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
        gradients = torch.autograd.grad(out, list(mine.values()), dout)

        def expected(to: torch.dtype) -> tuple[torch.Tensor, ...]:
            leaves = {name: x.detach().to(to).requires_grad_() for name, x in tensors.items()}
            theirs, log_sum = oracle(**leaves)
            return (theirs, log_sum, *torch.autograd.grad(theirs, list(leaves.values()), dout.to(to)))

        names = ("out", "lse", *(f"d{name}" for name in tensors))
        results = zip(names, (out, lse, *gradients), expected(dtype), expected(torch.float64), strict=True)
        for name, result, theirs, exact in results:
            within(result.detach(), theirs.detach(), exact.detach(), dtype, f"{name} of {what}")

    return hold
