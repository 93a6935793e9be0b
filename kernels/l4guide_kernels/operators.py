"""The kernels as PyTorch operators, through which autograd, torch.compile, torch.export and fake tensors see.

    l4guide::attention_forward(q, k, v, settings…) -> (out, lse)
    l4guide::attention_backward(dout, dlse, q, k, v, out, lse, settings…) -> (dq, dk, dv, dsink)
    l4guide::attention_decode(q, k, v, splits, settings…) -> (out, lse)
    l4guide::attention_probabilities(q, k, lse, settings…) -> p
    l4guide::place_rows(x, y, lengths, in_cache, step, cos, sin, interleaved, settings…)     writes y

An operator's schema is flat, so that a graph can hold it: `settings…` are the fields of `Problem` in their order, then
`arch` and `tiles`. But for `place_rows` operators change nothing they are given, and none draws anything: dropout's
seed comes in as a tensor (`draw_seed`), so that a forward pass run again drops the same weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import torch

from l4guide_kernels import launch
from l4guide_kernels.problem import Plan, Problem, device_arch
from l4guide_kernels.tiles import HEAD_MULTIPLE, KERNELS, QUANTIZED, Tile

_TILED = (*KERNELS, *QUANTIZED)

_KINDS: dict[object, str] = {
    torch.Tensor | None: "Tensor?",
    float: "float",
    int | None: "SymInt?",
    int: "SymInt",
    bool: "bool",
}
_HINTS = get_type_hints(Problem)
_FIELDS = tuple(field for field in fields(Problem) if field.name != "plan")
_NAMES = tuple(field.name for field in _FIELDS)
_SETTINGS = ", ".join(
    [
        f"{_KINDS[_HINTS[field.name]]} {field.name}"
        + ("" if field.default is MISSING else f"={field.default}")
        for field in _FIELDS
    ]
    + ["SymInt? arch=None", "SymInt[] tiles=[]"]
)


def encode_tiles(tiles: Mapping[str, Tile]) -> list[int]:
    """Tiles by kernel name as numbers, which a graph can hold: the kernel's place in the list, then its tile."""
    encoded: list[int] = []
    for place, kernel in enumerate(_TILED):
        if kernel in tiles:
            tile = tiles[kernel]
            encoded += [place, tile.block_m, tile.block_n, tile.warps, tile.stages, int(tile.boxes)]
    return encoded


def decode_tiles(encoded: Sequence[int]) -> dict[str, Tile]:
    """What `encode_tiles` was given."""
    return {
        _TILED[place]: Tile(
            block_m=block_m, block_n=block_n, warps=warps, stages=stages, boxes=bool(in_boxes)
        )
        for place, block_m, block_n, warps, stages, in_boxes in zip(*[iter(encoded)] * 6, strict=True)
    }


def flat(problem: Problem) -> tuple[Any, ...]:
    """A problem as the operators take it."""
    values = (getattr(problem, name) for name in _NAMES)
    return (*values, problem.plan.arch, encode_tiles(problem.plan.tiles))


def unflat(q: torch.Tensor, settings: Sequence[object]) -> Problem:
    """What `flat` was given. The dispatcher leaves out what equals its default at the end."""
    known: dict[str, Any] = dict(zip((*_NAMES, "arch", "tiles"), settings, strict=False))
    arch, tiles = known.pop("arch", None), known.pop("tiles", [])
    plan = Plan(arch=device_arch(q.device) if arch is None else arch, tiles=decode_tiles(tiles))
    return Problem(plan=plan, **known)


def draw_seed(device: torch.device) -> torch.Tensor:
    """A seed for dropout from torch's generator, (1,) int64 on `device`; nobody waits for a GPU."""
    return torch.randint(2**63 - 1, (1,), dtype=torch.int64, device=device)


def padded(x: torch.Tensor) -> torch.Tensor:
    """`x` with zero columns up to a multiple of 8, as flash-attn does: loads are of 16 bytes."""
    missing = -x.shape[-1] % HEAD_MULTIPLE
    return torch.nn.functional.pad(x, (0, missing)) if missing else x


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, problem: Problem
) -> tuple[torch.Tensor, torch.Tensor]:
    """`launch.forward` for any head_dim; both results are differentiable in q, k, v and the sink."""
    out, lse = torch.ops.l4guide.attention_forward(padded(q), padded(k), padded(v), *flat(problem))
    return out[..., : v.shape[-1]], lse


def decode(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, problem: Problem, *, splits: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """`launch.decode` for any head_dim; no gradient."""
    out, lse = torch.ops.l4guide.attention_decode(padded(q), padded(k), padded(v), splits, *flat(problem))
    return out[..., : v.shape[-1]], lse


def probabilities(q: torch.Tensor, k: torch.Tensor, lse: torch.Tensor, problem: Problem) -> torch.Tensor:
    """`launch.probabilities` for any head_dim; no gradient."""
    with torch.no_grad():
        made: torch.Tensor = torch.ops.l4guide.attention_probabilities(
            padded(q), padded(k), lse, *flat(problem)
        )
    return made


def place(
    x: torch.Tensor,
    y: torch.Tensor,
    lengths: torch.Tensor,
    problem: Problem,
    *,
    in_cache: bool,
    step: int = 1,
    rotary: tuple[torch.Tensor, torch.Tensor] | None = None,
    interleaved: bool = True,
) -> None:
    """`launch.place` for any head_dim and any strides: writes rows of `x` to `y`; no gradient."""
    cos, sin = rotary or (None, None)
    torch.ops.l4guide.place_rows(x, y, lengths, in_cache, step, cos, sin, interleaved, *flat(problem))


@torch.library.custom_op(
    "l4guide::attention_forward",
    mutates_args=(),
    schema=f"(Tensor q, Tensor k, Tensor v, {_SETTINGS}) -> (Tensor, Tensor)",
)
def _forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *settings: object
) -> tuple[torch.Tensor, torch.Tensor]:
    return launch.forward(q, k, v, unflat(q, settings))


