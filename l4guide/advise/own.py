"""The verdict on this project's own kernels: their tiles, as compiled, against the card's limits."""

from l4guide import __version__
from l4guide.catalogue import Gpu
from l4guide.errors import Problem
from l4guide.resources import Resources, resources_for
from l4guide.support import Reason, Verdict, snippet
from l4guide.support.conditions import FEATURES
from l4guide.text import Sentence
from l4guide.workload import Workload

#: What the kernels do beyond plain attention, in the very code that was recorded, or in another form of it.
IN_ANY_FORM = frozenset({"gqa", "causal-unequal", "deterministic", "head-dim-v", "append-kv", "split-kv"})
IN_A_FORM = frozenset({"dropout", "window", "softcap", "alibi", "varlen", "paged", "sinks"})
LIBRARY = "l4guide"
FLASH = "flash-attn"
#: Nobody compiled it, and no formula knows it: that is no refusal.
UNKNOWN = "error.needs_compiler"


def kernels_of(workload: Workload) -> tuple[str, ...]:
    """The kernels that the workload runs: a cache is decoded, unless one batch holds different lengths or drops."""
    if workload.task == "training":
        return ("forward", "backward-dkdv", "backward-dq")
    cached = workload.task == "decode" or workload.paged_block_size is not None
    return ("decode",) if cached and not workload.varlen and not workload.dropout else ("forward",)


def own_resources(workload: Workload, gpu: Gpu) -> tuple[tuple[Resources, ...], Problem | None]:
    """What each kernel of the task needs on the card, or the reason why these kernels do not serve it."""
    try:
        return tuple(
            resources_for(
                gpu,
                kernel,
                workload.head_dim,
                workload.dtype,
                head_dim_v=workload.head_dim_v,
                causal=workload.causal,
            )
            for kernel in kernels_of(workload)
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
            gpu,
            "backward-dkdv",
            head_dim,
            dtype,
            causal=workload.causal,
            block_m=128,
            block_n=128,
            warps=8,
            stages=2,
        )
    except Problem:
        return None
    return found if not found.fits else None


def own_verdict(workload: Workload, gpu: Gpu) -> Verdict:
    """Whether our kernels run the workload on the card; ok only where every tile fits."""
    resources, problem = own_resources(workload, gpu)
    reasons = _refusals(workload)
    if problem is not None and problem.sentence.key != UNKNOWN:
        reasons.append(_reason("L4G-SERVES", "gpu", problem.sentence))
    reasons += [_reason("L4G-SHARED", item.kernel, _over(item)) for item in resources if not item.fits]
    forms = [name for name, used in FEATURES.items() if name in IN_A_FORM and used(workload)]
    proven = not forms and all(item.kind == "compiled" for item in resources)
    status, message = _status(resources, problem, reasons, forms)
    evidence = "compiled" if proven else "inferred"
    return Verdict(
        library=LIBRARY,
        version=__version__,
        released=None,
        status=status,
        message=message,
        reasons=tuple(reasons),
        raises=None,
        first_version=__version__ if status == "ok" else None,
        first_released=None,
        last_refused=None,
        evidence=evidence if status == "ok" else None,
        source=None,
        place="data/resources",
    )


def _status(
    resources: tuple[Resources, ...], problem: Problem | None, reasons: list[Reason], forms: list[str]
) -> tuple[str, Sentence | str]:
    if reasons:
        return "refused", reasons[0].text
    return ("ok", _fits(resources, forms)) if problem is None else ("unknown", problem.sentence)


def own_snippet(workload: Workload, gpu: Gpu) -> str:
    """How to call them: as flash-attn is called, which has no values of their own width."""
    call = snippet(FLASH, workload, gpu).replace("from flash_attn import", "from l4guide_kernels import")
    if workload.sinks:
        call = ", learnable_sink=sinks)".join(call.rsplit(")", 1))
    if workload.head_dim_v == workload.head_dim or "\nout = " not in call:
        return call
    values = f"v = torch.randn(*k.shape[:-1], {workload.head_dim_v}, device=k.device, dtype=k.dtype)"
    return call.replace("\nout = ", f"\n{values}\nout = ")


def _refusals(workload: Workload) -> list[Reason]:
    """What the kernels do not do, whatever the card."""
    reasons = [
        _reason("L4G-FEATURE", name, Sentence("own.no_feature", {"feature": name}))
        for name, used in FEATURES.items()
        if name not in IN_ANY_FORM | IN_A_FORM and used(workload)
    ]
    if workload.paged_block_size is not None:
        if "backward" in workload.passes:
            reasons.append(_reason("L4G-PAGED", "paged", Sentence("own.paged_backward")))
        if workload.dropout:
            reasons.append(_reason("L4G-PAGED", "dropout", Sentence("own.paged_dropout")))
    return reasons


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


def _fits(resources: tuple[Resources, ...], forms: list[str]) -> Sentence:
    if any(item.kind != "compiled" for item in resources):
        return Sentence("own.ok_by_formula", {"kernels": len(resources)})
    versions = sorted({item.triton_version for item in resources if item.triton_version})
    values = {"kernels": len(resources), "triton": ", ".join(versions)}
    if forms:
        return Sentence("own.ok_in_a_form", {**values, "features": ", ".join(forms)})
    return Sentence("own.ok", values)
