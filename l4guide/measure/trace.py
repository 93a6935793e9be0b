"""The online softmax watched at work: the forward kernel in Triton's interpreter, block of keys by block of keys.

The kernel is the one that GPUs run. In the interpreter its pieces are Python, so that what passes between them can be
noted on the way: the running maximum m, the sum l and the factor alpha of every row. Beside them stand the same numbers
of the exact softmax over the keys seen so far, in fp64. Runs inside the worker, without a GPU even where there is one.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from l4guide.frozen import frozen
from l4guide.kernels import load_kernels
from l4guide.workload import one_of

if TYPE_CHECKING:
    import numpy
    import torch

Emit = Callable[..., None]

#: Queries and keys of one head, so few that every number can be looked at.
SEQLEN, HEAD_DIM = 64, 16
#: A block has half as many keys as queries, so that under a causal mask some queries see nothing of their last block.
BLOCK_M, BLOCK_N, WARPS, STAGES = 32, 16, 4, 2
ARCH = 89
DTYPES = ("fp16", "bf16", "fp32")
#: Queries are drawn this much wider than keys: with all scores alike the maximum would hardly move.
SPREAD = 3.0


@frozen
class Step:
    """What one row knows after one block of keys, `first_key` to `last_key`; scores are in base 2.

    `seen` is how many of the keys the row sees, `block_max` their highest score, None where it sees none. `total` is
    the sum of exp2(score - m) so far; `exact_m` and `exact_total` are those of the softmax over all keys so far, and
    `output_error` is how far the output so far is from theirs.
    """

    first_key: int
    last_key: int
    masked: bool
    seen: int
    block_max: float | None
    m: float | None
    alpha: float
    total: float
    exact_m: float | None
    exact_total: float
    output_error: float


@dataclass(slots=True)
class _Pass:
    """What was noted of one block of keys for one block of queries."""

    rows: "numpy.ndarray[Any, Any]"
    keys: "numpy.ndarray[Any, Any]"
    masked: bool = False
    found: dict[str, "numpy.ndarray[Any, Any]"] = field(default_factory=dict)


def run_trace(request: Mapping[str, Any], emit: Emit) -> None:
    """Answer a `trace` request: `causal` and `dtype`; one `trace` event a row, then `finished`.

    Raises:
        Problem: the dtype is not one of `DTYPES`, or torch or Triton is missing.
    """
    dtype = one_of("dtype", request.get("dtype", "fp16"), DTYPES)
    causal = bool(request.get("causal", True))
    # Before the kernels are imported: it decides whether they are interpreted.
    os.environ["TRITON_INTERPRET"] = "1"
    load_kernels()
    size = {"seqlen": SEQLEN, "head_dim": HEAD_DIM, "dtype": dtype}
    emit("started", mode="interpreter", total=SEQLEN, key="trace.started", values=size)
    for row in trace(dtype, causal=causal):
        emit("trace", row=row)
    emit("finished", key="trace.finished", values=size)


def trace(dtype: str, *, causal: bool) -> Iterator[dict[str, Any]]:
    """Every row with its steps, the kernel's log-sum-exp and the exact one (base 2), and the error of its output."""
    import torch

    q, k, v = _draw(getattr(torch, _TORCH[dtype]))
    passes, out, lse = _watch(q, k, v, causal)
    ends = range(BLOCK_N, SEQLEN + 1, BLOCK_N)
    so_far = {end: exact(q, k, v, causal=causal, until=end) for end in ends}
    whole = so_far[SEQLEN]
    for row in range(SEQLEN):
        error = (out[row].double() - whole.output[row]).abs().max()
        yield {
            "row": row,
            "steps": [asdict(step) for step in _steps(row, passes, so_far)],
            "lse": float(lse[row]),
            "exact_lse": float(whole.m[row] + torch.log2(whole.total[row])),
            "max_error": float(error),
        }


_TORCH = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


def _draw(dtype: "torch.dtype") -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Queries, keys and values (SEQLEN, HEAD_DIM), the same every time."""
    import torch

    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn((SEQLEN, HEAD_DIM), generator=generator) for _ in range(3))
    return (q * SPREAD).to(dtype), k.to(dtype), v.to(dtype)


@frozen
class Exact:
    """The softmax over a row's keys so far in fp64: highest score (base 2), sum relative to it, output."""

    m: "torch.Tensor"
    total: "torch.Tensor"
    output: "torch.Tensor"