@torch.library.custom_op(
    "l4guide::attention_decode",
    mutates_args=(),
    schema=f"(Tensor q, Tensor k, Tensor v, SymInt splits, {_SETTINGS}) -> (Tensor, Tensor)",
)
def _decode(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, splits: int, *settings: object
) -> tuple[torch.Tensor, torch.Tensor]:
    return launch.decode(q, k, v, unflat(q, settings), splits=splits)


@_forward.register_fake
@_decode.register_fake
def _forward_fake(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *settings: object
) -> tuple[torch.Tensor, torch.Tensor]:
    # Not torch.Size.numel: it would tie an exported graph to the lengths of its example.
    rows = math.prod(q.shape[:-2])
    lse = q.new_empty((q.shape[-2], rows), dtype=launch.sums(q))
    return q.new_empty((*q.shape[:-1], v.shape[-1])), lse


@torch.library.custom_op(
    "l4guide::attention_backward",
    mutates_args=(),
    schema=(
        "(Tensor dout, Tensor? dlse, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, "
        f"{_SETTINGS}) -> (Tensor, Tensor, Tensor, Tensor)"
    ),
)
def _backward(
    dout: torch.Tensor,
    dlse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    *settings: object,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    dq, dk, dv, dsink = launch.backward(q, k, v, out, lse, dout, unflat(q, settings), dlse)
    return dq, dk, dv, lse.new_empty(0) if dsink is None else dsink


@_backward.register_fake
def _backward_fake(
    dout: torch.Tensor,
    dlse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    *settings: object,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    known: dict[str, Any] = dict(zip(_NAMES, settings, strict=False))
    sink = known.get("sink")
    dq, dk, dv = (x.new_empty(x.shape) for x in (q, k, v))
    return dq, dk, dv, lse.new_empty(0) if sink is None else sink.new_empty(sink.shape)


def _keep(ctx: Any, inputs: Sequence[Any], output: tuple[torch.Tensor, torch.Tensor]) -> None:  # noqa: ANN401
    """Keeps what the backward pass recomputes P from: tensors where autograd watches over them, the rest beside."""
    q, k, v, *settings = inputs
    out, lse = output
    ctx.places = [place for place, value in enumerate(settings) if isinstance(value, torch.Tensor)]
    ctx.save_for_backward(q, k, v, out, lse, *(settings[place] for place in ctx.places))
    ctx.settings = [None if isinstance(value, torch.Tensor) else value for value in settings]
    ctx.set_materialize_grads(False)


def _differentiate(
    ctx: Any,  # noqa: ANN401 - autograd's context has no public type
    dout: torch.Tensor | None,
    dlse: torch.Tensor | None,
) -> tuple[torch.Tensor | None, ...]:
    """Gradients of q, k, v and the sink; None for every other argument."""
    q, k, v, out, lse, *tensors = ctx.saved_tensors
    settings = list(ctx.settings)
    for place, tensor in zip(ctx.places, tensors, strict=True):
        settings[place] = tensor
    of_settings: list[torch.Tensor | None] = [None] * len(settings)
    dout = torch.zeros_like(out) if dout is None else dout
    dq, dk, dv, dsink = torch.ops.l4guide.attention_backward(dout, dlse, q, k, v, out, lse, *settings)
    if settings[_SINK] is not None:
        of_settings[_SINK] = dsink
    return (dq, dk, dv, *of_settings)


_SINK = _NAMES.index("sink")
_forward.register_autograd(_differentiate, setup_context=_keep)


@torch.library.custom_op(
    "l4guide::attention_probabilities",
    mutates_args=(),
    schema=f"(Tensor q, Tensor k, Tensor lse, {_SETTINGS}) -> Tensor",
)
def _probabilities(q: torch.Tensor, k: torch.Tensor, lse: torch.Tensor, *settings: object) -> torch.Tensor:
    return launch.probabilities(q, k, lse, unflat(q, settings))


@_probabilities.register_fake
def _probabilities_fake(
    q: torch.Tensor, k: torch.Tensor, lse: torch.Tensor, *settings: object
) -> torch.Tensor:
    known: dict[str, Any] = dict(zip(_NAMES, settings, strict=False))
    problem = Problem(plan=Plan(arch=0), **known)
    return q.new_empty((problem.batch(q), q.shape[-2], problem.seqlen_q(q), problem.seqlen_k(k)))


@torch.library.custom_op(
    "l4guide::place_rows",
    mutates_args=("y",),
    schema=(
        "(Tensor x, Tensor(a!) y, Tensor lengths, bool in_cache, SymInt step, Tensor? cos, Tensor? sin, "
        f"bool interleaved, {_SETTINGS}) -> ()"
    ),
)
def _place(
    x: torch.Tensor,
    y: torch.Tensor,
    lengths: torch.Tensor,
    in_cache: bool,
    step: int,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    interleaved: bool,
    *settings: object,
) -> None:
    rotary = None if cos is None or sin is None else (cos, sin)
    room, problem = launch.aligned(padded(y)), unflat(x, settings)
    launch.place(
        padded(x),
        room,
        lengths,
        problem,
        in_cache=in_cache,
        step=step,
        rotary=rotary,
        interleaved=interleaved,
    )
    if room is not y:
        # Rows that loads cannot take as they lie were copied: what was written must reach the caller's.
        y.copy_(room[..., : y.shape[-1]])
