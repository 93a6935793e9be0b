"""Times and costs for the command line: one question, a table of them, or the cost of a model's attention."""

from collections.abc import Iterable, Mapping
from dataclasses import fields

from l4guide.advise.question import ask_for, complete, workload_options
from l4guide.catalogue import find_gpu
from l4guide.cost import Cost, cost_of, terms_of
from l4guide.errors import CannotDo, Problem
from l4guide.estimate import Estimate, attention_time, best_implementation
from l4guide.workload import Workload

OPTIONS = frozenset({f.name for f in fields(Workload)} | {"seqlen", "gpu", "implementation"})
ANSWER = ("latency_ms", "low_ms", "high_ms", "tflops", "gb_per_s", "basis")


def estimate_of(gpu: str, options: Mapping[str, object], implementation: str) -> tuple[str, Estimate]:
    """The card's name and the time of one attention call of one layer.

    Raises:
        BadInput: the card, an option or the implementation is not known.
        CannotDo: nothing measured supports a number.
    """
    card, _ = find_gpu(gpu)
    workload, _ = ask_for(card, workload_options(options))
    return card.name, attention_time(workload, card, implementation)


def estimate_rows(
    rows: Iterable[Mapping[str, str]], defaults: Mapping[str, object], language: str
) -> list[dict[str, object]]:
    """Every row with the columns of the answer added; a row that has none says why in `problem`.

    Columns are named as the options of `l4guide estimate`, with underscores; an empty cell takes `defaults`, and
    any other column is the user's own.
    """
    answered: list[dict[str, object]] = []
    for row in rows:
        said = {**defaults, **{name: value for name, value in row.items() if name in OPTIONS and value}}
        gpu, implementation = str(said.pop("gpu")), str(said.pop("implementation"))
        try:
            _, estimate = estimate_of(gpu, said, implementation)
            answer = {name: getattr(estimate, name) for name in ANSWER}
            answered.append({**row, **answer, "problem": ""})
        except Problem as problem:
            answered.append({**row, **dict.fromkeys(ANSWER, ""), "problem": problem.say(language)})
    return answered


def cost_for(gpu: str, options: Mapping[str, object], implementation: str | None = None) -> tuple[str, Cost]:
    """The card's name and the cost of attention: of all layers of a model, or of one layer of a bare shape.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another.
        CannotDo: nothing measured supports a number, or no price is known.
    """
    question, _ = complete(gpu, options)
    chosen = implementation or best_implementation(question.workload, question.gpu)
    if chosen is None:
        raise CannotDo(
            "error.no_estimate",
            implementation="attention",
            gpu=question.gpu.name,
            capability=question.gpu.capability,
        )
    estimate = attention_time(question.workload, question.gpu, chosen)
    terms = terms_of(options)
    return question.gpu.name, cost_of(
        estimate, question.workload, question.gpu, terms=terms, layers=question.layers
    )
