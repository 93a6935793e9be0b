"""What a whole model costs on a card: dollars and joules per token, per run, per month; time and memory with it."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from l4guide.catalogue import Gpu
from l4guide.cost.encoding import encoding_json, named
from l4guide.cost.price import Rate, Terms, above_zero, rate_of
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate import NO_RUNS, LiveEstimator
from l4guide.frozen import frozen
from l4guide.interval import Interval
from l4guide.memory import Fit, Largest, fit
from l4guide.memory.sizes import GIB
from l4guide.memory.training import host_bytes
from l4guide.model import Architecture
from l4guide.model.weight_types import WHOLE_TYPES
from l4guide.step import Plan, Step, step
from l4guide.step.rates import share
from l4guide.workload import Workload

if TYPE_CHECKING:
    from l4guide.recipes import Reading  # most questions bring no file

SECONDS_PER_HOUR, HOURS_PER_MONTH = 3600, 730
MILLION = 1e6
JOULES_PER_KWH = 3.6e6
MAX_LOAD, MAX_TOKENS, MAX_LATENCY_MS = 1e12, 1e18, 1e12
LATENCIES = ("max_latency_ms", "ttft_ms", "tpot_ms")


@frozen
class Order:
    """What the tokens are for: a load to hold for a month, a run of so many, latencies not to exceed.

    `max_latency_ms` is of a step of the task, `ttft_ms` of the first token of a request, `tpot_ms` of each one after.
    """

    load_tokens_per_s: float | None = None
    run_tokens: float | None = None
    max_latency_ms: float | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None

    @property
    def has_latency(self) -> bool:
        """Whether any latency is not to be exceeded."""
        return any(getattr(self, name) is not None for name in LATENCIES)


def order_of(options: Mapping[str, object]) -> Order:
    """The order among a user's options: `load`, `run_tokens`, `max_latency_ms`, `ttft_ms` and `tpot_ms`.

    Raises:
        BadInput: one is no number above zero.
    """
    limits = {"load": MAX_LOAD, "run_tokens": MAX_TOKENS} | dict.fromkeys(LATENCIES, MAX_LATENCY_MS)
    found = {
        name: above_zero(name.replace("_", "-"), options[name], below)
        for name, below in limits.items()
        if options.get(name) is not None
    }
    return Order(
        load_tokens_per_s=found.get("load"),
        run_tokens=found.get("run_tokens"),
        **{name: found.get(name) for name in LATENCIES},
    )


@frozen
class Question:
    """A model and how it is to run; `estimator` times it, put right by runs where there are some."""

    model: Architecture
    plan: Plan
    workload: Workload
    implementation: str | None = None
    estimator: LiveEstimator = NO_RUNS
    #: The training tool's file that the question came from.
    reading: "Reading | None" = None

    @property
    def batch(self) -> int:
        """Sequences in a step, on each card for training."""
        return self.workload.batch

    @property
    def context(self) -> int:
        """Tokens of a sequence, those of its images and its sound included."""
        return self.workload.seqlen_kv + self.plan.media.tokens

    @property
    def _counted_in(self) -> str:
        """The type whose bytes are told: the plan's, but the checkpoint's own where training widens a narrow one."""
        kept, weights = self.model.stored, self.plan.weights
        widens = self.plan.trains and weights in WHOLE_TYPES and kept is not None and kept.method is not None
        return (kept.dtype or weights) if widens and kept is not None else weights

    def counts(self) -> dict[str, object]:
        """Parameters, bytes and attention calls of the model as it is asked about: one sequence, on all cards together.

        `model_compared` says of a configuration whether its type was found to be read right, or it was traced; a preset
        without a trace was not read from one.
        """
        from l4guide.tracing import describe_model, not_compared

        found = describe_model(
            self.model, context=self.context, weights=self._counted_in, kv_dtype=self.plan.kv_dtype
        ).counts()
        if self.model.trace is not None or self.model.model_type is not None:
            doubt = not_compared(self.model.model_type or "-", self.model.trace)
            found["model_compared"] = doubt is None
        return found


@frozen
class Whole:
    """A model on a card: memory, time and, where a price is known, cost.

    `step` is what was asked for. Dollars, joules and tokens are of all cards of the plan together.
    """

    gpu: Gpu
    question: Question
    order: Order
    terms: Terms
    memory: Fit
    step: Step
    rate: Rate | None

    @property
    def serves(self) -> bool:
        """Whether it writes tokens one after another."""
        return self.question.model.causal and not self.question.plan.trains

    @property
    def encodes(self) -> bool:
        """Whether its answer is what it makes of whole sequences, as an embedding: an encoder's."""
        return not self.question.model.causal and not self.question.plan.trains

    @property
    def sequences_per_s(self) -> Interval:
        """Sequences that all cards encode in a second."""
        return self.step.seconds.inverse(float(self.question.batch))

    @property
    def usd_per_million_sequences(self) -> Interval | None:
        """Rent of all cards while they encode a million sequences."""
        dollars = self.usd_per_million_tokens
        return None if dollars is None else dollars.times(float(self.question.context))

    @property
    def prefill(self) -> Step | None:
        """The prompt of one more request, or what was asked; None where nothing is served."""
        if not self.serves or self.question.plan.task == "prefill":
            return self.step if self.serves else None
        return timed(self.gpu, self.question, "prefill", batch=1)

    @property
    def decode(self) -> Step | None:
        """One more token of every sequence; None where nothing is served."""
        if not self.serves or self.question.plan.task == "decode":
            return self.step if self.serves else None
        return timed(self.gpu, self.question, "decode")

    @property
    def late(self) -> tuple[str, Interval, float] | None:
        """The first latency, in ms, that is longer than the order allows, by name and with its limit."""
        for name, of in zip(LATENCIES, ("step", "prefill", "decode"), strict=True):
            limit = getattr(self.order, name)
            found: Step | None = None if limit is None else getattr(self, of)
            if found is not None and found.seconds.value.item() * 1e3 > limit:
                return name, found.seconds.times(1e3), limit
        return None

    @property
    def cards(self) -> int:
        """Cards that run one copy of the model."""
        return self.question.plan.gpus

    @property
    def usd_per_million_tokens(self) -> Interval | None:
        """Rent of all cards while they yield a million tokens."""
        if self.rate is None:
            return None
        hourly = self.cards * self.rate.usd_per_hour
        return self.step.tokens_per_s.inverse(hourly / SECONDS_PER_HOUR * MILLION)

    @property
    def watts(self) -> Interval | None:
        """Power of all cards under load; None where the card's limit is not known."""
        return None if self.gpu.tdp_w is None else share("power").times(float(self.gpu.tdp_w * self.cards))

    @property
    def joules_per_token(self) -> Interval | None:
        """Energy of the cards alone, for each token."""
        watts = self.watts
        if watts is None:
            return None
        per_token = self.step.tokens_per_s.inverse()
        pairs = ((watts.low, per_token.low), (watts.value, per_token.value), (watts.high, per_token.high))
        return Interval.of(*(a * b for a, b in pairs))

    @property
    def latency_ms(self) -> Interval:
        """What a latency target is about: the first token for prefill, one token for decode, one step for training."""
        return self.step.seconds.times(1e3)

    @property
    def copies(self) -> int | None:
        """Copies of the model that hold the load; None where none was given."""
        load = self.order.load_tokens_per_s
        return None if load is None else math.ceil(load / self.step.tokens_per_s.value.item())

    @property
    def usd_per_month(self) -> float | None:
        """Rent of the copies that hold the load, or of one copy where no load was given."""
        if self.rate is None:
            return None
        return (self.copies or 1) * self.cards * self.rate.usd_per_hour * HOURS_PER_MONTH

    def to_json(self) -> dict[str, object]:
        """The keys of `l4guide cost` for a model."""
        tokens = self.step.tokens_per_s
        low, value, high = tokens.ends()
        said: dict[str, object] = {
            "of": "model",
            "model": self.question.model.name,
            "layers": self.question.model.layer_count,
            "model_kind": self.question.model.kind,
            "task": self.question.plan.task,
            "gpus": self.cards,
            # Without the memory the figures below are those of a card that had it.
            "fits": self.memory.fits,
            "batch": self.question.batch,
            "context": self.question.context,
            "dtype": self.question.plan.dtype,
            "weights": self.question.plan.weights,
            "kv_dtype": self.question.plan.kv_dtype,
            "tokens_per_s": value,
            "tokens_per_s_low": low,
            "tokens_per_s_high": high,
            **named("step_ms", self.latency_ms),
            **encoding_json(self),
            **self._latencies(),
            **self._utilisation(),
            "parts_ms": {name: part.value.item() * 1e3 for name, part in self.step.parts.items()},
            "basis": self.step.attention_basis or "roofline",
            "runs_on_this_card": self.step.runs,
            "gemm": self.step.gemm_kind,
            "kind": "estimated",
        }
        if self.step.implementation is not None:
            said["implementation"] = self.step.implementation
        if self.question.plan.trains:
            recipe = self.question.plan.recipe
            said |= {"method": recipe.method, "recompute": recipe.recompute, "recipe": recipe.to_json()}
        if self.question.reading is not None:
            said["recipe_file"] = self.question.reading.to_json()
        said |= self._money() | self._energy()
        return said | self.question.counts() | {"assumed": list(self.question.model.assumed)}

    def _latencies(self) -> dict[str, object]:
        prefill, decode = self.prefill, self.decode
        if prefill is None or decode is None:
            return {}
        first, each = prefill.seconds.times(1e3), decode.seconds.times(1e3)
        return named("ttft_ms", first) | named("tpot_ms", each)

    def _utilisation(self) -> dict[str, object]:
        found = self.step.utilisation(self.gpu, self.cards)
        return {} if found is None else named("mfu", found)

    def _money(self) -> dict[str, object]:
        dollars = self.usd_per_million_tokens
        if self.rate is None or dollars is None:
            return {}
        low, value, high = dollars.ends()
        said: dict[str, object] = {
            "usd_per_million_tokens": value,
            "low": low,
            "high": high,
            "usd_per_month": self.usd_per_month,
            "price": self.rate.to_json(),
        }
        if self.copies is not None:
            said |= {"load_tokens_per_s": self.order.load_tokens_per_s, "copies": self.copies}
        if self.order.run_tokens is not None:
            run = self.order.run_tokens
            hours = self.step.tokens_per_s.inverse(run / SECONDS_PER_HOUR)
            said["run"] = {
                "tokens": run,
                **named("hours", hours),
                **named("usd", dollars.times(run / MILLION)),
            }
        return said

    def _energy(self) -> dict[str, object]:
        joules = self.joules_per_token
        if joules is None:
            return {}
        said = named("joules_per_token", joules)
        if self.terms.usd_per_kwh is not None:
            per_million = MILLION / JOULES_PER_KWH * self.terms.usd_per_kwh
            said |= named("energy_usd_per_million_tokens", joules.times(per_million))
        return said


