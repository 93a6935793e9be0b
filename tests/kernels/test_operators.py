"""The operators as PyTorch's own tools see them: opcheck, torch.compile, torch.export, fake tensors, checkpoints."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from l4guide_kernels import (
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
    launch,
    operators,
    reference_attention,
)
from l4guide_kernels.problem import Plan, Problem
from l4guide_kernels.tiles import Tile
from torch._subclasses import FakeTensorMode
from torch.utils.checkpoint import checkpoint

OPERATORS = torch.ops.l4guide
SMALL = {"forward": Tile(block_m=16, block_n=16, warps=4, stages=1)}
PLAIN = Problem(plan=Plan(arch=89), scale=0.25)
TILED = Problem(plan=Plan(arch=80, tiles=SMALL), scale=0.25)
SEED = torch.tensor([7])
CASES = {
    "causal": replace(PLAIN, causal=True),
    "window, softcap and sink": replace(TILED, left=3, right=-1, softcap=5.0, sink=torch.tensor([0.5, -1.0])),
    "slopes and dropout": replace(PLAIN, slopes=torch.tensor([0.5, 0.25]), dropout=0.25, seed=SEED),
}
EVERY = pytest.mark.parametrize("problem", CASES.values(), ids=CASES)
VARLEN = replace(
    PLAIN,
    causal=True,
    cu_q=torch.tensor([0, 2, 5], dtype=torch.int32),
    cu_k=torch.tensor([0, 3, 7], dtype=torch.int32),
    max_q=3,
    max_k=4,
)


def rows(*shape: int, seed: int = 0, grad: bool = False) -> torch.Tensor:
    """Random numbers, the same for the same shape and seed."""
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return made.requires_grad_(grad)


def inputs(*, grad: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k and v of two sequences, five queries and seven keys; v with a head_dim of its own."""
    return (
        rows(2, 5, 2, 16, grad=grad),
        rows(2, 7, 1, 16, seed=1, grad=grad),
        rows(2, 7, 1, 24, seed=2, grad=grad),
    )


