"""Plain questions made ready for the launchers: what every public function with a gradient does."""

from collections.abc import Mapping, Sequence

import torch

from l4guide_kernels import launch
from l4guide_kernels.autograd import Attention
from l4guide_kernels.checks import check_dropout, check_sink, check_slopes, check_tiles, window_bounds
from l4guide_kernels.problem import Plan, Problem, default_scale, device_arch
from l4guide_kernels.tiles import HEAD_MULTIPLE, Tile

_SEEDS = 2**62


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
    seed = None
    if dropout_p:
        # From torch's own generator, so that torch.manual_seed and activation checkpoints hold.
        seed = torch.randint(_SEEDS, (1,), dtype=torch.int64, device=q.device)
    return Problem(
        plan=plan(q, arch, tiles),
        scale=default_scale(q.shape[-1]) if softmax_scale is None else softmax_scale,
        causal=causal,
        left=left,
        right=None if causal else right,
        softcap=max(softcap, 0.0),
        dropout=dropout_p,
        seed=seed,
        slopes=None if alibi_slopes is None else alibi_slopes.contiguous(),
        sink=None if learnable_sink is None else learnable_sink.detach(),
    )


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    problem: Problem,
    sink: torch.Tensor | None,
    *,
    return_attn_probs: bool,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Runs it: the output, or flash-attn's three values."""
    padded_q, padded_k, padded_v = padded(q), padded(k), padded(v)
    out, lse = Attention.apply(padded_q, padded_k, padded_v, sink, problem)  # type: ignore[no-untyped-call]
    out = out[..., : v.shape[-1]]
    if not return_attn_probs:
        return out
    probabilities = q.new_empty(0)
    if problem.dropout:
        with torch.no_grad():
            probabilities = launch.probabilities(padded_q, padded_k, lse, problem)
    return out, launch.natural(lse, q), probabilities


def padded(x: torch.Tensor) -> torch.Tensor:
    """`x` with zero columns up to a multiple of 8, as flash-attn does: loads are of 16 bytes."""
    missing = -x.shape[-1] % HEAD_MULTIPLE
    return torch.nn.functional.pad(x, (0, missing)) if missing else x
