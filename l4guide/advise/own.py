"""The verdict on this project's own kernels: their tiles, as compiled, against the card's limits."""

from l4guide import __version__
from l4guide.catalogue import Gpu
from l4guide.errors import Problem
from l4guide.resources import Resources, resources_for
from l4guide.support import Reason, Verdict
from l4guide.support.conditions import FEATURES
from l4guide.text import Sentence
from l4guide.workload import Workload

KERNELS = {
    "prefill": ("forward",),
    "decode": ("decode",),
    "training": ("forward", "backward-dkdv", "backward-dq"),
}
#: What the kernels do beyond plain attention.
SUPPORTED = frozenset({"gqa", "causal-unequal", "deterministic"})
LIBRARY = "l4guide"


def own_resources(workload: Workload, gpu: Gpu) -> tuple[tuple[Resources, ...], Problem | None]:
    """What each kernel of the task needs on the card, or the reason why these kernels do not serve it."""
    try:
        return tuple(
            resources_for(gpu, kernel, workload.head_dim, workload.dtype) for kernel in KERNELS[workload.task]
        ), None
    except Problem as problem:
        return (), problem


def oversized(workload: Workload, gpu: Gpu) -> Resources | None:
    """FlashAttention-1's backward tile shape in our kernel; None where its head dims or this card are not meant."""
    if workload.task != "training" or not 64 < workload.head_dim <= 128:
        return None
    head_dim, dtype = workload.head_dim, workload.dtype
    try:
        found = resources_for(
            gpu, "backward-dkdv", head_dim, dtype, block_m=128, block_n=128, warps=8, stages=2
        )
    except Problem:
        return None
    return found if not found.fits else None


def own_verdict(workload: Workload, gpu: Gpu) -> Verdict:
    """Whether our kernels run the workload on the card; ok only where every tile fits."""
    resources, problem = own_resources(workload, gpu)
    reasons = [
        _reason("L4G-FEATURE", name, Sentence("own.no_feature", {"feature": name}))
        for name in _unsupported(workload)
    ]
    if problem is not None:
        reasons.append(_reason("L4G-SERVES", "gpu", problem.sentence))
    for item in resources:
        if not item.fits:
            reasons.append(_reason("L4G-SHARED", item.kernel, _over(item)))
    refused = bool(reasons)
    proven = all(item.kind == "compiled" for item in resources)
    message = reasons[0].text if refused else _fits(resources, proven)
    return Verdict(
        library=LIBRARY,
        version=__version__,
        released=None,
        status="refused" if refused else "ok",
        message=message,
        reasons=tuple(reasons),
        raises=None,
        first_version=None if refused else __version__,
        first_released=None,
        last_refused=None,
        evidence=None if refused else "compiled" if proven else "inferred",
        source=None,
        place="data/resources",
    )


def _unsupported(workload: Workload) -> list[str]:
    return [name for name, used in FEATURES.items() if name not in SUPPORTED and used(workload)]


def _over(item: Resources) -> Sentence:
    return Sentence(
        "own.too_large", {"kernel": item.kernel, "needed": item.shared_bytes, "limit": item.limit_bytes}
    )


def _reason(code: str, field: str, text: Sentence) -> Reason:
    return Reason(
        code=code,
        status="refused",
        field=field,
        found=None,
        needed=None,
        text=text,
        evidence="compiled" if code == "L4G-SHARED" else "source",
        consequence_evidence=None,
        source=None,
        place="data/resources",
    )


def _fits(resources: tuple[Resources, ...], proven: bool) -> Sentence:
    if not proven:
        return Sentence("own.ok_by_formula", {"kernels": len(resources)})
    versions = sorted({item.triton_version for item in resources if item.triton_version})
    return Sentence("own.ok", {"kernels": len(resources), "triton": ", ".join(versions)})
