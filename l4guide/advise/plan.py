"""From what a user said of a server to its plan: the model, the requests and the load found, the rest assumed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from l4guide.advise.able import RUNNERS, SERVERS, refusal
from l4guide.advise.asked import asked, cards_with
from l4guide.advise.inputs import Input
from l4guide.advise.model import caveats
from l4guide.advise.whole import architecture_of, question_of, remarks_on
from l4guide.catalogue import Gpu
from l4guide.cost import MOST_CARDS, Question, terms_of
from l4guide.errors import BadInput
from l4guide.model import LATENT, Architecture
from l4guide.plan import Asked, PlanAnswer, demand_of, rank_plans, targets_of
from l4guide.plan.ranking import Place
from l4guide.serving.batch import Shape
from l4guide.serving.capacity import Request
from l4guide.serving.engine import engine_of
from l4guide.text import Joined, Sentence, digits
from l4guide.workload import real_number, whole_number, yes_or_no

#: What a request is taken to be where nobody says.
USUAL_PROMPT, USUAL_OUTPUT = 1000, 300
USUAL_ENGINE = "vllm"
#: The longest length of a server is a multiple of this where nobody says it.
LENGTHS = 1024
MAX_TOKENS = 2**24
#: What is said of a server and of nothing else here.
OF_A_SERVER = (
    *("prompt_tokens", "output_tokens", "concurrency", "requests_per_s", "users", "think_s", "percentile"),
    *("engine", "gpu_memory_utilization", "prefix_share", "max_model_len", "eager", "ttft_ms", "tpot_ms"),
)


def plan_answer(gpu_name: str, options: Mapping[str, object]) -> PlanAnswer:
    """The plan of a server: `model` or `config`, its requests, a load or none, and targets or none.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another; a request is longer than the model takes; or
            no card keeps the targets.
        CannotDo: the model's widths are not known.
    """
    settled = asked(gpu_name, options)
    gpu, model = settled.gpu, architecture_of(settled.options)
    if model is None:
        raise BadInput("error.no_model")
    question = asked_of(gpu, model, settled.options)
    runs = partial(refusal, question.question, runners=_runners(model))
    ranking = rank_plans(question, cards_with(gpu), runs, mine=gpu)
    _check_any(question, ranking)
    told = tuple(_inputs(gpu, question, options))
    return PlanAnswer(
        gpu=gpu,
        asked=question,
        ranking=ranking,
        line=_line(told),
        assumed=tuple(item.name for item in told if not item.given),
        remarks=(*settled.notes, *caveats(model), *remarks_on(model)),
    )


def _runners(model: Architecture) -> tuple[str, ...]:
    """What is asked whether it runs the attention of a model.

    No rules are kept of the kernels that servers have for a latent cache: what runs it in PyTorch stands for them.
    """
    latent = any(group.mixer.kind == LATENT for group in model.layers)
    return RUNNERS if latent else SERVERS


def asked_of(gpu: Gpu, model: Architecture, options: Mapping[str, object]) -> Asked:
    """The whole question, complete.

    Raises:
        BadInput: an option is malformed, unknown, contradicts another, or is more than the model takes.
    """
    said = {name: value for name, value in options.items() if value is not None}
    if said.get("task", "decode") != "decode":
        raise BadInput("error.plan_task", task=said["task"])
    if not model.causal:
        raise BadInput("error.plan_writes", model=model.name)
    prompt, output = (
        whole_number(name.replace("_", "-"), said.get(name, usual), at_most=MAX_TOKENS)
        for name, usual in (("prompt_tokens", USUAL_PROMPT), ("output_tokens", USUAL_OUTPUT))
    )
    longest = _longest(model, prompt + output, said)
    others = {name: value for name, value in said.items() if name not in OF_A_SERVER}
    question: Question = question_of(gpu, model, {**others, "task": "decode", "seqlen_kv": prompt + output})
    share = said.get("gpu_memory_utilization")
    prefix = real_number("prefix-share", said.get("prefix_share", 0.0), at_least=0.0, below=1.0)
    return Asked(
        question=replace(question, plan=replace(question.plan, gpus=1)),
        shape=Shape(prompt_tokens=prompt, output_tokens=output, prefix_share=prefix),
        demand=demand_of(said),
        targets=targets_of(said),
        engine=engine_of(str(said.get("engine", USUAL_ENGINE))),
        request=Request(
            utilization=None
            if share is None
            else real_number("gpu-memory-utilization", share, at_least=0.05, below=1.0),
            max_model_len=longest,
            eager=yes_or_no("eager", said.get("eager", False)),
        ),
        terms=terms_of(said),
        gpus=None if "gpus" not in said else whole_number("gpus", said["gpus"], at_most=MOST_CARDS),
    )


def _longest(model: Architecture, request: int, said: Mapping[str, object]) -> int:
    """The longest sequence of the server: as said, else what the requests take, rounded up.

    Raises:
        BadInput: a request is longer than the model or the server takes.
    """
    most = model.max_context or MAX_TOKENS
    if request > most:
        raise BadInput("error.plan_over_context", tokens=request, model=model.name, limit=most)
    if "max_model_len" not in said:
        return min(most, LENGTHS * -(-request // LENGTHS))
    longest = whole_number("max-model-len", said["max_model_len"], at_most=most)
    if request > longest:
        raise BadInput("error.plan_over_length", tokens=request, limit=longest)
    return longest


def _check_any(asked: Asked, ranking: tuple[Place, ...]) -> None:
    """That some card keeps the targets, where any would serve without them.

    Raises:
        BadInput: none does; it names what the quickest takes.
    """
    late = [item.late for item in ranking if item.late is not None]
    if not late or any(item.serves for item in ranking):
        return
    best = min(late, key=lambda found: found.taken.value.item() / found.limit)
    raise BadInput(
        "error.plan_nothing_meets",
        limit=digits(best.limit),
        what=Sentence(f"contender.{best.name}_ms"),
        gpu=best.gpu.name if best.cards == 1 else f"{best.cards} × {best.gpu.name}",
        taken=digits(best.taken.value.item()),
        percentile=f"{asked.targets.percentile:g}",
        option=best.name.replace("_", "-"),
    )


def _inputs(gpu: Gpu, asked: Asked, options: Mapping[str, object]) -> Iterator[Input]:
    """Every input, given or assumed."""
    said = {name for name, value in options.items() if value is not None}
    plan, shape, demand, targets = asked.question.plan, asked.shape, asked.demand, asked.targets
    yield Input(name="gpu", value=gpu.name, given=True)
    yield Input(name="model", value=asked.question.model.name, given=True)
    for name in ("prompt_tokens", "output_tokens"):
        yield Input(name=name, value=getattr(shape, name), given=name in said)
    if demand.kind is not None:
        yield Input(name=demand.kind, value=digits(demand.amount, 12), given=True)
    if demand.think_s:
        yield Input(name="think_s", value=digits(demand.think_s), given=True)
    for name in ("ttft_ms", "tpot_ms"):
        if getattr(targets, name) is not None:
            yield Input(name=name, value=digits(getattr(targets, name)), given=True)
    yield Input(name="percentile", value=digits(targets.percentile), given="percentile" in said)
    yield Input(name="weights", value=plan.weights, given="weights" in said)
    yield Input(name="kv_dtype", value=plan.kv_dtype, given="kv_dtype" in said)
    engine = f"{asked.engine.name} {asked.engine.release}"
    yield Input(name="engine", value=engine, given=":" in str(options.get("engine") or ""))
    if asked.gpus is not None:
        yield Input(name="gpus", value=asked.gpus, given=True)
    yield Input(name="max_model_len", value=asked.request.max_model_len, given="max_model_len" in said)
    if asked.request.utilization is not None:
        yield Input(name="gpu_memory_utilization", value=digits(asked.request.utilization), given=True)
    if shape.prefix_share:
        yield Input(name="prefix_share", value=digits(shape.prefix_share), given=True)
    if asked.request.eager:
        yield Input(name="eager", value=True, given=True)


def _line(told: tuple[Input, ...]) -> Sentence:
    given, assumed = (
        Joined(tuple(item.phrase for item in told if item.given is wanted)) for wanted in (True, False)
    )
    if not assumed.items:
        return Sentence("question.line", {"given": given})
    return Sentence("question.line_assumed", {"given": given, "assumed": assumed})
