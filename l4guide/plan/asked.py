"""What is asked of a server: requests of one shape, the load that they make, and the latencies to keep."""

from collections.abc import Mapping

import numpy as np

from l4guide.cost import Question, Terms
from l4guide.cost.price import above_zero
from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.interval import Numbers
from l4guide.serving.batch import Shape
from l4guide.serving.capacity import Request
from l4guide.serving.engine import Engine
from l4guide.serving.load import Latencies, closed, open_, thinking
from l4guide.serving.steady import Balance
from l4guide.workload import real_number

#: The ways to say a load, and what is more than one plan serves.
LOADS = {"concurrency": 1e6, "requests_per_s": 1e6, "users": 1e7}
MAX_THINK_S, MAX_LATENCY_MS = 1e6, 1e9
USUAL_PERCENTILE = 95.0


@frozen
class Demand:
    """A load: `concurrency` requests always in flight, `requests_per_s`, or `users` who pause `think_s` each time.

    `kind` is None where no load was given: then each card is taken at its own best.
    """

    kind: str | None = None
    amount: float = 0.0
    think_s: float = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether a request that ends is followed by another at once."""
        return self.kind in (None, "concurrency") or (self.kind == "users" and not self.think_s)

    def latencies(self, state: Balance, amounts: Numbers, percentile: float) -> Latencies:
        """What requests find on one copy that bears these parts of the load."""
        if self.kind == "requests_per_s":
            return open_(state, amounts, percentile)
        if self.kind == "users":
            return thinking(state, amounts, self.think_s, percentile)
        return closed(state, amounts, percentile)

    def amounts(self, state: Balance) -> Numbers:
        """Parts of such a load on one copy from idle to full."""
        first = 1.0
        if self.kind == "requests_per_s":
            last = float(state.requests_per_s[-1]) * 0.98
            first = min(0.01, last / 100)
        elif self.kind == "users" and self.think_s > 0:
            stay = self.think_s + state.reading + state.tpot * state.server.shape.output_tokens
            last = float((state.requests_per_s * stay)[-1])
        else:
            # Where prompts are read no faster, more requests may still be under way, as many as fit.
            held = min(state.server.slots, float(state.server.sequences_at_most))
            last = max(float(state.writing[-1] + state.requests_per_s[-1] * state.reading[-1]), held)
        return np.geomspace(first, max(last, first * 1.01), 24)


@frozen
class Targets:
    """Latencies in ms that so many per cent of requests are to keep; None where any will do."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    percentile: float = USUAL_PERCENTILE

    def kept(self, found: Latencies) -> np.ndarray:
        """Where both are kept."""
        kept = np.ones(found.ttft.shape, bool)
        for name in ("ttft", "tpot"):
            limit = getattr(self, f"{name}_ms")
            if limit is not None:
                kept &= 1e3 * getattr(found, f"{name}_late") <= limit
        return kept

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.ttft_ms is not None or self.tpot_ms is not None


@frozen
class Asked:
    """The whole question: a model and how it runs, requests, their load, targets, the engine and the prices."""

    question: Question
    shape: Shape
    demand: Demand
    targets: Targets
    engine: Engine
    request: Request
    terms: Terms
    #: Cards that hold one copy where they were given; else as few as do.
    gpus: int | None = None


def demand_of(options: Mapping[str, object]) -> Demand:
    """The load among a user's options: one of `concurrency`, `requests_per_s` and `users`, the last with `think_s`.

    Raises:
        BadInput: there are two, or one is no number above zero, or more than a plan serves.
    """
    said = [name for name in LOADS if options.get(name) is not None]
    if len(said) > 1:
        raise BadInput("error.plan_two_loads", one=_option(said[0]), other=_option(said[1]))
    think = options.get("think_s")
    if think is not None and said != ["users"]:
        raise BadInput("error.plan_think_without_users")
    if not said:
        return Demand()
    amount = above_zero(_option(said[0]), options[said[0]], LOADS[said[0]])
    pause = 0.0 if think is None else real_number("think-s", think, at_least=0.0, below=MAX_THINK_S)
    return Demand(kind=said[0], amount=amount, think_s=pause)


def targets_of(options: Mapping[str, object]) -> Targets:
    """The targets among a user's options: `ttft_ms`, `tpot_ms` and `percentile`.

    Raises:
        BadInput: one is no number above zero, or the percentile is not between 1 and 99.9.
    """
    found = {
        name: above_zero(_option(name), options[name], MAX_LATENCY_MS)
        for name in ("ttft_ms", "tpot_ms")
        if options.get(name) is not None
    }
    share = options.get("percentile", USUAL_PERCENTILE)
    return Targets(**found, percentile=real_number("percentile", share, at_least=1.0, below=99.95))


def _option(name: str) -> str:
    return name.replace("_", "-")
