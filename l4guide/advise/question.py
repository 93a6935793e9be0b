"""From what a user said to a complete question: the card found, the model's shape filled in, the rest assumed."""

from collections.abc import Mapping
from dataclasses import fields

from l4guide.advise.asked import OF_A_CARD, asked
from l4guide.advise.calls import AskedCall, calls_in, named_calls, options_of, reads_at_once
from l4guide.advise.config import as_model, preset_model, read_architecture
from l4guide.advise.inputs import MEDIA, inputs_of
from l4guide.advise.records import Question
from l4guide.catalogue import Component, Gpu, Model
from l4guide.cost.whole import LATENCIES
from l4guide.errors import BadInput, Problem
from l4guide.frozen import frozen
from l4guide.model import Architecture
from l4guide.model.traced import Call
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
    gpu: Gpu, chosen: Model, component: Component, shape: Mapping[str, object], said: Mapping[str, object]
) -> tuple[Workload, tuple[str, ...]]:
    """The workload of one call of a component, whose `shape` is what the call settles."""
    if "head_dim" not in {**shape, **said}:
        raise BadInput("error.model_shape_unknown", model=chosen.name, component=component.name)
    lengths = ("seqlen_q", "seqlen_kv")
    limit, usual = component.max_context, int(str(DEFAULTS["seqlen"]))
    if limit is None or limit >= usual or any(name in said for name in ("seqlen", *lengths)):
        return ask_for(gpu, {**shape, **said})
    # What is assumed is no longer than the model reads.
    workload, assumed = ask_for(gpu, {**shape, **said, "seqlen": limit})
    return workload, (*lengths, *assumed)


def complete(gpu_name: str, options: Mapping[str, object]) -> tuple[Question, tuple[AskedCall, ...]]:
    """Read the question.

    Returns:
        The question, and every call that the answer must cover: of a model each kind that it makes, the one that
        decides its time first.

    Raises:
        BadInput: an option is malformed, unknown or contradicts another; or the model's shape is not public.
    """
    settled = asked(gpu_name, options)
    gpu, options, notes = settled.gpu, settled.options, settled.notes
    if options.get("config") is None and options.get("model") is None:
        workload, assumed = ask_for_shape(gpu, options)
        question = Question(
            workload=workload,
            gpu=gpu,
            model=None,
            component=None,
            assumed=assumed,
            notes=notes,
            inputs=inputs_of(options, gpu, workload),
        )
        return question, (AskedCall(name=None, workload=workload),)
    chosen, architecture = _model_of(options)
    named = options.get("component")
    part = _component(chosen, None if named is None else str(named))
    calls = _calls(chosen, part, architecture, alone=named is not None)
    said, encodes = _task_of(calls[0], workload_options(options))
    found = [
        (one, _workload_of(gpu, chosen, one.component, _shape(one, architecture, said), _said(one, said)))
        for one in calls
    ]
    first, (workload, assumed) = found[0]
    _check_decodes(chosen, part, first, said)
    alone = bool({"head_dim", "heads", "kv_heads"} & said.keys())
    parts = tuple(AskedCall(name=one.name, workload=each[0], call=one.call) for one, each in found)
    if part.note:
        notes = (*notes, Sentence("note.model", {"model": chosen.name, "note": part.note}))
    question = Question(
        workload=workload,
        gpu=gpu,
        model=chosen,
        component=first.name,
        assumed=(*encodes, *(name for name in assumed if name not in _shape(first, architecture, said))),
        notes=notes,
        inputs=inputs_of(options, gpu, workload, model=chosen.name, component=part.name),
        layers=1 if first.call is None else first.call.layers,
    )
    return question, parts[:1] if alone else parts


def _model_of(options: Mapping[str, object]) -> tuple[Model, Architecture | None]:
    """The model that is asked about; its architecture is None where a preset's widths are not known.

    Raises:
        BadInput: it cannot be read, or no model is called so.
    """
    if options.get("config") is not None:
        found = read_architecture(options["config"], options.get("index"), run=is_run(options))
        return as_model(found), found
    from l4guide.tracing.architecture import preset_architecture

    chosen = preset_model(str(options["model"]))
    try:
        return chosen, preset_architecture(chosen.name)
    except Problem:
        return chosen, None


@frozen
class _Call:
    """One kind of call of a component; of a component whose shape nobody published there is none to say."""

    name: str
    component: Component
    call: Call | None


def _calls(chosen: Model, asked: Component, architecture: Architecture | None, *, alone: bool) -> list[_Call]:
    """The calls of the asked component first, then those of the others that have a public shape."""
    own = {} if architecture is None else named_calls(architecture)
    order = [asked, *(one for one in chosen.components if one is not asked and not alone)]
    found: list[_Call] = []
    for part in order:
        calls = calls_in(part, architecture if part is chosen.components[0] else None)
        if part.name in own:
            calls = {part.name: own[part.name]}
        if not calls and part is asked:
            found.append(_Call(name=part.name, component=part, call=None))
        found += [_Call(name=name, component=part, call=call) for name, call in calls.items()]
    return found


def _shape(one: _Call, architecture: Architecture | None, said: Mapping[str, object]) -> Mapping[str, object]:
    """The options that a call settles."""
    return {} if one.call is None else options_of(one.call, architecture, said.get("task"))


def _task_of(first: _Call, said: dict[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
    """What was said, with the task of an encoder where none was; and the names of what that assumes."""
    if "task" in said or first.call is None or not reads_at_once(first.call):
        return said, ()
    return {**said, "task": ENCODING}, ("task",)


def _said(one: _Call, said: Mapping[str, object]) -> Mapping[str, object]:
    """What was said of the workload, as this call hears it: an encoder runs its forward where the model decodes."""
    at_once = one.call is not None and reads_at_once(one.call)
    return {**said, "task": ENCODING} if at_once and said.get("task") == "decode" else said


def _check_decodes(chosen: Model, asked: Component, first: _Call, said: Mapping[str, object]) -> None:
    """Refuse to decode with what generates nothing.

    Raises:
        BadInput: the first of the calls is an encoder's.
    """
    if said.get("task") == "decode" and first.call is not None and reads_at_once(first.call):
        raise BadInput("error.no_decode", model=chosen.name, component=asked.name)
