"""A whole model on a card: from what a user said to memory, time, cost, ranking and what would change the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from l4guide.advise.config import read_architecture
from l4guide.advise.question import ask_for, workload_options
from l4guide.catalogue import Gpu, find_gpu, gpus
from l4guide.cost import (
    BreakEven,
    Contender,
    Question,
    Terms,
    Whole,
    by_context,
    by_head_dim,
    memory_json,
    order_of,
    rank,
    terms_of,
    turning,
    whole_of,
)
from l4guide.errors import BadInput, Problem
from l4guide.model import (
    FULL,
    WINDOW,
    Architecture,
    FeedForward,
    Layers,
    Mixer,
    preset,
)
from l4guide.step import plan_of
from l4guide.support import check
from l4guide.text import Sentence, digits
from l4guide.workload import Workload

DEFAULT_CONTEXT = 2048
#: What a user would reach for first, and PyTorch's fallback, which always runs.
RUNNERS = ("flash-attn", "torch/flash", "torch/efficient", "torch/math")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """A model on one card, every card ranked, and what would change the answer."""

    gpu: Gpu
    whole: Whole
    ranking: tuple[Contender, ...]
    changes: tuple[Sentence, ...]
    remarks: tuple[Sentence, ...]

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The keys of `l4guide cost` for a model."""
        return {
            "gpu": self.gpu.name,
            **self.whole.to_json(),
            "memory": memory_json(self.whole.memory, self.whole.cards),
            "ranking": [item.to_json(language) for item in self.ranking],
            "what_would_change": [sentence.say(language) for sentence in self.changes],
            "remarks": [sentence.say(language) for sentence in self.remarks],
        }

    def lines(self) -> tuple[Sentence, ...]:
        """The answer in sentences, the most important first."""
        best = [
            Sentence("model.taken", {"gpu": item.gpu.name, "reason": item.reason})
            for item in self.ranking
            if item.place in ("cheapest", "fastest", "both")
        ]
        return (*model_lines(self.whole), *best, *self.changes, *self.remarks)


def architecture_of(options: Mapping[str, object]) -> Architecture | None:
    """The model that is asked about: `config` (a path, JSON text or an object) or `model` (a preset); None for a shape.

    Raises:
        BadInput: it cannot be read, or is not known.
        CannotDo: a preset's widths are not known.
    """
    config = options.get("config")
    if config is not None:
        return read_architecture(config)
    name = options.get("model")
    return None if name is None else preset(str(name))


def bare(workload: Workload) -> Architecture:
    """One layer of attention and nothing else, so that a shape can be asked about as a model is."""
    mixer = Mixer(
        kind=FULL if workload.window is None else WINDOW,
        heads=workload.heads,
        kv_heads=workload.kv_heads,
        head_dim=workload.head_dim,
        head_dim_v=workload.head_dim_v,
        window=workload.window,
    )
    return Architecture(
        name="attention",
        hidden=0,
        vocabulary=0,
        tied_embeddings=True,
        layers=(Layers(count=1, mixer=mixer, feed_forward=FeedForward()),),
        max_context=None,
        weight_dtype=None,
        causal=workload.causal,
    )


def question_of(
    gpu: Gpu, model: Architecture, options: Mapping[str, object], implementation: str | None = None
) -> Question:
    """The question about a model on a card: how it runs, filled in.

    Raises:
        BadInput: an option is malformed, contradicts another, or is more than the model takes.
    """
    said = {name: value for name, value in workload_options(options).items() if value is not None}
    if not {"seqlen", "seqlen_kv"} & said.keys():
        said["seqlen"] = min(DEFAULT_CONTEXT, model.max_context or DEFAULT_CONTEXT)
    mixer = next((group.mixer for group in model.layers if group.mixer.attends), None)
    shape = (
        {"head_dim": 128}
        if mixer is None
        else {
            "head_dim": mixer.head_dim,
            "head_dim_v": mixer.head_dim_v,
            "heads": mixer.heads,
            "kv_heads": mixer.kv_heads,
        }
    )
    workload, _ = ask_for(gpu, {**said, **shape, "causal": said.get("causal", model.causal)})
    if model.max_context is not None and workload.seqlen_kv > model.max_context:
        values = {"context": workload.seqlen_kv, "model": model.name, "limit": model.max_context}
        raise BadInput("error.context_over_model", **values)
    if not model.causal and workload.task == "decode":
        raise BadInput("error.no_decode", model=model.name, component="encoder")
    stored = model.weight_dtype
    plan = plan_of(
        {**options, "rank": options.get("lora_rank")}, task=workload.task, dtype=workload.dtype, stored=stored
    )
    return Question(
        model=model,
        plan=replace(plan, kv_dtype=workload.kv_dtype),
        workload=workload,
        implementation=implementation,
    )


