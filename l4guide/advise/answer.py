"""`advise`: every verdict, the reason behind it, what it takes, how fast and at what cost, in one answer."""

from collections.abc import Iterable, Mapping

from l4guide.advise.install import install_flash_attn
from l4guide.advise.measured import put_right
from l4guide.advise.model import ModelAnswer
from l4guide.advise.own import FLASH, LIBRARY, oversized, own_resources, own_snippet, own_verdict
from l4guide.advise.question import ask_for, complete, workload_options
from l4guide.advise.ranking import MEASURED, NOT_COUNTED, alternatives_to, recommend
from l4guide.advise.records import FIRST, Advice, Part, Question
from l4guide.advise.whole import answer_about, architecture_of
from l4guide.catalogue import Gpu, find_gpu
from l4guide.cost import Cost, Terms, cost_of, terms_of
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate import Estimate, LiveEstimator
from l4guide.measure.probe import Machine
from l4guide.support import Verdict, check, install_line, libraries, releases, snippet
from l4guide.text import Joined, Sentence
from l4guide.tiles import PublishedTile, published_tiles
from l4guide.workload import Workload

#: Cards whose limits a reader compares with.
LARGER_CAPABILITIES = ("8.0", "9.0")
#: What keeps a whole model from being counted, and not its attention from being judged.
ATTENTION_STANDS = ("error.context_over_model", "error.model_shape_unknown")


