"""Times and costs for the command line: one question, a table of them, or the cost of a model's attention."""

from collections.abc import Iterable, Mapping
from dataclasses import fields

from l4guide.advise.able import check_timed, usual
from l4guide.advise.asked import asked
from l4guide.advise.measured import put_right
from l4guide.advise.question import BESIDE_THE_WORKLOAD, ask_for_shape, complete
from l4guide.advise.whole import architecture_of, question_of
from l4guide.cost import Cost, Whole, cost_of, order_of, terms_of, whole_of
from l4guide.errors import BadInput, CannotDo, Problem
from l4guide.estimate import Estimate
from l4guide.text import Sentence
from l4guide.workload import Workload

OPTIONS = frozenset(
    {f.name for f in fields(Workload)} | {"seqlen", "gpu", "implementation"} | set(BESIDE_THE_WORKLOAD)
)
ANSWER = ("latency_ms", "low_ms", "high_ms", "tflops", "gb_per_s", "basis", "runs")
#: What a row about a whole model gains beside the answer; latency is then that of a step.
MODEL_ANSWER = (
    *("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "ttft_ms", "tpot_ms", "mfu"),
    *("usd_per_million_tokens", "low", "high", "joules_per_token"),
)


def estimate_of(
    gpu: str, options: Mapping[str, object], implementation: str
) -> tuple[str, Estimate, tuple[Sentence, ...]]:
    """The card's name, the time of one attention call of one layer, and what runs on the card did to it.

    How many cards at what price matters to the cost alone, but nonsense is refused here as well.

    Raises:
        BadInput: the card, an option or the implementation is not known.
        CannotDo: nothing measured supports a number.
    """
    settled = asked(gpu, options)
    card, options = settled.gpu, settled.options
    workload, _ = ask_for_shape(card, options)
    terms_of(options)
    runs = put_right(options)
    check_timed(workload, card, implementation)
    found = runs.estimator.attention_time(workload, card, implementation)
    return card.name, found, runs.said(card, workload.task)


def estimate_rows(
    rows: Iterable[Mapping[str, str]], defaults: Mapping[str, object], language: str
) -> list[dict[str, object]]:
    """Every row with the columns of the answer added; a row that has none says why in `problem`.

    Columns are named as the options of `l4guide estimate` and `l4guide cost`, with underscores; an empty cell takes
    `defaults`, and any other column is the user's own. A row with a `model` or a `config` is about the whole model.
    """
    answered: list[dict[str, object]] = []
    for row in rows:
        said = {**defaults, **{name: value for name, value in row.items() if name in OPTIONS and value}}
        gpu, implementation = str(said.pop("gpu")), str(said.pop("implementation"))
        try:
            _check_cells(row)
            if said.get("model") is not None or said.get("config") is not None:
                answer = _model_columns(gpu, said, row.get("implementation") or None)
            else:
                _, estimate, _ = estimate_of(gpu, said, implementation)
                answer = {name: getattr(estimate, name) for name in ANSWER}
            answered.append({**row, **answer, "problem": ""})
        except Problem as problem:
            kept = {name: value for name, value in row.items() if name is not None}
            answered.append({**kept, **dict.fromkeys(ANSWER, ""), "problem": problem.say(language)})
    return answered


def _check_cells(row: Mapping[str, object]) -> None:
    """A row of a table has as many cells as the table has columns.

    Raises:
        BadInput: it has more or fewer; which cell belongs where is then anyone's guess.
    """
    columns = [name for name in row if name is not None]
    found = len([name for name in columns if row[name] is not None])
    more = row.get(None)  # type: ignore[call-overload]  # where csv puts what is too much
    if more is not None or found < len(columns):
        raise BadInput("error.cells", found=found + len(more or ()), needed=len(columns))


def whole_estimate(
    gpu: str, options: Mapping[str, object], implementation: str | None = None
) -> tuple[Whole, tuple[Sentence, ...]]:
    """A whole model on one card, without the others, and what runs on the card did to it.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another; the configuration cannot be used.
        CannotDo: the model's widths are not known, or the card has no rate for the type.
    """
    settled = asked(gpu, options)
    card, options = settled.gpu, settled.options
    model = architecture_of(options)
    if model is None:
        raise BadInput("error.no_model")
    question = question_of(card, model, options, implementation)
    found = whole_of(card, question, terms_of(options), order_of(options))
    return found, put_right(options).said(card, question.plan.task, whole=True)


def _model_columns(gpu: str, said: Mapping[str, object], implementation: str | None) -> dict[str, object]:
    """The columns that a row about a whole model gains.

    Raises:
        BadInput: an option is not known or malformed.
        CannotDo: nothing supports a number.
    """
    whole, _ = whole_estimate(gpu, said, implementation)
    low, value, high = whole.latency_ms.ends()
    flops = whole.step.flops.item()
    found = whole.to_json()
    return {
        "latency_ms": value,
        "low_ms": low,
        "high_ms": high,
        "tflops": flops / value / 1e9,
        "gb_per_s": "",
        "basis": found["basis"],
        "runs": whole.step.runs,
        **{name: found.get(name, "") for name in MODEL_ANSWER},
        "memory_gib": whole.memory.sizes.bytes.value.item() / 2**30,
        "fits": whole.memory.fits,
    }


def cost_for(gpu: str, options: Mapping[str, object], implementation: str | None = None) -> tuple[str, Cost]:
    """The card's name and the cost of attention: of all layers of a model, or of one layer of a bare shape.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another.
        CannotDo: nothing measured supports a number, or no price is known.
    """
    options = asked(gpu, options).options
    question, _ = complete(gpu, options)
    estimator = put_right(options).estimator
    chosen = implementation or usual(question.workload, question.gpu, estimator)
    if chosen is None:
        raise CannotDo(
            "error.no_estimate",
            implementation="attention",
            gpu=question.gpu.name,
            capability=question.gpu.capability,
        )
    check_timed(question.workload, question.gpu, chosen)
    estimate = estimator.attention_time(question.workload, question.gpu, chosen)
    terms = terms_of(options)
    return question.gpu.name, cost_of(
        estimate, question.workload, question.gpu, terms=terms, layers=question.layers
    )
