"""`advise`: every verdict, the reason behind it, what it takes, how fast, and of a model at what cost."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from l4guide.advise.asked import asked
from l4guide.advise.calls import AskedCall
from l4guide.advise.choice import FIRST, NOT_COUNTED, choose, in_order, judge, runs_itself
from l4guide.advise.headline import of_attention, of_model
from l4guide.advise.install import install_flash_attn
from l4guide.advise.measured import put_right
from l4guide.advise.mix import mix_of
from l4guide.advise.model import ModelAnswer
from l4guide.advise.own import FLASH, LIBRARY, oversized, own_resources, own_snippet
from l4guide.advise.question import ask_for, complete, workload_options
from l4guide.advise.ranking import alternatives_to, recommend
from l4guide.advise.records import Advice, Part, Question
from l4guide.advise.whole import answer_about, architecture_of
from l4guide.advise.why import why
from l4guide.catalogue import Gpu
from l4guide.cost import Terms, rate_of, terms_of
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate import Estimate
from l4guide.measure.probe import Machine
from l4guide.support import Verdict, check, install_line, snippet
from l4guide.text import Sentence
from l4guide.tiles import PublishedTile, published_tiles
from l4guide.workload import Workload

#: Cards whose limits a reader compares with.
LARGER_CAPABILITIES = ("8.0", "9.0")
#: Options of a price; what attention alone costs decides nothing.
OF_A_PRICE = ("price", "provider", "region", "spot", "tariff")
#: What keeps a whole model from being counted, and not its attention from being judged.
ATTENTION_STANDS = ("error.context_over_model", "error.model_shape_unknown")


def advise(
    gpu: str = "L4", options: Mapping[str, object] | None = None, here: Machine | None = None
) -> Advice:
    """Answer a question.

    Args:
        gpu: a card's name, however written.
        options: the fields of `Workload`, `seqlen` for both lengths, `model` or `config`, `component`; for the price
            `gpus`, `price`, `provider`, `region`, `spot` and `tariff`; for a model how it runs (`weights`, `flash`),
            how it is trained (`recipe`, a training tool's file, and the options of `step.recipe.FIELDS`) and what for
            (`load`, `run_tokens`, `max_latency_ms`, `ttft_ms`, `tpot_ms`); `measured`, records of runs, or
            `no_measurements`. None or absent: the default.
        here: the machine that the install line is for; None where it is for any.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another.
        BadData: a file of `measured` is no record.
        CannotDo: a file of `measured` cannot be read.
    """
    question, shapes = complete(gpu, options or {})
    said = asked(gpu, options or {}).options
    _check_terms(question.gpu, terms_of(said))
    parts = tuple(_part(one, question.gpu) for one in shapes)
    resources, problem = own_resources(question.workload, question.gpu)
    runs = put_right(said)
    verdicts = {verdict.library: verdict for verdict in parts[0].implementations}
    # One implementation for every call of a model, where there is one.
    common = (mix_of(parts).common or None) if question.model is not None else None
    choice = choose(question.workload, question.gpu, runs.estimator, verdicts, among=common)
    mix = mix_of(parts, (choice.verdict.library,) if choice.runs else ())
    gaps = list(_leaning(choice.estimate, question.gpu)) if choice.gap is None else [choice.gap]
    model, uncounted = _model(question.gpu, said)
    attention = worst(part.answer for part in parts)
    weakest = next(part for part in parts if part.answer == attention)
    fallback = None if choice.runs else _fallback(parts[0].implementations)
    runner = choice.verdict if choice.runs else fallback
    alternatives = alternatives_to(question, choice, runs.estimator)
    if model is None:
        gaps += runs.said(question.gpu, question.workload.task)
        gaps += (
            [Sentence("gap.price_unused")] if any(said.get(name) is not None for name in OF_A_PRICE) else []
        )
    if problem is not None:
        gaps.append(problem.sentence)
    install, remark = _install(runner, question, here)
    if remark is not None:
        gaps.append(remark)
    tiles = _tiles(question.workload, question.gpu)
    if model is not None:
        question = replace(question, inputs=model.inputs)
    return Advice(
        question=question,
        answer=attention if model is None else worst((attention, model.answer)),
        headline=of_attention(question, weakest)
        if model is None
        else of_model(model.whole, weakest, mix=mix),
        why=why(question, weakest, tiles, parts, mix),
        parts=parts,
        recommended=mix.chosen,
        published_tiles=tiles,
        resources=resources,
        oversized=oversized(question.workload, question.gpu),
        estimate=choice.estimate,
        model=model,
        alternatives=alternatives,
        recommendation=recommend(question, choice, fallback, alternatives)
        if model is None
        else model.recommendation,
        install=install,
        snippet=None if runner is None else _snippet(runner, question),
        gaps=(*gaps, *uncounted),
    )


def support_of(gpu: str, options: Mapping[str, object], library: str, version: str | None = None) -> Verdict:
    """The verdict of one library at one release; `l4guide` is our own kernels.

    Raises:
        BadInput: the card, an option, the library or its version is not known.
    """
    card = asked(gpu, options).gpu
    workload, _ = ask_for(card, workload_options(options))
    if library.strip().lower() == LIBRARY and version is None:
        return judge(workload, card, LIBRARY)
    return check(workload, card, library, version)


def answer_of(verdicts: tuple[Verdict, ...]) -> str:
    """Say whether it runs, in one word.

    "yes": flash-attn's newest release runs it; "unsafe": it runs there without an error and its result is wrong;
    "depends": something else runs it, or of what one reaches for first nobody knows; "no": nothing does.
    """
    status = {verdict.library: verdict.status for verdict in verdicts if verdict.library not in NOT_COUNTED}
    if status[FLASH] in ("ok", "unsafe"):
        return "yes" if status[FLASH] == "ok" else "unsafe"
    unknown = "unknown" in (status[library] for library in FIRST if library in status)
    return "depends" if unknown or "ok" in status.values() else "no"


def worst(answers: Iterable[str]) -> str:
    """The worst of several answers."""
    found = set(answers)
    return next(answer for answer in ("no", "unsafe", "depends", "yes") if answer in found)


def _part(one: AskedCall, gpu: Gpu) -> Part:
    verdicts = tuple(judge(one.workload, gpu, library) for library in in_order())
    answer = answer_of(verdicts)
    if answer == "no" and one.call is not None and runs_itself(one.workload, verdicts):
        answer = "depends"
    return Part(
        component=one.name,
        workload=one.workload,
        answer=answer,
        implementations=verdicts,
        call=one.call,
    )


def _check_terms(gpu: Gpu, terms: Terms) -> None:
    """Nonsense is refused even where no price moves the answer.

    Raises:
        BadInput: the provider or region does not list the card.
    """
    try:
        rate_of(gpu, terms)
    except CannotDo:
        return


def _leaning(estimate: Estimate | None, gpu: Gpu) -> tuple[Sentence, ...]:
    """Why an interval is wider where the kernel was measured on one other card alone."""
    if estimate is None or estimate.borrowed or len(estimate.gpus) != 1 or gpu.name in estimate.gpus:
        return ()
    said = {"implementation": estimate.implementation, "measured": estimate.gpus[0]}
    return (Sentence("gap.one_card", said),)


def _model(gpu: Gpu, said: Mapping[str, object]) -> tuple[ModelAnswer | None, tuple[Sentence, ...]]:
    """The whole model here and elsewhere, or why there is none; and what the rest of the answer counts.

    Raises:
        BadInput: an option of the model or its cost is malformed.
    """
    alone = Sentence("gap.attention_alone")
    try:
        model = architecture_of(said)
        if model is None:
            return None, (alone,)
        found = answer_about(gpu, model, said)
    except CannotDo as problem:
        return None, (problem.sentence, alone)
    except BadInput as problem:
        # The heads can be judged although nobody published the layers, or the text is longer than the model reads.
        if problem.sentence.key not in ATTENTION_STANDS:
            raise
        return None, (problem.sentence, alone)
    return found, (Sentence("gap.model_counted"), *found.remarks)


def _fallback(verdicts: tuple[Verdict, ...]) -> Verdict | None:
    """What is left where nothing that counts runs the question."""
    return next((v for v in verdicts if v.library in NOT_COUNTED and v.status == "ok"), None)


def _install(
    runner: Verdict | None, question: Question, here: Machine | None
) -> tuple[str | None, Sentence | None]:
    """The line that installs it, for this machine where that makes a difference, and what to know of it."""
    if runner is None or runner.library == LIBRARY:
        return None, None
    if runner.library == FLASH and here is not None:
        found = install_flash_attn(here, question.workload, question.gpu, runner.version)
        if found is not None:
            return found.line, found.remark
    return install_line(runner.library, runner.version), None


def _snippet(runner: Verdict, question: Question) -> str:
    """How to call it; our kernels are called as flash-attn's are."""
    if runner.library == LIBRARY:
        return own_snippet(question.workload, question.gpu)
    return snippet(runner.library, question.workload, question.gpu, runner.version)


def _tiles(workload: Workload, gpu: Gpu) -> tuple[PublishedTile, ...]:
    """FlashAttention's tiles for the passes of the task: this card's class, and those of A100 and H100."""
    wanted = {gpu.capability, *LARGER_CAPABILITIES}
    return tuple(
        tile
        for tile in published_tiles()
        if tile.library == FLASH
        and wanted & set(tile.capabilities)
        and any(
            tile.serves(
                pass_name=name,
                head_dim=workload.head_dim,
                causal=workload.causal,
                dropout=workload.dropout > 0,
            )
            for name in workload.passes
        )
    )