def model_answer(
    gpu_name: str, options: Mapping[str, object], implementation: str | None = None
) -> ModelAnswer:
    """Memory, time, cost and ranking of the model among the options, `model` or `config`.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another; the configuration cannot be used.
        CannotDo: the model's widths are not known, or the card has no rate for the type.
    """
    gpu, note = find_gpu(gpu_name)
    model = architecture_of(options)
    if model is None:
        raise BadInput("error.no_model")
    question = question_of(gpu, model, options, implementation)
    terms, order = terms_of(options), order_of(options)
    whole = whole_of(gpu, question, terms, order)
    ranking = rank(question, gpus(), terms, order, lambda card: refusal(question, card))
    remarks = [note] if note is not None else []
    remarks += [Sentence(key) for key in model.remarks]
    if model.assumed:
        remarks.append(Sentence("remark.assumed", {"fields": ", ".join(model.assumed)}))
    return ModelAnswer(
        gpu=gpu, whole=whole, ranking=ranking, changes=changes(whole, ranking), remarks=tuple(remarks)
    )


def refusal(question: Question, gpu: Gpu) -> Sentence | None:
    """Why no library runs the model's attention on a card; None where one does, or nobody knows."""
    heads = dict.fromkeys(
        (g.mixer.heads, g.mixer.kv_heads, g.mixer.head_dim, g.mixer.head_dim_v)
        for g in question.model.layers
        if g.mixer.attends
    )
    for number, kept, wide, wide_v in heads:
        shaped = replace(question.workload, heads=number, kv_heads=kept, head_dim=wide, head_dim_v=wide_v)
        if not gpu.bf16_tensor_cores and shaped.dtype == "bf16":
            shaped = replace(shaped, dtype="fp16", kv_dtype="fp16")
        verdicts = [check(shaped, gpu, library) for library in RUNNERS]
        if all(verdict.status in ("refused", "unsafe") for verdict in verdicts):
            return Sentence("contender.refused", {"text": verdicts[0].message})
    return None


def changes(whole: Whole, ranking: tuple[Contender, ...]) -> tuple[Sentence, ...]:
    """What would change the answer: a price, a size, a type, a number of cards."""
    found: list[Sentence] = []
    room, question = whole.memory, whole.question
    if room.fits == "no" and room.gpus_needed is not None:
        values = {"gpus": room.gpus_needed, "gpu": whole.gpu.name}
        found.append(Sentence("change.gpus", values))
    if room.fits != "no":
        values = {"batch": room.largest_batch, "context": room.largest_context, "gpu": whole.gpu.name}
        found.append(Sentence("change.memory", {**values, "asked": question.context, "at": question.batch}))
    found += _price_change(whole, ranking)
    found += _turning(whole)
    found += _variant(whole, "change.weights", _narrower(question))
    if room.fits == "no":
        return tuple(found)
    found += _variant(whole, "change.batch", _fuller(whole))
    return tuple(found)


def _price_change(whole: Whole, ranking: tuple[Contender, ...]) -> list[Sentence]:
    """At what price this card would be the cheapest, or stop being so."""
    mine = whole.usd_per_million_tokens
    others = [item for item in ranking if item.whole is not None and item.gpu.name != whole.gpu.name]
    priced = [
        item.whole for item in others if item.place != "out" and item.whole and item.whole.rate is not None
    ]
    if mine is None or whole.rate is None or not priced or whole.memory.fits == "no":
        return []
    best = min(priced, key=lambda item: _middle(item))
    level = whole.rate.usd_per_hour * _middle(best) / mine.value.item()
    key = "change.price_up" if level >= whole.rate.usd_per_hour else "change.price_down"
    values = {"gpu": whole.gpu.name, "other": best.gpu.name, "usd": digits(level)}
    return [Sentence(key, {**values, "now": digits(whole.rate.usd_per_hour)})]


def _turning(whole: Whole) -> list[Sentence]:
    """From which context on another card is the cheapest."""
    found = turning(whole.question, gpus(), whole.terms)
    if found is None:
        return []
    context, offer = found
    values = {"context": context, "gpu": offer.gpu.name, "cards": offer.cards, "batch": whole.question.batch}
    return [Sentence("change.context", values)]


