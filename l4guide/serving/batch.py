"""The time of one step of a server: sequences that write a token each, with tokens of prompts among them."""

from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter

import numpy as np

from l4guide.catalogue import Gpu
from l4guide.estimate import NO_RUNS, LiveEstimator
from l4guide.frozen import frozen
from l4guide.interval import Interval, Numbers, total
from l4guide.model import LINEAR, Architecture, Mixer
from l4guide.serving.calibration import Factors
from l4guide.step import Plan, step
from l4guide.step.attention import AttentionTime, attention_seconds
from l4guide.step.forward import kinds
from l4guide.workload import Workload

#: Numbers of sequences and of tokens at which a step is timed; between them it is straight in the logarithm.
SEQUENCES = np.array([1.0, 4.0, 16.0, 64.0, 256.0, 1024.0])
TOKENS = np.array([1.0, 16.0, 64.0, 128.0, 192.0, 256.0, 384.0, 512.0, 1024.0, 2048.0, 8192.0, 32768.0])

ONE_TOKEN, ONE_PROMPT, CONTEXT = np.ones_like(SEQUENCES), np.ones_like(TOKENS), np.ones_like(SEQUENCES)
NO_LINKS = Interval.exactly(0.0)


@frozen
class Shape:
    """What requests are like: tokens of the prompt and of the answer, and the share of the prompt common to all."""

    prompt_tokens: int
    output_tokens: int
    prefix_share: float = 0.0

    @property
    def fresh_tokens(self) -> float:
        """Tokens of a prompt that no other request has brought."""
        return max(1.0, self.prompt_tokens * (1.0 - self.prefix_share))

    @property
    def tokens_after(self) -> float:
        """Tokens of an answer after the first; one where there is none, which takes its step all the same."""
        return max(self.output_tokens - 1.0, 1.0)

    @property
    def context(self) -> float:
        """Tokens before the one that is written, in the middle of an answer."""
        return self.prompt_tokens + self.output_tokens / 2


@frozen
class StepTimes:
    """Seconds of a step on a card, in tables that any step is read from.

    `decode` and `attention` go by `SEQUENCES`, `rows` (products and norms) and `links` by `TOKENS`; `prompt` is the
    attention of one prompt, `over_pcie` whether links are without NVLink. `low` and `high` are the ends of a decode
    step over its middle, by `SEQUENCES`.
    """

    decode: Numbers
    attention: Numbers
    rows: Numbers
    links: Numbers
    over_pcie: bool
    prompt: float
    layers: int
    low: Numbers
    high: Numbers
    attention_basis: str | None
    implementation: str | None

    def seconds(
        self, shape: Shape, factors: Factors, sequences: Numbers, tokens: Numbers, *, eager: bool
    ) -> Numbers:
        """A step of `sequences` that write a token each beside `tokens` of prompts.

        Products of both are one; a prompt's attention goes by its share of the prompt. The host prepares a step, and
        without CUDA graphs launches each kernel of it, which may take longer than the kernels.
        """
        wanted = factors.products * self.decode + factors.attention * self.attention
        inside = np.exp(np.interp(_log(sequences), _log(SEQUENCES), np.log(wanted)))
        both = sequences + tokens
        more = _at(both, self.rows) - _at(sequences, self.rows)
        prompts = factors.prompt * (more + self.prompt * tokens / shape.fresh_tokens)
        gpu = inside + np.where(tokens > 0, prompts, 0.0)
        if self.links.any():
            gpu = gpu + (factors.pcie if self.over_pcie else 1.0) * _at(both, self.links)
        if eager:
            gpu = np.maximum(gpu, factors.launch_s * self.layers)
        host: Numbers = gpu + factors.step_s + factors.sequence_s * sequences
        return host


def _at(tokens: Numbers, table: Numbers) -> Numbers:
    """What a table over `TOKENS` says, straight in the logarithms."""
    found: Numbers = np.exp(np.interp(_log(tokens), _log(TOKENS), np.log(table)))
    return found


def _log(values: Numbers) -> Numbers:
    found: Numbers = np.log(np.maximum(values, 1.0))
    return found


def step_times(
    gpu: Gpu,
    model: Architecture,
    plan: Plan,
    workload: Workload,
    shape: Shape,
    estimator: LiveEstimator = NO_RUNS,
) -> StepTimes:
    """The tables of a card for requests of one shape.

    Raises:
        CannotDo: the card has no rate for the type, or no known link joins several.
    """
    asked, prompts = (replace(workload, task=task) for task in ("decode", "prefill"))
    reading = replace(plan, task="prefill")
    # Products, norms and links go by tokens alone: sequences of one token each stand beside prompts in one call.
    batch, length = np.concatenate([SEQUENCES, ONE_PROMPT]), np.concatenate([ONE_TOKEN, TOKENS])
    part = kinds(model, plan.gpus)
    both = step(gpu, model, reading, prompts, batch, length, known=_untimed(part, batch), estimator=estimator)
    links = both.parts.get("links", NO_LINKS).value + np.zeros_like(batch)
    here = slice(0, len(SEQUENCES))
    beside = both.seconds.map(itemgetter(here))
    if any(group.mixer.kind == LINEAR for group in model.layers):
        # A state is written for each token of an answer, and once in many tokens of a prompt.
        writing, known = replace(plan, task="decode"), _untimed(part, SEQUENCES)
        beside = step(
            gpu, model, writing, asked, SEQUENCES, shape.context, known=known, estimator=estimator
        ).seconds
    timed = [
        (count, attention_seconds(gpu, mixer, asked, SEQUENCES, CONTEXT * shape.context, estimator=estimator))
        for mixer, count in part.items()
    ]
    attention = total([found.seconds.times(count) for count, found in timed])
    seconds = beside + attention
    longest = max(timed, key=lambda pair: pair[0] * float(pair[1].seconds.value[-1]), default=(0, None))[1]
    return StepTimes(
        decode=beside.value - links[here],
        attention=attention.value + np.zeros_like(SEQUENCES),
        rows=both.seconds.value[len(SEQUENCES) :] - links[len(SEQUENCES) :],
        links=links[len(SEQUENCES) :],
        over_pcie=not gpu.nvlink_gb_per_s,
        prompt=_prompt(gpu, part, prompts, shape, estimator),
        layers=model.layer_count,
        low=seconds.low / seconds.value,
        high=seconds.high / seconds.value,
        attention_basis=None if longest is None else longest.basis,
        implementation=None if longest is None else longest.implementation,
    )


def _untimed(part: Mapping[Mixer, int], like: Numbers) -> dict[Mixer, AttentionTime]:
    """Attention that takes no time, of so many steps: it is timed apart."""
    nothing = AttentionTime(seconds=Interval.exactly(np.zeros_like(like)), basis="none", implementation=None)
    return dict.fromkeys(part, nothing)


def _prompt(
    gpu: Gpu, part: Mapping[Mixer, int], workload: Workload, shape: Shape, estimator: LiveEstimator
) -> float:
    """Seconds of the attention of a prompt, but for the part that others have brought."""
    one, length = np.ones(1), np.array([float(shape.prompt_tokens)])
    times = [
        attention_seconds(gpu, mixer, workload, one, length, estimator=estimator).seconds.times(count)
        for mixer, count in part.items()
    ]
    whole = total(times).value
    return float(np.asarray(whole).sum()) * (1.0 - shape.prefix_share**2)
