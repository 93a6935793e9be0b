"""The question in one line: what was given, by name and value, and apart from it what was assumed."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from l4guide.advise.asked import OF_A_CARD
from l4guide.catalogue import Gpu
from l4guide.frozen import frozen
from l4guide.step import Plan
from l4guide.step.recipe import FIELDS
from l4guide.support.remedy import SWITCHES
from l4guide.text import Joined, Sentence, digits
from l4guide.workload import Workload, yes_or_no

#: What is said of prices, targets and implementations.
NUMBERS = ("price", "tariff", "load", "run_tokens", "max_latency_ms", "ttft_ms", "tpot_ms")
NAMES = ("provider", "region", "implementation")
#: Digits of a number that is repeated as it was given.
IN_FULL = 12
LENGTHS = ("seqlen", "seqlen_q", "seqlen_kv")
#: What is asked of the images and the sound of a request.
MEDIA = ("images", "image_size", "image_tokens", "audio_s", "audio_tokens")


@frozen
class Input:
    """One input of a question: its name as an option, its value, and whether the user gave it."""

    name: str
    value: object
    given: bool

    @property
    def phrase(self) -> Sentence:
        """The input as a reader is told it."""
        if isinstance(self.value, bool):
            return Sentence(f"question.{self.name}" if self.value else f"question.no_{self.name}")
        if self.name == "task":
            return Sentence(f"headline.what_{self.value}")
        shown = digits(self.value, IN_FULL) if isinstance(self.value, float) else self.value
        if isinstance(shown, tuple):
            shown = Joined(shown)
        return Sentence(f"question.{self.name}", {"value": shown})


@frozen
class Inputs:
    """Every input of a question, and the card and workload that they came to; `encodes` where it asks an encoder."""

    gpu: Gpu
    workload: Workload
    items: tuple[Input, ...]
    encodes: bool = False

    def said(self) -> Sentence:
        """The question in one line, what was assumed apart."""
        given = Joined(tuple(self._phrase(item) for item in self.items if item.given))
        assumed = Joined(tuple(self._phrase(item) for item in self.items if not item.given))
        if not assumed.items:
            return Sentence("question.line", {"given": given})
        return Sentence("question.line_assumed", {"given": given, "assumed": assumed})

    def _phrase(self, item: Input) -> Sentence:
        """An input as a reader is told it; what other models call prefill is all that an encoder does."""
        if item.name == "task" and self.encodes and item.value != "training":
            return Sentence("headline.what_encode")
        return item.phrase

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The inputs by name, and `line`: all of them as a sentence."""
        return {**{item.name: item.value for item in self.items}, "line": self.said().say(language)}


def inputs_of(
    options: Mapping[str, object],
    gpu: Gpu,
    workload: Workload,
    *,
    model: str | None = None,
    component: str | None = None,
    plan: Plan | None = None,
    encodes: bool = False,
) -> Inputs:
    """Every input of a question that was given, and what was assumed for those that were not.

    Args:
        options: what the user said, by option name.
        gpu: the card.
        workload: the question, complete.
        model: the name of the model that was asked about; its own shape is not said again.
        component: the component of it, where it has several.
        plan: how the model runs; None for a shape, or where the model's widths are not known.
        encodes: whether the model is an encoder, so that its prefill is all that it does.
    """
    said = {name for name, value in options.items() if value is not None}
    read = getattr(options.get("recipe"), "name", None)
    items = (
        *(() if read is None else (Input(name="recipe", value=read, given=True),)),
        *_subject(options, said, gpu, model, component),
        *_plan(options, said, workload, plan),
        *_shape(said, workload, model),
        *_lengths(said, workload),
        *(Input(name=name, value=str(options[name]), given=True) for name in MEDIA if name in said),
        *_features(said, workload, model),
        *_terms(options),
    )
    return Inputs(gpu=gpu, workload=workload, items=items, encodes=encodes)


def _subject(
    options: Mapping[str, object], said: set[str], gpu: Gpu, model: str | None, component: str | None
) -> Iterator[Input]:
    yield Input(name="gpu", value=gpu.name, given=True)
    yield from (Input(name=n, value=str(options[n]), given=True) for n in OF_A_CARD if n in said)
    if model is not None:
        yield Input(name="model", value=model, given=True)
    if "index" in said:
        yield Input(name="index", value=Path(str(options["index"])).name, given=True)
    if component is not None and "component" in said:
        yield Input(name="component", value=component, given=True)