def packed(*, grad: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same rows for `VARLEN`."""
    return rows(5, 2, 16, grad=grad), rows(7, 1, 16, seed=1, grad=grad), rows(7, 1, 24, seed=2, grad=grad)


def passes(operator: Any, arguments: tuple[Any, ...]) -> None:
    """opcheck: schema, autograd registration, fake tensors, and AOT dispatch with dynamic shapes."""
    found = torch.library.opcheck(operator.default, arguments)
    assert {"SUCCESS"} == set(found.values())


def test_the_schema_holds_every_field_of_a_problem() -> None:
    """Nothing that a problem says is lost on the way through an operator."""
    names = [argument.name for argument in OPERATORS.attention_forward.default._schema.arguments]
    told = [field.name for field in fields(Problem) if field.name != "plan"]
    assert ["q", "k", "v", *told, "arch", "tiles"] == names
    assert operators.unflat(rows(1), operators.flat(TILED)) == TILED


@EVERY
def test_the_forward_operator_passes_opcheck(problem: Problem) -> None:
    """Each set of features, with gradients asked for."""
    passes(OPERATORS.attention_forward, (*inputs(grad=True), *operators.flat(problem)))


def test_a_varlen_batch_passes_opcheck() -> None:
    """Three axes and offsets in place of a batch axis."""
    passes(OPERATORS.attention_forward, (*packed(grad=True), *operators.flat(VARLEN)))


@pytest.mark.parametrize("case", ["window, softcap and sink", "slopes and dropout"])
def test_the_backward_operator_passes_opcheck(case: str) -> None:
    """The gradients have the shapes, dtypes and strides that their fakes promise."""
    (q, k, v), problem = inputs(), CASES[case]
    out, lse = OPERATORS.attention_forward(q, k, v, *operators.flat(problem))
    passes(
        OPERATORS.attention_backward,
        (rows(*out.shape), rows(*lse.shape), q, k, v, out, lse, *operators.flat(problem)),
    )


def test_the_operators_without_a_gradient_pass_opcheck() -> None:
    """Decoding over a cache, the probabilities that dropout leaves, and rows written to a cache."""
    q, k, v = inputs()
    used = replace(PLAIN, causal=True, used_k=torch.tensor([7, 3], dtype=torch.int32))
    passes(OPERATORS.attention_decode, (q, k, v, 2, *operators.flat(used)))
    dropped = CASES["slopes and dropout"]
    _, lse = OPERATORS.attention_forward(q, k, v, *operators.flat(dropped))
    passes(OPERATORS.attention_probabilities, (q, k, lse, *operators.flat(dropped)))
    lengths = torch.tensor([2, 0], dtype=torch.int32)
    new, cache = rows(2, 3, 1, 16, seed=3), k.clone()
    passes(OPERATORS.place_rows, (new, cache, lengths, True, 1, None, None, True, *operators.flat(PLAIN)))


@EVERY
def test_a_fake_run_promises_what_a_real_one_returns(problem: Problem) -> None:
    """Shapes, dtypes and strides."""
    real = OPERATORS.attention_forward(*inputs(), *operators.flat(problem))
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = OPERATORS.attention_forward(*inputs(), *operators.flat(problem))
    for found, promised in zip(real, fake, strict=True):
        assert (promised.shape, promised.dtype, promised.stride()) == (
            found.shape,
            found.dtype,
            found.stride(),
        )


def test_the_log_sum_exp_is_differentiable() -> None:
    """In q, k and the sink: parts of attention can be merged by their log-sum-exps, and trained."""
    found = []
    for dtype in (torch.float64, torch.float32):
        q, k, v = (x.detach().to(dtype).requires_grad_() for x in inputs())
        sink = torch.tensor([0.5, -1.0], dtype=dtype, requires_grad=True)
        if dtype == torch.float64:
            _, lse = reference_attention(q, k, v, softmax_scale=0.25, causal=True, learnable_sink=sink)
        else:
            _, base2 = operators.attention(q, k, v, replace(PLAIN, causal=True, sink=sink))
            lse = launch.natural(base2, q)
        found.append(torch.autograd.grad(lse.sin().sum(), (q, k, sink)))
    for expected, given in zip(*found, strict=True):
        torch.testing.assert_close(expected.float(), given)


def module(problem: Problem) -> Callable[..., torch.Tensor]:
    """Attention with work around it, as in a model."""

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        out, _ = operators.attention(q * 2.0, k, v, problem)
        return out.flatten(-2).sin()

    return run


def test_compiled_with_dynamic_shapes_it_gives_the_same_bits() -> None:
    """Output and gradients, without a graph break, of a head_dim that is padded too."""
    run = module(CASES["window, softcap and sink"])
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager", dynamic=True)
    found = []
    for function in (run, compiled):
        q, k, v = (x[..., :13].detach().requires_grad_() for x in inputs())
        out = function(q, k, v)
        out.backward(torch.ones_like(out))  # type: ignore[no-untyped-call]
        found.append((out.detach(), q.grad, k.grad, v.grad))
    for eager, traced in zip(*found, strict=True):
        assert torch.equal(eager, traced)


def test_the_public_functions_compile_without_a_graph_break(monkeypatch: pytest.MonkeyPatch) -> None:
    """flash-attn's functions with their checks, dropout's seed, offsets, and a cache that is written to."""
    # Dynamo cannot trace the allocators that poison memory.
    monkeypatch.undo()
    q, k, v = inputs()
    offsets = {"cu_seqlens_q": VARLEN.cu_q, "cu_seqlens_k": VARLEN.cu_k, "max_seqlen_q": 3, "max_seqlen_k": 4}
    cos, sin = rows(7, 4, seed=4).cos(), rows(7, 4, seed=4).sin()
    new = {
        "k": rows(2, 5, 1, 16, seed=5),
        "v": rows(2, 5, 1, 24, seed=6),
        "rotary_cos": cos,
        "rotary_sin": sin,
    }
    cases: list[tuple[Callable[..., Any], tuple[torch.Tensor, ...], dict[str, Any]]] = [
        (flash_attn_func, (q, k, v), {"dropout_p": 0.5, "window_size": (3, 2), "return_attn_probs": True}),
        (flash_attn_varlen_func, packed(), {**offsets, "causal": True}),
        (flash_attn_with_kvcache, (q, k, v), {**new, "cache_seqlens": torch.tensor([1, 2]), "causal": True}),
    ]
    for function, tensors, options in cases:
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        results = []
        for run in (function, compiled):
            torch.manual_seed(0)
            own = tuple(x.clone() for x in tensors)
            made = run(*own, **options)
            results.append((*(made if isinstance(made, tuple) else (made,)), *own))
        for eager, traced in zip(*results, strict=True):
            assert torch.equal(eager, traced)


def test_exported_it_runs_at_other_lengths() -> None:
    """A module exported with a dynamic sequence axis answers as itself at a length it was not exported with."""

    class Block(torch.nn.Module):
        def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return module(CASES["causal"])(q, k, v)

    length = {1: torch.export.Dim("length", min=2, max=64)}
    examples = tuple(rows(2, 6, heads, 16, seed=heads) for heads in (2, 1, 1))
    program = torch.export.export(Block(), examples, dynamic_shapes=(length, length, length))
    others = tuple(rows(2, 9, heads, 16, seed=heads) for heads in (2, 1, 1))
    assert torch.equal(Block()(*others), program.module()(*others))


def test_a_checkpointed_forward_pass_drops_the_same_weights_again() -> None:
    """The seed is drawn from torch's generator, which a checkpoint puts back."""

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        problem = replace(PLAIN, dropout=0.5, seed=operators.draw_seed(q.device))
        return operators.attention(q, k, v, problem)[0]

    found = []
    for function in (run, lambda *x: checkpoint(run, *x, use_reentrant=False)):
        torch.manual_seed(3)
        q, k, v = inputs(grad=True)
        function(q, k, v).square().sum().backward()
        found.append((q.grad, k.grad, v.grad))
    for kept, again in zip(*found, strict=True):
        assert torch.equal(kept, again)


def test_the_generator_decides_the_seed() -> None:
    """The same torch.manual_seed, the same seed; the next draw differs."""
    torch.manual_seed(11)
    first, second = operators.draw_seed(torch.device("cpu")), operators.draw_seed(torch.device("cpu"))
    torch.manual_seed(11)
    assert torch.equal(first, operators.draw_seed(torch.device("cpu")))
    assert not torch.equal(first, second)
