"""What each coefficient is taken to be before any row is seen; a deviation of 0 keeps it where it is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from l4guide.estimate.families import Family
from l4guide.estimate.least_squares import Prior

SHARED = {
    "tensor": Prior(middle=0.8, deviation=0.3),
    "exp": Prior(middle=0.5, deviation=0.7),
    "launch_kclk": Prior(middle=3.0, deviation=0.7),
    "dram": Prior(middle=0.88, deviation=0.08),
    "l2_rate": Prior(middle=0.22, deviation=0.5),
    "split_us": Prior(middle=3.0, deviation=0.6),
    "merge": Prior(middle=1.0, deviation=0.7),
}
PROMPT = {
    **SHARED,
    "step_kclk": Prior(middle=0.1, deviation=1.0),
    "launch_us": Prior(middle=4.5, deviation=0.4),
    "l2_size": Prior(middle=1.2, deviation=0.3),
    "cliff": Prior(middle=3.0, deviation=0.0),
    "overlap": Prior(middle=2.0, deviation=0.4),
    "lone": Prior(middle=1.35, deviation=0.15),
    "block_kclk": Prior(middle=4.0, deviation=0.7),
    "mask_kclk": Prior(middle=0.0, deviation=0.0),
    "tail": Prior(middle=0.65, deviation=0.15),
    "passes": Prior(middle=2.6, deviation=0.2),
    "update": Prior(middle=0.15, deviation=1.0),
}
STEP = {
    **SHARED,
    "step_kclk": Prior(middle=0.3, deviation=1.0),
    "launch_us": Prior(middle=5.0, deviation=0.4),
    "l2_size": Prior(middle=1.0, deviation=0.4),
    "cliff": Prior(middle=6.0, deviation=0.4),
    "overlap": Prior(middle=3.0, deviation=0.3),
    "pipe": Prior(middle=64.0, deviation=0.5),
    "step_us": Prior(middle=0.4, deviation=0.7),
    "join_us": Prior(middle=0.1, deviation=1.0),
    "fill_us": Prior(middle=2.0, deviation=0.8),
}
#: FlashAttention-2 crosses cards with few free coefficients; the others are held near their middle.
FA2_FREE = ("tensor", "block_kclk", "mask_kclk", "launch_us", "passes", "overlap", "l2_size")
FA2_HELD = 0.2


_WIDENED: ContextVar[float] = ContextVar("_WIDENED", default=1.0)


@contextmanager
def widened(factor: float) -> Iterator[None]:
    """Fits made inside take every deviation times `factor`: how much the priors decide."""
    token = _WIDENED.set(factor)
    try:
        yield
    finally:
        _WIDENED.reset(token)


def priors_for(family: Family, phase: str) -> Mapping[str, Prior]:
    """The priors of a family's coefficients in a phase."""
    factor = _WIDENED.get()
    found = _priors(family, phase)
    return {name: replace(prior, deviation=factor * prior.deviation) for name, prior in found.items()}


def _priors(family: Family, phase: str) -> Mapping[str, Prior]:
    if phase.startswith("decode"):
        return STEP
    priors = dict(PROMPT)
    if not family.shortest_first:
        priors["tail"] = Prior(middle=0.2, deviation=0.8)
    if family.name == "fa2":
        priors["exp"] = Prior(middle=0.5, deviation=0.0)
        priors["mask_kclk"] = Prior(middle=1.5, deviation=0.7)
        priors = {
            name: prior if name in FA2_FREE else replace(prior, deviation=prior.deviation * FA2_HELD)
            for name, prior in priors.items()
        }
    if family.name == "trtllm":
        priors["exp"] = Prior(middle=0.15, deviation=0.4)
        priors["passes"] = Prior(middle=2.0, deviation=0.3)
        priors["overlap"] = Prior(middle=1.3, deviation=0.4)
    if phase == "encoder":
        priors["passes"] = Prior(middle=1.0, deviation=0.0)
        priors["update"] = Prior(middle=0.0, deviation=0.0)
    return priors
