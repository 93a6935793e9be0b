"""Checks on a real card. With TRITON_INTERPRET=1 they run on the CPU, small, which tries the tests themselves.

Run from source with whatever torch and Triton the machine has: `PYTHONPATH=.:kernels pytest -m gpu tests/gpu`.
"""

import os

import pytest
import torch
from attention_fixtures import agrees, generator, poisoned_memory, tensor, within

__all__ = ["agrees", "generator", "poisoned_memory", "tensor", "within"]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


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


@pytest.fixture
def zero() -> float:
    """A gradient of exactly 0 comes out as the sum of a thousand differences of equal sums."""
    return 3e-5