def exact(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor", *, causal: bool, until: int) -> Exact:
    """Attention of every query over the first `until` keys, as on a board; q, k and v are (SEQLEN, HEAD_DIM)."""
    import torch

    q, k, v = (x.double() for x in (q, k[:until], v[:until]))
    scores = q @ k.T * (HEAD_DIM**-0.5 * math.log2(math.e))
    if causal:
        hidden = torch.arange(until) > torch.arange(len(q))[:, None]
        scores = scores.masked_fill(hidden, -math.inf)
    m = scores.amax(1)
    weights = torch.exp2(scores - m[:, None])
    return Exact(m=m, total=weights.sum(1), output=weights @ v / weights.sum(1, keepdim=True))


def _watch(
    q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor", causal: bool
) -> "tuple[list[_Pass], torch.Tensor, torch.Tensor]":
    """One call of the forward kernel: what was noted, its output and its base-2 log-sum-exp."""
    from l4guide_kernels import launch
    from l4guide_kernels.problem import Plan, Problem, default_scale
    from l4guide_kernels.tiles import Tile

    tile = Tile(block_m=BLOCK_M, block_n=BLOCK_N, warps=WARPS, stages=STAGES)
    plan = Plan(arch=ARCH, tiles={"forward": tile})
    problem = Problem(plan=plan, scale=default_scale(HEAD_DIM), causal=causal)
    with _noting() as passes:
        out, lse = launch.forward(q[None, :, None], k[None, :, None], v[None, :, None], problem)
    return passes, out[0, :, 0], lse[0]


_PIECES = ("score", "softmax_step", "dot_rows")


@contextmanager
def _noting() -> Iterator[list[_Pass]]:
    """While this lasts, the interpreted `forward.attend` calls functions that note what its pieces give."""
    from l4guide_kernels import forward

    pieces: dict[str, Any] = vars(forward)
    score, softmax_step, dot_rows = kept = [pieces[name] for name in _PIECES]
    passes: list[_Pass] = []

    def noted_score(q: Any, k: Any, places: Any, keys: Any, *rest: Any) -> Any:  # noqa: ANN401 - Triton's tensors
        passes.append(_Pass(rows=_numbers(places)[:, 0], keys=_numbers(keys)[0]))
        return score(q, k, places, keys, *rest)

    def noted_step(scores: Any, m_i: Any, l_i: Any, masked: Any, *, factor: Any) -> Any:  # noqa: ANN401 - the same
        made = softmax_step(scores, m_i, l_i, masked, factor=factor)
        passes[-1].masked = bool(getattr(masked, "value", masked))
        named = {"scores": scores * factor, "m": made[0], "total": made[1], "alpha": made[3]}
        passes[-1].found = {name: _numbers(x) for name, x in named.items()}
        return made

    def noted_values(weights: Any, x: Any, acc: Any) -> Any:  # noqa: ANN401 - the same
        made = dot_rows(weights, x, acc)
        passes[-1].found["acc"] = _numbers(made[0])
        return made

    pieces.update(zip(_PIECES, (noted_score, noted_step, noted_values), strict=True))
    try:
        yield passes
    finally:
        pieces.update(zip(_PIECES, kept, strict=True))


def _numbers(x: Any) -> "numpy.ndarray[Any, Any]":  # noqa: ANN401 - a tensor of the interpreter
    """What a tensor of the interpreter holds now."""
    held: numpy.ndarray[Any, Any] = x.handle.data.copy()
    return held


def _steps(row: int, passes: list[_Pass], so_far: Mapping[int, Exact]) -> Iterator[Step]:
    import torch

    for one in passes:
        if row not in one.rows:
            continue
        at, found, last = int(row - one.rows[0]), one.found, int(one.keys[-1])
        scores, expected = found["scores"][at], so_far[last + 1]
        output = torch.from_numpy(found["acc"][at] / found["total"][at]).double()
        yield Step(
            first_key=int(one.keys[0]),
            last_key=last,
            masked=one.masked,
            seen=int((scores > -math.inf).sum()),
            block_max=_finite(scores.max()),
            m=_finite(found["m"][at]),
            alpha=float(found["alpha"][at]),
            total=float(found["total"][at]),
            exact_m=_finite(expected.m[row]),
            exact_total=float(expected.total[row]),
            output_error=float((output - expected.output[row]).abs().max()),
        )


def _finite(value: Any) -> float | None:  # noqa: ANN401 - a number of numpy or torch
    return float(value) if math.isfinite(value) else None
