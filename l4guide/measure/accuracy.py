"""How far an implementation is from fp64, on a slice of the problem that a readable reference can afford.

The slice is the last sequence, the last KV head with its query heads, and the last rows of queries, which see
every key. Gradients are exact on it too: the incoming gradient is zero outside the slice, and a row whose
incoming gradient is zero adds nothing to any gradient. The call itself runs on the whole problem.

An implementation passes when its error is at most twice PyTorch's own in the same dtype plus one rounding of
the result, the rule of FlashAttention's tests.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from l4guide.frozen import frozen
from l4guide.workload import Workload

if TYPE_CHECKING:
    import torch

    Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

#: What the reference may hold in memory: a few score matrices of fp64.
REFERENCE_BYTES = 2**30
SCORE_COPIES = 8
#: Adding this to a number and taking it away again leaves one rounding error of the dtype.
ROUNDING_PROBE = 0.3


@frozen
class Inputs:
    """Tensors (batch, seqlen, heads, head_dim); `grad_out` is None where no gradient is asked for.

    `rows` is how many of the last queries the reference computes.
    """

    q: "torch.Tensor"
    k: "torch.Tensor"
    v: "torch.Tensor"
    grad_out: "torch.Tensor | None"
    rows: int


@frozen
class Accuracy:
    """Errors of one pass, of the tensor that came nearest to its bound or went furthest beyond it.

    `cosine` is that of the angle between that tensor and fp64's, both taken as vectors.
    """

    max_error: float | None
    torch_error: float
    bound: float
    cosine: float | None
    worst_tensor: str

    @property
    def passed(self) -> bool:
        """Whether the error is within the bound; one that is no number is not."""
        return self.max_error is not None and self.max_error <= self.bound


def draw(workload: Workload, device: str, *, seed: int = 0) -> Inputs:
    """Normal random inputs for `workload` on `device`, the same for the same seed and device."""
    import torch

    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[workload.dtype]
    generator = torch.Generator(device=device).manual_seed(seed)

    def normal(seqlen: int, heads: int) -> torch.Tensor:
        shape = (workload.batch, seqlen, heads, workload.head_dim)
        return torch.randn(shape, generator=generator, dtype=dtype, device=device)

    q = normal(workload.seqlen_q, workload.heads)
    k, v = (normal(workload.seqlen_kv, workload.kv_heads) for _ in range(2))
    grad_out = normal(workload.seqlen_q, workload.heads) if workload.task == "training" else None
    return Inputs(q=q, k=k, v=v, grad_out=grad_out, rows=affordable_rows(workload))


def affordable_rows(workload: Workload) -> int:
    """How many queries the reference computes: all, or as many as fit into `REFERENCE_BYTES`."""
    group = workload.heads // workload.kv_heads
    row_bytes = workload.seqlen_kv * group * 8 * SCORE_COPIES
    return max(1, min(workload.seqlen_q, REFERENCE_BYTES // row_bytes))


class Oracle:
    """The fp64 answer for the slice of `inputs`, and what the dtype itself costs."""

    def __init__(self, workload: Workload, inputs: Inputs) -> None:
        import torch

        self._inputs = inputs
        self._group = workload.heads // workload.kv_heads
        slice_ = self._cut({"q": inputs.q, "k": inputs.k, "v": inputs.v, "out": inputs.grad_out})
        exact = _reference({name: x.to(torch.float64) for name, x in slice_.items()}, workload.causal)
        plain = _reference(slice_, workload.causal)
        self._exact = exact
        self._torch_error = {name: _distance(plain[name], exact[name]) for name in exact}
        self._bound = {
            name: 2 * (self._torch_error[name] or 0.0) + _rounding(exact[name], inputs.q.dtype)
            for name in exact
        }

    def judge(self, attention: "Attention", *, trains: bool = True) -> dict[str, Accuracy]:
        """Run `attention` on the whole problem and compare the slice, by pass ("forward", "backward").

        Args:
            attention: takes q, k and v, returns the output.
            trains: whether it can be differentiated; if not, its backward is left out.
        """
        import torch

        inputs = self._inputs
        if inputs.grad_out is None or not trains:
            with torch.no_grad():
                found = {"out": attention(inputs.q, inputs.k, inputs.v)}
        else:
            grad_out = inputs.grad_out.clone()
            grad_out[:, : grad_out.shape[1] - inputs.rows] = 0
            leaves = [x.detach().requires_grad_() for x in (inputs.q, inputs.k, inputs.v)]
            out = attention(*leaves)
            grads = torch.autograd.grad(out, leaves, grad_out)
            found = {"out": out.detach(), **dict(zip(("dq", "dk", "dv"), grads, strict=True))}
        cut = self._cut({name.removeprefix("d"): x for name, x in found.items()})
        slices = {name: cut[name.removeprefix("d")] for name in found}
        passes = {"forward": ["out"], "backward": [name for name in slices if name != "out"]}
        return {name: self._worst(slices, tensors) for name, tensors in passes.items() if tensors}

    def _cut(self, tensors: Mapping[str, "torch.Tensor | None"]) -> dict[str, "torch.Tensor"]:
        """The slice of each tensor; queries and outputs by rows, keys and values whole."""
        cut = {}
        for name, x in tensors.items():
            if x is not None:
                mine = x[-1:, :, -1:] if name in {"k", "v"} else x[-1:, -self._inputs.rows :, -self._group :]
                cut[name] = mine.detach().contiguous()
        return cut

    def _worst(self, found: Mapping[str, "torch.Tensor"], names: list[str]) -> Accuracy:
        errors = {name: _distance(found[name], self._exact[name]) for name in names}

        def share(name: str) -> float:
            error = errors[name]
            if error is None or error > self._bound[name]:
                return math.inf
            return error / self._bound[name] if error else 0.0

        worst = max(names, key=share)
        return Accuracy(
            max_error=errors[worst],
            torch_error=self._torch_error[worst] or 0.0,
            bound=self._bound[worst],
            cosine=_cosine(found[worst], self._exact[worst]),
            worst_tensor=worst,
        )


def _reference(tensors: Mapping[str, "torch.Tensor"], causal: bool) -> dict[str, "torch.Tensor"]:
    """Output, and the gradients where an incoming one is given, in the dtype of the tensors."""
    import torch
    from l4guide_kernels.reference import reference_attention

    leaves = [tensors[name].clone().requires_grad_("out" in tensors) for name in ("q", "k", "v")]
    out, _ = reference_attention(*leaves, causal=causal)
    if "out" not in tensors:
        return {"out": out}
    grads = torch.autograd.grad(out, leaves, tensors["out"])
    return {"out": out.detach(), **dict(zip(("dq", "dk", "dv"), grads, strict=True))}


def _distance(found: "torch.Tensor", exact: "torch.Tensor") -> float | None:
    """The largest absolute difference; None when it is no finite number."""
    largest = (found.double() - exact).abs().max().item()
    return largest if math.isfinite(largest) else None


def _cosine(found: "torch.Tensor", exact: "torch.Tensor") -> float | None:
    """Of the angle between two tensors as vectors; None where one is zero or not finite."""
    x, y = found.double().flatten(), exact.flatten()
    cosine = (x @ y / (x.norm() * y.norm())).item()
    return cosine if math.isfinite(cosine) else None


def _rounding(exact: "torch.Tensor", dtype: "torch.dtype") -> float:
    """The size of one rounding of the result to `dtype`, twice over as in FlashAttention's tests."""
    x = exact.to(dtype)
    return 2 * (x + ROUNDING_PROBE - ROUNDING_PROBE - x).abs().max().item()
