"""From what a user said to a complete question: the card found, the model's shape filled in, the rest assumed."""

from collections.abc import Mapping
from dataclasses import fields

from l4guide.advise.asked import OF_A_CARD, asked
from l4guide.advise.config import model_of, preset_model
from l4guide.advise.inputs import MEDIA, inputs_of
from l4guide.advise.records import Question
from l4guide.catalogue import Component, Gpu, Model
from l4guide.cost.whole import LATENCIES
from l4guide.errors import BadInput
from l4guide.step.recipe import FIELDS
from l4guide.text import Sentence
from l4guide.workload import DEFAULTS, Workload, ask, yes_or_no

#: What an encoder is asked for where nothing is said: one pass over whole sequences.
ENCODING = "prefill"
#: What can be asked of a whole model alone.
OF_A_MODEL = (
    *("weights", "recipe", *MEDIA, "load", "run_tokens", *LATENCIES),
    *(name for name in FIELDS if name != "recompute"),
)
#: The option that leaves every recorded run out, and what it was called before.
NO_MEASUREMENTS = ("no_measurements", "as_fitted")
#: The option that has a configuration read where it could be traced.
NO_TRACE = "no_trace"
#: Options of the question that are about the model, the price or recorded runs, not the workload.
BESIDE_THE_WORKLOAD = (
    *("model", "component", "config", "index"),
    *("gpus", "price", "provider", "region", "spot", "tariff"),
    *OF_A_CARD,
    *("recompute", "flash", "measured", *NO_MEASUREMENTS, NO_TRACE, *OF_A_MODEL),
)


def workload_options(options: Mapping[str, object]) -> dict[str, object]:
    """What was said of the workload alone."""
    return {
        name: value
        for name, value in options.items()
        if name not in BESIDE_THE_WORKLOAD and value is not None
    }


def is_run(options: Mapping[str, object]) -> bool:
    """Whether a configuration among the options is traced where that can be.

    Raises:
        BadInput: `no_trace` is neither yes nor no.
    """
    said = options.get(NO_TRACE)
    return said is None or not yes_or_no("no-trace", said)


def ask_for_shape(gpu: Gpu, options: Mapping[str, object]) -> tuple[Workload, tuple[str, ...]]:
    """The workload of a question that names no model.

    Raises:
        BadInput: an option is malformed, unknown, contradicts another, or is of a whole model.
    """
    for name in OF_A_MODEL:
        if options.get(name) is not None:
            raise BadInput("error.needs_model", name=name.replace("_", "-"))
    return ask_for(gpu, workload_options(options))


def ask_for(gpu: Gpu, said: Mapping[str, object]) -> tuple[Workload, tuple[str, ...]]:
    """The workload, assuming fp16 rather than bf16 on a card that has no tensor cores for bf16.

    Raises:
        BadInput: an option is malformed, unknown or contradicts another.
    """
    if said.get("dtype") is not None or gpu.bf16_tensor_cores:
        return ask(said)
    workload, assumed = ask({**said, "dtype": "fp16"})
    order = [f.name for f in fields(Workload)]
    return workload, tuple(sorted({*assumed, "dtype"}, key=order.index))


def shape_of(component: Component) -> dict[str, object]:
    """The options that a model's component settles."""
    shape = {
        "heads": component.heads,
        "kv_heads": component.kv_heads,
        "head_dim": component.head_dim,
        "head_dim_v": component.head_dim_v,
        "causal": component.causal,
    }
    return {name: value for name, value in shape.items() if value is not None}


def _component(chosen: Model, name: str | None) -> Component:
    """The component that is asked about: the one named, else the first.

    Raises:
        BadInput: the model has no component of that name.
    """
    if name is None:
        return chosen.components[0]
    for component in chosen.components:
        if component.name.lower() == name.strip().lower():
            return component
    names = ", ".join(component.name for component in chosen.components)
    raise BadInput("error.unknown_component", value=name, model=chosen.name, choices=names)


def _workload_of(
    gpu: Gpu, chosen: Model, component: Component, said: Mapping[str, object]
) -> tuple[Workload, tuple[str, ...]]:
    shape = shape_of(component)
    if "head_dim" not in {**shape, **said}:
        raise BadInput("error.model_shape_unknown", model=chosen.name, component=component.name)
    if component.causal is False and said.get("task") == "decode":
        raise BadInput("error.no_decode", model=chosen.name, component=component.name)
    if component.causal is False and "task" not in said:
        workload, assumed = _workload_of(gpu, chosen, component, {**said, "task": ENCODING})
        return workload, ("task", *assumed)
    lengths = ("seqlen_q", "seqlen_kv")
    limit, usual = component.max_context, int(str(DEFAULTS["seqlen"]))
    if limit is None or limit >= usual or any(name in said for name in ("seqlen", *lengths)):
        return ask_for(gpu, {**shape, **said})
    # What is assumed is no longer than the model reads.
    workload, assumed = ask_for(gpu, {**shape, **said, "seqlen": limit})
    return workload, (*lengths, *assumed)


def complete(
    gpu_name: str, options: Mapping[str, object]
) -> tuple[Question, tuple[tuple[str | None, Workload], ...]]:
    """Read the question.

    Returns:
        The question, and the workload of every attention component that the answer must cover, the asked one first.

    Raises:
        BadInput: an option is malformed, unknown or contradicts another; or the model's shape is not public.
    """
    settled = asked(gpu_name, options)
    gpu, options, notes = settled.gpu, settled.options, settled.notes
    said = workload_options(options)
    if options.get("config") is not None:
        chosen = model_of(options["config"], options.get("index"), run=is_run(options))
    elif options.get("model") is not None:
        chosen = preset_model(str(options["model"]))
    else:
        workload, assumed = ask_for_shape(gpu, options)
        inputs = inputs_of(options, gpu, workload)
        question = Question(
            workload=workload,
            gpu=gpu,
            model=None,
            component=None,
            assumed=assumed,
            notes=notes,
            inputs=inputs,
        )
        return question, ((None, workload),)
    named = options.get("component")
    part = _component(chosen, None if named is None else str(named))
    workload, assumed = _workload_of(gpu, chosen, part, said)
    filled = tuple(name for name in assumed if name not in shape_of(part))
    parts: list[tuple[str | None, Workload]] = [(part.name, workload)]
    if named is None and not {"head_dim", "heads", "kv_heads"} & said.keys():
        parts += _others(gpu, chosen, part, said)
    if part.note:
        notes = (*notes, Sentence("note.model", {"model": chosen.name, "note": part.note}))
    question = Question(
        workload=workload,
        gpu=gpu,
        model=chosen,
        component=part.name,
        assumed=filled,
        notes=notes,
        inputs=inputs_of(options, gpu, workload, model=chosen.name, component=part.name),
    )
    return question, tuple(parts)


def _others(
    gpu: Gpu, chosen: Model, asked: Component, said: Mapping[str, object]
) -> list[tuple[str | None, Workload]]:
    """The other components with a public shape; an encoder runs its forward where the model decodes."""
    found: list[tuple[str | None, Workload]] = []
    for component in chosen.components:
        if component is asked or component.head_dim is None:
            continue
        task = {"task": "prefill"} if component.causal is False and said.get("task") == "decode" else {}
        found.append((component.name, _workload_of(gpu, chosen, component, {**said, **task})[0]))
    return found