def _middle(whole: Whole) -> float:
    dollars = whole.usd_per_million_tokens
    return float("inf") if dollars is None else float(dollars.value.item())


def _narrower(question: Question) -> Question | None:
    """The same with weights of half the bits, where training does not need them."""
    narrower = {"fp32": "bf16", "bf16": "fp8", "fp16": "fp8", "fp8": "int4"}.get(question.plan.weights)
    if question.plan.trains or narrower is None:
        return None
    return replace(question, plan=replace(question.plan, weights=narrower))


def _fuller(whole: Whole) -> Question | None:
    """The same with the largest batch that has the memory."""
    largest = whole.memory.largest_batch
    if largest <= whole.question.batch:
        return None
    return replace(whole.question, workload=replace(whole.question.workload, batch=largest))


def _variant(whole: Whole, key: str, question: Question | None) -> list[Sentence]:
    """What another plan would make of tokens per second; nothing where it changes less than a tenth."""
    if question is None:
        return []
    try:
        other = whole_of(whole.gpu, question, whole.terms, whole.order)
    except Problem:
        return []
    ratio = other.step.tokens_per_s.value.item() / whole.step.tokens_per_s.value.item()
    if whole.memory.fits == other.memory.fits == "no":
        return []
    if abs(ratio - 1) < 0.1 and other.memory.fits == whole.memory.fits:
        return []
    values = {
        "ratio": digits(ratio, 2),
        "weights": question.plan.weights,
        "batch": question.batch,
        "fits": Sentence(f"fits.{other.memory.fits}"),
        "latency": digits(other.latency_ms.value.item()),
    }
    return [Sentence(key, values)]


def model_lines(whole: Whole) -> tuple[Sentence, ...]:
    """Memory, time and cost, each in a sentence; what does not fit has neither time nor cost."""
    return (_memory_line(whole), *(() if whole.memory.fits == "no" else _speed_lines(whole)))


def _memory_line(whole: Whole) -> Sentence:
    room = whole.memory
    low, value, high = (digits(end / 2**30) for end in room.sizes.bytes.ends())
    return Sentence(
        "model.memory",
        {
            "model": whole.question.model.name,
            "gpu": whole.gpu.name,
            "gpus": whole.cards,
            "fits": Sentence(f"fits.{room.fits}"),
            "gib": value,
            "low": low,
            "high": high,
            "usable": digits(room.usable.bytes / 2**30),
        },
    )


def _speed_lines(whole: Whole) -> tuple[Sentence, ...]:
    low, value, high = (digits(end) for end in whole.step.tokens_per_s.ends())
    said = [Sentence("model.speed", {"speed": value, "low": low, "high": high})]
    if whole.prefill is not None and whole.decode is not None:
        first, each = whole.prefill.seconds.times(1e3), whole.decode.seconds.times(1e3)
        values = {"ttft": digits(first.value.item()), "tpot": digits(each.value.item())}
        said.append(Sentence("model.latency", {**values, "context": whole.question.context}))
    dollars = whole.usd_per_million_tokens
    if dollars is None or whole.rate is None:
        return (*said, Sentence("model.unpriced", {"gpu": whole.gpu.name}))
    low, value, high = (digits(end) for end in dollars.ends())
    money = {"usd": value, "low": low, "high": high, "hourly": digits(whole.rate.usd_per_hour)}
    if whole.rate.as_of is None:
        return (*said, Sentence("model.cost_own", money))
    dated = {
        "provider": whole.rate.provider,
        "as_of": whole.rate.as_of.isoformat(),
        "days": whole.rate.age_days,
    }
    key = "model.cost_old" if whole.rate.is_old else "model.cost"
    return (*said, Sentence(key, {**money, **dated}))


def break_even(
    gpu_name: str, options: Mapping[str, object], axis: str = "context", *, cells: int = 40
) -> BreakEven:
    """Which card is cheapest where, over `axis` (context or head_dim) and batch; of a model, or of one attention layer.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another.
        CannotDo: the model's widths are not known.
    """
    gpu, _ = find_gpu(gpu_name)
    model = architecture_of(options)
    if model is None:
        workload, _ = ask_for(gpu, workload_options(options))
        model = bare(workload)
    question = question_of(gpu, model, options)
    terms: Terms = terms_of(options)
    if axis == "context":
        return by_context(question, gpus(), terms, cells=cells)
    return by_head_dim(question, gpus(), terms, cells=cells)
