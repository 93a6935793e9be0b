"""Plain questions made ready for the launchers: what every public function with a gradient does."""

from collections.abc import Mapping, Sequence

import torch

from l4guide_kernels import launch, operators
from l4guide_kernels.checks import check_dropout, check_sink, check_slopes, check_tiles, window_bounds
from l4guide_kernels.problem import Plan, Problem, default_scale, device_arch
from l4guide_kernels.tiles import Tile


def plan(q: torch.Tensor, arch: int | None, tiles: Mapping[str, Tile] | None) -> Plan:
    """Whose tiles: those of `arch`, else of q's device, with the caller's own in their place."""
    check_tiles(tiles or {})
    return Plan(arch=device_arch(q.device) if arch is None else arch, tiles=tiles or {})


def describe(
    q: torch.Tensor,
    *,
    batch: int,
    softmax_scale: float | None,
    causal: bool,
    window_size: Sequence[int],
    softcap: float,
    alibi_slopes: torch.Tensor | None,
    learnable_sink: torch.Tensor | None,
    arch: int | None,
    tiles: Mapping[str, Tile] | None,
    dropout_p: float = 0.0,
) -> Problem:
    """A `Problem` without its sequences, from flash-attn's arguments.

    Raises:
        ValueError: A value is out of its range.
    """
    check_dropout(dropout_p)
    check_slopes(alibi_slopes, batch, q)
    check_sink(learnable_sink, q)
    left, right = window_bounds(window_size)
    return Problem(
        plan=plan(q, arch, tiles),
        scale=default_scale(q.shape[-1]) if softmax_scale is None else softmax_scale,
        causal=causal,
        left=left,
        right=None if causal else right,
        softcap=max(softcap, 0.0),
        dropout=dropout_p,
        seed=operators.draw_seed(q.device) if dropout_p else None,
        slopes=None if alibi_slopes is None else alibi_slopes.contiguous(),
        sink=learnable_sink,
    )


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    problem: Problem,
    *,
    return_attn_probs: bool,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Runs it: the output, or flash-attn's three values."""
    out, lse = operators.attention(q, k, v, problem)
    if not return_attn_probs:
        return out
    probabilities = operators.probabilities(q, k, lse, problem) if problem.dropout else q.new_empty(0)
    return out, launch.natural(lse, q), probabilities
