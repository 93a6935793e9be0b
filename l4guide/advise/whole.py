"""A whole model on a card: from what a user said to its answer, and to the maps of where that changes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from l4guide.advise.able import borrowed_time, refusal
from l4guide.advise.asked import asked, cards_with
from l4guide.advise.changes import changes
from l4guide.advise.checkpoint import checkpoint_lines
from l4guide.advise.config import read_architecture
from l4guide.advise.inputs import Inputs, inputs_of
from l4guide.advise.measured import put_right
from l4guide.advise.media import media_lines, media_of
from l4guide.advise.model import ModelAnswer, caveats, counted
from l4guide.advise.question import ENCODING, ask_for, ask_for_shape, is_run, workload_options
from l4guide.catalogue import Gpu
from l4guide.cost import (
    BreakEven,
    Question,
    Terms,
    by_context,
    by_head_dim,
    order_of,
    rank,
    terms_of,
    whole_of,
)
from l4guide.errors import BadInput
from l4guide.model import (
    FULL,
    WINDOW,
    Architecture,
    FeedForward,
    Layers,
    Mixer,
)
from l4guide.model.weight_types import EXPERTS
from l4guide.step import plan_of
from l4guide.step.matrices import names_of, trained_weights
from l4guide.text import Sentence
from l4guide.workload import Workload

DEFAULT_CONTEXT = 2048


def architecture_of(options: Mapping[str, object]) -> Architecture | None:
    """The model that is asked about: `config` (a path, JSON text or an object) or `model` (a preset); None for a shape.

    Raises:
        BadInput: it cannot be read, or is not known.
        CannotDo: a preset's widths are not known.
    """
    config = options.get("config")
    if config is not None:
        return read_architecture(config, options.get("index"), run=is_run(options))
    if options.get("index") is not None:
        raise BadInput("error.index_alone")
    name = options.get("model")
    if name is None:
        return None
    from l4guide.tracing.architecture import preset_architecture

    return preset_architecture(str(name))


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
    if not model.causal:
        said.setdefault("task", ENCODING)
    media = media_of(model, options)
    if not {"seqlen", "seqlen_kv"} & said.keys():
        usual = model.usual_context or DEFAULT_CONTEXT
        room = (model.max_context or usual + media.tokens) - media.tokens
        said["seqlen"] = max(1, min(usual, room))
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
    context = workload.seqlen_kv + media.tokens
    if model.max_context is not None and context > model.max_context:
        values = {"context": context, "model": model.name, "limit": model.max_context}
        raise BadInput("error.context_over_model", **values)
    if not model.causal and workload.task == "decode":
        raise BadInput("error.no_decode", model=model.name, component=model.model_type or model.name)
    stored = model.weight_dtype
    plan = plan_of(options, task=workload.task, dtype=workload.dtype, stored=stored)
    if plan.weights.endswith(EXPERTS) and not model.modules.get("experts"):
        raise BadInput("error.no_experts", weights=plan.weights, model=model.name)
    if plan.trains and not trained_weights(model, plan.recipe):
        values = {"targets": ", ".join(plan.recipe.targets), "model": model.name}
        raise BadInput("error.no_such_matrix", **values, choices=", ".join(names_of(model)))
    return Question(
        model=model,
        plan=replace(plan, kv_dtype=workload.kv_dtype, media=media),
        workload=workload,
        implementation=implementation,
        estimator=put_right(options).estimator,
        reading=options.get("recipe"),  # type: ignore[arg-type]
    )


def model_answer(
    gpu_name: str, options: Mapping[str, object], implementation: str | None = None
) -> ModelAnswer:
    """Memory, time, cost and ranking of the model among the options, `model` or `config`.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another; the configuration cannot be used.
        CannotDo: the model's widths are not known, or the card has no rate for the type.
    """
    settled = asked(gpu_name, options)
    model = architecture_of(settled.options)
    if model is None:
        raise BadInput("error.no_model")
    found = answer_about(settled.gpu, model, settled.options, implementation)
    return replace(found, remarks=(*settled.notes, *found.remarks))


def answer_about(
    gpu: Gpu, model: Architecture, options: Mapping[str, object], implementation: str | None = None
) -> ModelAnswer:
    """The same of a card and a model that were found.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another.
        CannotDo: the card has no rate for the type.
    """
    question = question_of(gpu, model, options, implementation)
    terms, order = terms_of(options), order_of(options)
    whole = whole_of(gpu, question, terms, order)
    ranking = rank(question, cards_with(gpu), terms, order, lambda card: refusal(question, card), asked=gpu)
    remarks = [*media_lines(whole), *remarks_on(model), *checkpoint_lines(question)]
    remarks += _quantised(model, question)
    remarks += borrowed_time(question, gpu, whole.step.implementation)
    remarks += put_right(options).said(gpu, question.plan.task, whole=True)
    return ModelAnswer(
        gpu=gpu,
        whole=whole,
        ranking=ranking,
        changes=changes(whole, ranking),
        remarks=tuple(remarks),
        inputs=inputs_about(gpu, question, {**options, "implementation": implementation}),
    )


def remarks_on(model: Architecture) -> Iterator[Sentence]:
    """What the counts of a model leave out, what was filled in, and which numbers of its configuration nothing read."""
    yield from (Sentence(key) for key in model.remarks)
    if model.has_encoder:
        heard = next((g.mixer.source_tokens for g in model.layers if g.mixer.source_tokens), None)
        yield (
            Sentence("remark.reads_prompt") if heard is None else Sentence("remark.hears", {"tokens": heard})
        )
    if model.assumed:
        yield Sentence("remark.assumed", {"fields": ", ".join(model.assumed)})
    if model.unread:
        from l4guide.tracing import unread_line

        yield from unread_line(model.unread)


def _quantised(model: Architecture, question: Question) -> Iterator[Sentence]:
    """That training keeps the weights in fewer bits than the checkpoint, where nobody said so."""
    kept, stored = question.plan.weights, model.weight_dtype
    if question.plan.trains and kept == "nf4" and stored not in (None, "bf16", "fp16", "fp32"):
        yield Sentence("remark.quantised", {"stored": stored, "weights": kept})


def inputs_about(gpu: Gpu, question: Question, options: Mapping[str, object]) -> Inputs:
    """The inputs of a question about a model, as they were filled in."""
    named = options.get("component")
    return inputs_of(
        options,
        gpu,
        question.workload,
        model=question.model.name,
        component=None if named is None else str(named),
        plan=question.plan,
        encodes=not question.model.causal,
    )


def question_line(gpu_name: str, options: Mapping[str, object]) -> Inputs:
    """The inputs of a question about a model or a bare shape, without its answer.

    Raises:
        BadInput: the card is not known, or an option is malformed, unknown, or contradicts another.
        CannotDo: the model's widths are not known.
    """
    settled = asked(gpu_name, options)
    gpu, options = settled.gpu, settled.options
    said = {name: value for name, value in options.items() if name != "implementation"}
    model = architecture_of(options)
    if model is None:
        return inputs_of(options, gpu, ask_for_shape(gpu, said)[0])
    return inputs_about(gpu, question_of(gpu, model, said), options)


def break_even(
    gpu_name: str, options: Mapping[str, object], axis: str = "context", *, cells: int = 40
) -> BreakEven:
    """Which card is cheapest where, over `axis` (context or head_dim) and batch; of a model, or of one attention layer.

    Only cards on which a library is known to run the question as it was asked.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another.
        CannotDo: the model's widths are not known.
    """
    settled = asked(gpu_name, options)
    gpu, options = settled.gpu, settled.options
    model = architecture_of(options)
    if model is None:
        model = bare(ask_for_shape(gpu, options)[0])
    question = question_of(gpu, model, options)
    terms: Terms = terms_of(options)
    able = [card for card in cards_with(gpu) if refusal(question, card) is None]
    drawn = by_context if axis == "context" else by_head_dim
    return replace(drawn(question, able, terms, cells=cells), caveats=(*caveats(model), *counted(model)))