def _plan(
    options: Mapping[str, object], said: set[str], workload: Workload, plan: Plan | None
) -> Iterator[Input]:
    """The task, and how a model runs; where there is no plan, what was said of it."""
    yield Input(name="task", value=workload.task, given="task" in said)
    names = ("weights", *FIELDS, "gpus", "flash")
    if plan is None:
        yield from (Input(name=n, value=str(options[n]), given=True) for n in names[:-1] if n in said)
        if "flash" in said:
            yield Input(name="flash", value=yes_or_no("flash", options["flash"]), given=True)
        return
    wanted = said | {"weights"}
    if plan.trains:
        wanted |= {"method"} | ({"lora_rank"} if plan.recipe.adapts else set())
    for name in names:
        if name in wanted:
            value = getattr(plan.recipe, FIELDS[name]) if name in FIELDS else getattr(plan, name)
            yield Input(name=name, value=value, given=name in said)


def _shape(said: set[str], workload: Workload, model: str | None) -> Iterator[Input]:
    """Types and widths; of a model only those that were given in place of its own."""
    yield Input(name="dtype", value=workload.dtype, given="dtype" in said)
    if workload.kv_dtype != workload.dtype or "kv_dtype" in said:
        yield Input(name="kv_dtype", value=workload.kv_dtype, given="kv_dtype" in said)
    same = {"head_dim_v": "head_dim", "kv_heads": "heads"}
    for name in ("head_dim", "head_dim_v", "heads", "kv_heads"):
        value = getattr(workload, name)
        if name in said or (model is None and (name not in same or value != getattr(workload, same[name]))):
            yield Input(name=name, value=value, given=name in said)
    yield Input(name="batch", value=workload.batch, given="batch" in said)


def _lengths(said: set[str], workload: Workload) -> Iterator[Input]:
    """One length where queries and keys have the same, or where one token is generated; else both."""
    queries, keys = workload.seqlen_q, workload.seqlen_kv
    if queries == (1 if workload.task == "decode" else keys):
        yield Input(name="seqlen", value=keys, given=bool(said & set(LENGTHS)))
        return
    yield Input(name="seqlen_q", value=queries, given=bool(said & {"seqlen", "seqlen_q"}))
    yield Input(name="seqlen_kv", value=keys, given=bool(said & {"seqlen", "seqlen_kv"}))


def _features(said: set[str], workload: Workload, model: str | None) -> Iterator[Input]:
    if model is None or "causal" in said:
        yield Input(name="causal", value=workload.causal, given="causal" in said)
    for name, off in SWITCHES.items():
        value = getattr(workload, name)
        # What a model brings by itself is not said again.
        if (value != off and model is None) or (name in said and value is not None):
            yield Input(name=name, value=value, given=name in said)


def _number(value: object) -> float | str:
    """A number, or what was given in place of one: whoever answers the question says what is wrong with it."""
    try:
        return float(str(value))
    except ValueError:
        return str(value)


def _terms(options: Mapping[str, object]) -> Iterator[Input]:
    """Price, targets and runs, as they were said."""
    given = {name: value for name, value in options.items() if value is not None}
    yield from (Input(name=n, value=_number(given[n]), given=True) for n in NUMBERS if n in given)
    yield from (Input(name=n, value=str(given[n]), given=True) for n in NAMES if n in given)
    if "spot" in given:
        yield Input(name="spot", value=yes_or_no("spot", given["spot"]), given=True)
    measured = options.get("measured")
    if measured is not None:
        names = getattr(measured, "given", None)
        if names is None:
            names = [measured] if isinstance(measured, str | Path) else list(measured)  # type: ignore[call-overload]
        if names:
            yield Input(name="measured", value=tuple(Path(str(name)).name for name in names), given=True)
    for name in ("no_measurements", "as_fitted"):
        if options.get(name) is not None and yes_or_no(name, options[name]):
            yield Input(name="no_measurements", value=True, given=True)
