"""The kernels' tests run in Triton's interpreter, which must be chosen before the kernels are imported."""

import os

os.environ["TRITON_INTERPRET"] = "1"

from collections.abc import Callable
from typing import Any

import l4guide_kernels
import pytest
import torch
from attention_fixtures import agrees, generator, poisoned_memory, tensor, within

__all__ = ["agrees", "generator", "poisoned_memory", "tensor", "within"]


@pytest.fixture
def device() -> torch.device:
    """The interpreter works on the CPU."""
    return torch.device("cpu")


@pytest.fixture
def zero() -> float:
    """A gradient of exactly 0 comes out as the difference of two equal sums of values from 1 to 10."""
    return 5e-6


@pytest.fixture
def slopes(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """Makes ALiBi slopes from 0 to 1, which differ from head to head."""
    return lambda *shape: torch.rand(shape, generator=generator)


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
