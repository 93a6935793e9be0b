"""Which kernel family an implementation runs for a question, and the fit that speaks for it."""

from l4guide.catalogue import Gpu
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate.calibration import calibration
from l4guide.estimate.chip import CLASSES, Span
from l4guide.estimate.model import Fit
from l4guide.frozen import frozen
from l4guide.workload import Workload


@frozen
class Route:
    """The families of an implementation: causal prompts into a cache, plain calls, and generation steps."""

    prefill: str
    plain: str
    decode: str
    trains: bool = False


def _one(family: str, *, trains: bool = False) -> Route:
    return Route(prefill=family, plain=family, decode=family, trains=trains)


FA2 = Route(prefill="fa2", plain="fa2-plain", decode="fa2", trains=True)
#: By implementation; where the class of the card matters, by `implementation@class`.
ROUTES = {
    "flash-attn": FA2,
    "torch/flash": FA2,
    "flash-attn-3": _one("fa3", trains=True),
    "flash-attn-4": _one("fa4", trains=True),
    "flashinfer": _one("flashinfer"),
    "flashinfer@tcgen05": _one("trtllm-gen"),
    "vllm/flash-attn": FA2,
    "vllm/flash-attn@wgmma": _one("fa3"),
    "vllm/flashinfer": _one("flashinfer"),
    "vllm/flashinfer@tcgen05": _one("trtllm-gen"),
    "vllm/triton": _one("triton"),
    "sglang/flash-attn-3": _one("fa3-sglang"),
    "sglang/flash-attn-3@mma": _one("fa3-ampere"),
    "tensorrt-llm": _one("trtllm"),
    "torch/efficient": _one("cutlass", trains=True),
    "xformers/cutlass": _one("cutlass", trains=True),
    "l4guide": _one("l4guide", trains=True),
}
IMPLEMENTATIONS = tuple(name for name in ROUTES if "@" not in name)
#: Serving stacks and stand-ins are estimated when asked for, and never offered as the best.
OFFERED = ("flash-attn-3", "flash-attn", "flashinfer", "torch/efficient")
#: A kernel measured at narrower heads only is not trusted beyond this one.
WIDEST_HEAD = 256


@frozen
class Choice:
    """The fit that speaks for a question, and its stretch where it is another kernel's."""

    fit: Fit
    stretch: Span | None
    #: A call without a cache to write, for which only a fit with one exists.
    drop_cache: bool


def _find(workload: Workload, route: Route, tensor_class: str) -> Choice | None:
    if workload.task == "decode":
        phases = ("decode-fp8", "decode") if workload.kv_dtype in ("fp8", "int8") else ("decode",)
        found = calibration().fit_for(route.decode, phases, tensor_class)
        return Choice(fit=found[0], stretch=found[1], drop_cache=False) if found else None
    if workload.task == "prefill" and workload.causal:
        # Its own plain calls say more of a kernel than another's prompts.
        apart = f"{route.prefill}-{workload.head_dim}"
        named = ((apart, "prefill"), (route.prefill, "prefill"), (route.plain, "encoder"))
        own = (calibration().fits.get((family, phase, tensor_class)) for family, phase in named)
        if (fit := next((fit for fit in own if fit is not None), None)) is not None:
            return Choice(fit=fit, stretch=None, drop_cache=False)
        if (borrowed := calibration().fit_for(route.prefill, ("prefill",), tensor_class)) is not None:
            return Choice(fit=borrowed[0], stretch=borrowed[1], drop_cache=False)
    found = calibration().fit_for(route.plain, ("encoder", "prefill"), tensor_class)
    return Choice(fit=found[0], stretch=found[1], drop_cache=found[0].phase != "encoder") if found else None


def choose(workload: Workload, gpu: Gpu, implementation: str) -> Choice:
    """The fit for an implementation on a card.

    Raises:
        BadInput: the implementation is not one that this estimator knows.
        CannotDo: nobody has measured it on a card of this class, or it has no backward pass.
    """
    if implementation not in IMPLEMENTATIONS:
        raise BadInput(
            "error.unknown_implementation", value=implementation, choices=", ".join(IMPLEMENTATIONS)
        )
    tensor_class = CLASSES.get(gpu.capability or "", "")
    route = ROUTES.get(f"{implementation}@{tensor_class}", ROUTES[implementation])
    if workload.task == "training" and not route.trains:
        raise CannotDo("error.no_backward", implementation=implementation)
    found = _find(workload, route, tensor_class)
    if found is None:
        where = gpu.capability or gpu.architecture
        raise CannotDo("error.no_estimate", implementation=implementation, gpu=gpu.name, capability=where)
    widest = max(WIDEST_HEAD, *found.fit.head_dims)
    if workload.head_dim > widest:
        raise CannotDo("error.no_estimate_head_dim", head_dim=workload.head_dim, widest=widest)
    return found


def best_implementation(workload: Workload, gpu: Gpu) -> str | None:
    """The fastest implementation measured on cards of this class, else what may stand in; None where nothing is.

    A fit of the kernel's own rows comes before one that is borrowed.
    """
    tensor_class = CLASSES.get(gpu.capability or "", "")
    found = {
        name: choice
        for name in OFFERED
        if (route := ROUTES.get(f"{name}@{tensor_class}", ROUTES[name])).trains or workload.task != "training"
        if (choice := _find(workload, route, tensor_class)) is not None
    }
    return next((name for name in found if found[name].stretch is None), next(iter(found), None))
