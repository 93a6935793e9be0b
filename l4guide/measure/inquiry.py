"""PyTorch itself, asked whether a backend of its attention would take a question; no kernel is launched.

It is asked in a worker process, since its answer needs a CUDA context.
"""

from collections.abc import Callable, Mapping
from typing import Any

from l4guide.frozen import frozen
from l4guide.measure.peers import explained
from l4guide.measure.run import Event, Run
from l4guide.text import Sentence
from l4guide.workload import Workload, ask

#: Our name of a backend -> the function of `torch.backends.cuda` that answers for it.
BACKENDS = {
    "torch/flash": "can_use_flash_attention",
    "torch/efficient": "can_use_efficient_attention",
    "torch/cudnn": "can_use_cudnn_attention",
}
#: What the answer does not hang on may be small: an inquiry should not need a card's whole memory.
MOST_KEYS, MOST_QUERIES = 256, 128
DEADLINE_S = 120.0


@frozen
class Reply:
    """What PyTorch said of one backend: whether it can be used, and its own reasons where it cannot."""

    backend: str
    can_be_used: bool
    reasons: tuple[str, ...]


def ask_torch(workload: Workload) -> tuple[Reply, ...] | Sentence:
    """Ask the installed PyTorch about `workload` on the attached GPU, or say why it gave no answer.

    Raises:
        CannotDo: no process can be started.
    """
    replies: list[Reply] = []

    def hear(event: Event) -> None:
        if event["kind"] == "reply":
            replies.append(Reply(**{**event["reply"], "reasons": tuple(event["reply"]["reasons"])}))

    run = Run(hear, deadline_s=DEADLINE_S)
    asked = {name: getattr(workload, name) for name in workload.__dataclass_fields__}
    run.start({"kind": "inquiry", "workload": asked})
    run.join()
    last = run.last or {}
    return tuple(replies) if last.get("kind") == "finished" else Sentence(last["key"], last["values"])


def answer_inquiry(request: Mapping[str, Any], emit: Callable[..., None]) -> None:
    """Answer an `inquiry` request inside the worker: an event `reply` for each backend.

    Raises:
        BadInput: the workload is malformed.
    """
    from torch.backends import cuda

    workload, _ = ask(request.get("workload", {}))
    params = _params(workload, request.get("device", "cuda"))
    for backend, name in BACKENDS.items():
        function = getattr(cuda, name, None)
        if function is None:
            continue
        with explained() as reasons:
            can_be_used = bool(function(params, debug=True))
        reply = {
            "backend": backend,
            "can_be_used": can_be_used,
            "reasons": [] if can_be_used else list(reasons),
        }
        emit("reply", reply=reply)
    emit("finished", key="measure.inquired", values={"backends": len(BACKENDS)})


def _params(workload: Workload, device: str) -> Any:  # noqa: ANN401
    """The question as PyTorch's dispatcher sees it: shapes, dtype, whether gradients are wanted, dropout, mask."""
    import torch
    from torch.backends import cuda

    dtypes = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
    dtype = dtypes.get(workload.dtype, torch.float8_e4m3fn)
    keys = min(workload.seqlen_kv, MOST_KEYS)
    square = workload.seqlen_q == workload.seqlen_kv
    queries = keys if square else min(workload.seqlen_q, MOST_QUERIES)
    # Without enable_gqa K and V are repeated to the heads of Q first.
    kept = workload.kv_heads if workload.enable_gqa else workload.heads
    shapes = (
        (workload.heads, queries, workload.head_dim),
        (kept, keys, workload.head_dim),
        (kept, keys, workload.head_dim_v),
    )
    tensors = [torch.empty((1, *shape), dtype=dtype, device=device) for shape in shapes]
    for tensor in tensors:
        tensor.requires_grad_(workload.task == "training")
    mask = None
    if workload.mask != "none":
        mask = torch.zeros(
            queries, keys, dtype=torch.bool if workload.mask == "bool" else dtype, device=device
        )
        mask.requires_grad_(workload.mask_grad)
    is_causal = workload.causal and workload.seqlen_q > 1 and mask is None
    params: Any = cuda.SDPAParams
    return params(*tensors, mask, workload.dropout, is_causal, kept != workload.heads)
