"""The forward and backward kernels as one differentiable function."""

from dataclasses import replace
from typing import Any

import torch

from l4guide_kernels import launch
from l4guide_kernels.problem import Problem


class Attention(torch.autograd.Function):
    """Attention with a gradient; returns the output and the base-2 log-sum-exp (which has none)."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - autograd's context has no public type
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        sink: torch.Tensor | None,
        problem: Problem,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs the forward kernel and keeps what the backward pass recomputes P from."""
        problem = replace(problem, sink=sink)
        out, lse = launch.forward(q, k, v, problem)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.problem = problem
        ctx.mark_non_differentiable(lse)
        return out, lse

    @staticmethod
    def backward(ctx: Any, dout: torch.Tensor, _dlse: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        """Runs the two backward programs."""
        q, k, v, out, lse = ctx.saved_tensors
        return (*launch.backward(q, k, v, out, lse, dout, ctx.problem), None)