def advise(
    gpu: str = "L4", options: Mapping[str, object] | None = None, here: Machine | None = None
) -> Advice:
    """Answer a question.

    Args:
        gpu: a card's name, however written.
        options: the fields of `Workload`, `seqlen` for both lengths, `model` or `config`, `component`; for the price
            `gpus`, `price`, `provider`, `region`, `spot` and `tariff`; for a model how it runs (`weights`, `method`,
            `lora_rank`, `recompute`, `flash`) and what for (`load`, `run_tokens`, `max_latency_ms`, `ttft_ms`,
            `tpot_ms`); `measured`, records of runs, or `no_measurements`. None or absent: the default.
        here: the machine that the install line is for; None where it is for any.

    Raises:
        BadInput: an option is malformed, unknown, or contradicts another.
        BadData: a file of `measured` is no record.
        CannotDo: a file of `measured` cannot be read.
    """
    said = dict(options or {})
    question, shapes = complete(gpu, said)
    terms = terms_of(said)
    parts = tuple(_part(name, workload, question.gpu) for name, workload in shapes)
    resources, problem = own_resources(question.workload, question.gpu)
    runs = put_right(said)
    estimate, cost, gaps = _figures(question, parts[0], terms, runs.estimator)
    model, uncounted = _model(question.gpu, said)
    attention = worst(part.answer for part in parts)
    headline = _headline(question, parts, attention)
    runner = _runner(parts[0].implementations)
    alternatives = alternatives_to(question, estimate, cost, terms, runs.estimator)
    if model is None:
        gaps = (*gaps, *runs.said(question.gpu, question.workload.task))
    if problem is not None:
        gaps = (*gaps, problem.sentence)
    install, remark = _install(runner, question, here)
    if remark is not None:
        gaps = (*gaps, remark)
    return Advice(
        question=question,
        answer=attention if model is None else worst((attention, model.answer)),
        headline=headline if model is None else model.headline(headline),
        why=_why(question, parts[0]),
        parts=parts,
        published_tiles=_tiles(question.workload, question.gpu),
        resources=resources,
        oversized=oversized(question.workload, question.gpu),
        estimate=estimate,
        cost=cost,
        model=model,
        alternatives=alternatives,
        recommendation=recommend(question, parts[0].implementations, cost, alternatives)
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
    card, _ = find_gpu(gpu)
    workload, _ = ask_for(card, workload_options(options))
    if library.strip().lower() == LIBRARY and version is None:
        return own_verdict(workload, card)
    return check(workload, card, library, version)


def answer_of(verdicts: tuple[Verdict, ...]) -> str:
    """Say whether it runs, in one word.

    "yes": flash-attn's newest release runs it; "depends": something else does, or of what one reaches for first
    nobody knows; "no": nothing does.
    """
    status = {verdict.library: verdict.status for verdict in verdicts if verdict.library not in NOT_COUNTED}
    if status[FLASH] == "ok":
        return "yes"
    unknown = "unknown" in (status[library] for library in FIRST if library in status)
    return "depends" if unknown or "ok" in status.values() else "no"


def worst(answers: Iterable[str]) -> str:
    """The worst of several answers."""
    found = set(answers)
    return next(answer for answer in ("no", "depends", "yes") if answer in found)


def _part(name: str | None, workload: Workload, gpu: Gpu) -> Part:
    verdicts = [check(workload, gpu, library) for library in libraries()]
    verdicts.append(own_verdict(workload, gpu))
    order = (*FIRST, *(library for library in libraries() if library not in FIRST))
    ordered = tuple(sorted(verdicts, key=lambda verdict: order.index(verdict.library)))
    return Part(component=name, workload=workload, answer=answer_of(ordered), implementations=ordered)


def _figures(
    question: Question, part: Part, terms: Terms, estimator: LiveEstimator
) -> tuple[Estimate | None, Cost | None, tuple[Sentence, ...]]:
    """Time and cost of an implementation that runs here, or why there is none."""
    if not any(verdict.status == "ok" and verdict.library in MEASURED for verdict in part.implementations):
        return None, None, (Sentence("gap.unmeasured", {"gpu": question.gpu.name}),)
    implementation = estimator.best_implementation(question.workload, question.gpu) or FLASH
    try:
        estimate = estimator.attention_time(question.workload, question.gpu, implementation)
    except CannotDo as problem:
        return None, None, (problem.sentence,)
    try:
        cost = cost_of(estimate, question.workload, question.gpu, terms=terms, layers=question.layers)
    except CannotDo as problem:
        return estimate, None, (*_leaning(estimate, question.gpu), problem.sentence)
    return estimate, cost, _leaning(estimate, question.gpu)


def _leaning(estimate: Estimate, gpu: Gpu) -> tuple[Sentence, ...]:
    """Why an interval is wider where the kernel was measured on one other card alone."""
    if estimate.borrowed or len(estimate.gpus) != 1 or gpu.name in estimate.gpus:
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


def _runner(verdicts: tuple[Verdict, ...]) -> Verdict | None:
    """The implementation to use: the first that runs it, one that does not count only where nothing else does."""
    running = [verdict for verdict in verdicts if verdict.status == "ok"]
    return min(running, key=lambda verdict: verdict.library in NOT_COUNTED, default=None)


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


def _headline(question: Question, parts: tuple[Part, ...], answer: str) -> Sentence:
    if len(parts) > 1 and answer != parts[0].answer:
        part = next(part for part in parts if part.answer == answer)
        values = {"model": question.model.name if question.model else "", "component": part.component}
        return Sentence("headline.component", {**values, "rest": _headline_of(question.gpu, part)})
    return _headline_of(question.gpu, parts[0])


def _headline_of(gpu: Gpu, part: Part) -> Sentence:
    verdicts = part.implementations
    flash = next(verdict for verdict in verdicts if verdict.library == FLASH)
    ok = [v for v in verdicts if v.status == "ok" and v.library not in NOT_COUNTED]
    first = [v for v in ok if v.library in FIRST]
    running = tuple(_since(verdict, part.workload, gpu) for verdict in first or ok)
    values = {
        "task": Sentence(f"task.{part.workload.task}"),
        "head_dim": _width(part.workload),
        "gpu": gpu.name,
        "running": Joined(running),
        "version": flash.version,
    }
    if part.answer == "yes":
        return Sentence("headline.yes", values)
    if flash.status == "unsafe":
        return Sentence("headline.unsafe_but" if running else "headline.unsafe", values)
    if running:
        return Sentence("headline.unknown_but" if flash.status == "unknown" else "headline.depends", values)
    return Sentence("headline.unknown" if part.answer == "depends" else "headline.no", values)


def _width(workload: Workload) -> Sentence | int:
    """The head dim, and the dropout where there is some: it decides above 192."""
    if not workload.dropout:
        return workload.head_dim
    return Sentence(
        "headline.with_dropout", {"head_dim": workload.head_dim, "dropout": f"{workload.dropout:g}"}
    )


def _since(verdict: Verdict, workload: Workload, gpu: Gpu) -> Sentence:
    """From which release on a library runs it: the first that does and that no refusing one follows."""
    if verdict.library == LIBRARY:
        return Sentence("headline.own")
    names = [release.version for release in releases(verdict.library)]
    since = verdict.first_version or verdict.version
    if verdict.last_refused is None and since == names[0]:
        return Sentence("headline.always", {"library": verdict.library})
    if verdict.last_refused is not None and names.index(since) < names.index(verdict.last_refused):
        later = names[names.index(verdict.last_refused) + 1 :]
        since = next(name for name in later if check(workload, gpu, verdict.library, name).status == "ok")
    return Sentence("headline.since", {"library": verdict.library, "version": since})


def _why(question: Question, part: Part) -> tuple[Sentence, ...]:
    """Why the newest release answers as it does, and what an older one tripped over."""
    flash = next(verdict for verdict in part.implementations if verdict.library == FLASH)
    if flash.status != "ok":
        broken = [reason for reason in flash.reasons if reason.needed is not None]
        found = Sentence("why.now", {"library": FLASH, "version": flash.version, "text": flash.message})
        return (found, *(_limit(reason) for reason in broken))
    said: list[Sentence] = []
    releases_before = [r.version for r in releases(FLASH) if r.version != flash.first_version]
    older = flash.last_refused if flash.last_refused in releases_before else None
    if older is not None and flash.first_version is not None:
        refused = check(part.workload, question.gpu, FLASH, older)
        said.append(
            Sentence(
                "why.lifted",
                {
                    "library": FLASH,
                    "first": flash.first_version,
                    "date": flash.first_released.isoformat() if flash.first_released else "?",
                    "older": older,
                    "text": Joined(tuple(dict.fromkeys(reason.text for reason in refused.reasons))),
                },
            )
        )
        said += _too_large(question, older)
    return tuple(said)


def _limit(reason: object) -> Sentence:
    return Sentence("why.limit", {name: getattr(reason, name) for name in ("code", "found", "needed")})


def _too_large(question: Question, older: str) -> list[Sentence]:
    """The published tile that did not fit, where the older release has one, and the one that replaced it."""
    gpu, limit = question.gpu, question.gpu.shared_bytes_per_block
    here = [tile for tile in _tiles(question.workload, gpu) if gpu.capability in tile.capabilities]
    over = next((t for t in here if limit is not None and t.covers(older) and t.shared_bytes > limit), None)
    if over is None:
        return []
    values = {"library": FLASH, "older": older, "bytes": f"{over.shared_bytes:,}", "gpu": gpu.name}
    said = [Sentence("why.too_large", {**values, "limit": f"{limit:,}"})]
    now = next((t for t in here if t.pass_name == over.pass_name and not t.covers(older)), None)
    if now is not None:
        tile = {"block_m": now.block_m, "block_n": now.block_n, "versions": now.versions}
        said.append(Sentence("why.fits_now", {"bytes": f"{now.shared_bytes:,}", **tile}))
    return said


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