def _most(name: str, found: Largest) -> dict[str, object]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def memory_json(found: Fit, cards: int, language: str = "en") -> dict[str, object]:
    """The key `memory`: GiB on each card by part, against what the card has."""
    batch, context = found.largest_batch, found.largest_context
    low, value, high = (end / GIB for end in found.sizes.bytes.ends())
    said: dict[str, object] = {
        "fits": found.fits,
        "gpus": cards,
        "gib": value,
        "low": low,
        "high": high,
        "parts_gib": {name: part.value.item() / GIB for name, part in found.sizes.parts.items()},
        "usable_gib": found.usable.bytes / GIB,
        "usable_kind": found.usable.kind,
        **_most("largest_batch", batch),
        **_most("largest_context", context),
        "kind": "estimated",
    }
    if found.plan.trains:
        from l4guide.memory.terms import terms  # only training has a recipe to explain

        said["parts"] = {term.name: term.to_json(language) for term in terms(found)}
        waiting = host_bytes(found.model, found.plan, found.batch, found.context)
        said["host_gib"] = waiting / GIB
    if found.gpus_needed is not None:
        said["gpus_needed"] = found.gpus_needed
    return said


def whole_of(
    gpu: Gpu,
    question: Question,
    terms: Terms | None = None,
    order: Order | None = None,
    today: date | None = None,
) -> Whole:
    """A model on a card; without a published price there are times and memory alone.

    Raises:
        BadInput: the provider or region does not list the card, the implementation is not known, or the order asks
            for tokens one after another of what does not serve.
        CannotDo: the card has no rate for the type, or no known link joins several.
    """
    terms, order = terms or Terms(), order or Order()
    try:
        rate: Rate | None = rate_of(gpu, terms, today)
    except CannotDo:
        rate = None
    found = Whole(
        gpu=gpu,
        question=question,
        order=order,
        terms=terms,
        memory=fit(question.model, question.plan, gpu, question.batch, question.context),
        step=timed(gpu, question, question.plan.task),
        rate=rate,
    )
    for name in ("ttft_ms", "tpot_ms"):
        if getattr(order, name) is not None and not found.serves:
            values = {"name": name.replace("_", "-"), "model": question.model.name}
            raise BadInput("error.latency_of_serving", **values, task=question.plan.task)
    return found


def timed(gpu: Gpu, question: Question, task: str, *, batch: int | None = None) -> Step:
    """One step of a task.

    Raises:
        BadInput: the implementation is not known.
        CannotDo: the card has no rate for the type, or no known link joins several.
    """
    plan = replace(question.plan, task=task)
    workload = replace(question.workload, task=task)
    return step(
        gpu,
        question.model,
        plan,
        workload,
        float(batch or question.batch),
        float(question.context),
        question.implementation,
        estimator=question.estimator,
    )
