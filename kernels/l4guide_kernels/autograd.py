"""The forward and backward kernels as one differentiable function."""

from typing import Any

import torch

from l4guide_kernels import launch


class Attention(torch.autograd.Function):
    """Attention with a gradient; returns the output and the natural log-sum-exp (which has none)."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - autograd's context has no public type
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        scale: float,
        causal: bool,
        plan: launch.Plan,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs the forward kernel and keeps what the backward pass recomputes P from."""
        out, lse = launch.forward(q, k, v, scale=scale, causal=causal, plan=plan)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.scale, ctx.causal, ctx.plan = scale, causal, plan
        lse = launch.natural(lse)
        ctx.mark_non_differentiable(lse)
        return out, lse

    @staticmethod
    def backward(ctx: Any, dout: torch.Tensor, _dlse: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        """Runs the two backward programs."""
        q, k, v, out, lse = ctx.saved_tensors
        gradients = launch.backward(q, k, v, out, lse, dout, ctx.scale, ctx.causal, ctx.plan)
        return (*gradients, None, None, None)
