"""The answer in one sentence of at most 90 characters: the fullest wording that the names in it leave room for."""

from collections.abc import Iterable, Iterator, Sequence

from l4guide.advise.choice import FIRST, NOT_COUNTED, runs_itself
from l4guide.advise.mix import ENGINES, Mix
from l4guide.advise.model import cards_of
from l4guide.advise.own import FLASH, LIBRARY
from l4guide.advise.records import Part, Question
from l4guide.catalogue import Gpu
from l4guide.cost import MOST_CARDS, Whole
from l4guide.memory.sizes import GIB
from l4guide.support import Verdict, check, releases
from l4guide.text import LANGUAGES, Joined, Sentence, digits
from l4guide.workload import Workload

MOST_CHARACTERS = 90
#: How many implementations a headline names at most.
MOST_NAMED = 3


def fitting(wordings: Iterable[Sentence]) -> Sentence:
    """The first of several wordings that is short enough in every language; where none is, the last."""
    last = None
    for last in wordings:
        if all(len(last.say(language)) <= MOST_CHARACTERS for language in LANGUAGES):
            break
    assert last is not None
    return last


def of_attention(question: Question, part: Part) -> Sentence:
    """What the verdicts on `part` come to: whether it runs, with what, and what flash-attn does where it does not.

    A component that is not the one that was asked about is named where there is room.
    """
    wordings = list(_wordings(question.gpu, part))
    if part.component == question.component:
        return fitting(wordings)
    named = [Sentence("headline.component", {"component": part.component, "rest": rest}) for rest in wordings]
    return fitting((*named, *wordings))


def runs_with(gpu: Gpu, part: Part, *, serving: bool = False) -> tuple[Sentence, ...]:
    """What runs it, each from which release on: of what a user reaches for first, else of everything that counts.

    Where our own kernels are the only ones of these, the others are named before them. With `serving` what runs whole
    models is named too, unless flash-attn runs it.
    """
    ok = [v for v in part.implementations if v.status == "ok" and v.library not in NOT_COUNTED]
    found = [verdict for verdict in ok if verdict.library in FIRST]
    if all(verdict.library == LIBRARY for verdict in found):
        found = ok
    elif serving and not any(verdict.library == FLASH for verdict in found):
        found = [v for v in ok if v in found or v.library.partition("/")[0] in ENGINES]
    found.sort(key=lambda verdict: verdict.library == LIBRARY)
    return tuple(since(verdict, part.workload, gpu) for verdict in found)


def _wordings(gpu: Gpu, part: Part) -> Iterator[Sentence]:
    """From the fullest to the shortest."""
    flash = next(verdict for verdict in part.implementations if verdict.library == FLASH)
    running = _most_named(runs_with(gpu, part))
    task = part.workload.task
    values: dict[str, object] = {"gpu": gpu.name, "version": flash.version, "task": Sentence(f"task.{task}")}
    values["does"] = Sentence(f"headline.does_{task}")
    widths = [{**values, "width": width} for width in widths_of(part.workload)]
    if not running:
        status = "unknown" if part.answer == "depends" else flash.status
        yield from (Sentence(f"headline.nothing_{status}", said) for said in widths)
        return
    if flash.status != "ok":
        # That it does not run matters more than since when another does.
        unversioned = Sentence("headline.always", {"library": running[0].values["library"]})
        for said in widths:
            for first in (running[0], unversioned):
                yield Sentence(f"headline.runs_{flash.status}", {**said, "running": first})
    for said in widths:
        for named in range(len(running), 0, -1):
            with_them = {**said, "running": Joined(running[:named])}
            if flash.status == "ok":
                yield Sentence("headline.yes", with_them)
            yield Sentence("headline.runs", with_them)


def _most_named(running: tuple[Sentence, ...]) -> tuple[Sentence, ...]:
    """The ones to name: of PyTorch's backends the first, so that another library has room."""
    found: dict[str, Sentence] = {}
    for sentence in running:
        found.setdefault(str(sentence.values["library"]).split("/", maxsplit=1)[0], sentence)
    return tuple(found.values())[:MOST_NAMED]


def widths_of(workload: Workload) -> Iterator[Sentence]:
    """The width of a head, with the dropout where there is some: it decides above 192."""
    values = {"head_dim": workload.head_dim, "head_dim_v": workload.head_dim_v}
    other = workload.head_dim_v != workload.head_dim
    width = Sentence("headline.widths" if other else "headline.width", values)
    if workload.dropout:
        yield Sentence("headline.with_dropout", {"width": width, "dropout": f"{workload.dropout:g}"})
    yield width


def since(verdict: Verdict, workload: Workload, gpu: Gpu) -> Sentence:
    """With which releases a library runs it: from the first that does and that no refusing one follows.

    Where newer releases refuse it, up to the newest that runs it.
    """
    named = {"library": verdict.library}
    if verdict.library == LIBRARY:
        return Sentence("headline.always", named)
    names = [release.version for release in releases(verdict.library)]
    first = verdict.first_version or verdict.version
    if verdict.last_refused is None and first == names[0]:
        return Sentence("headline.always", named)
    refused = -1 if verdict.last_refused is None else names.index(verdict.last_refused)
    if names.index(first) < refused:

        def runs(name: str) -> bool:
            return check(workload, gpu, verdict.library, name).status == "ok"

        again = next((name for name in names[refused + 1 :] if runs(name)), None)
        if again is None:
            named["refused"] = names[refused]
            return _until(named, [(name, runs(name)) for name in names[names.index(first) : refused]])
        first = again
    return Sentence("headline.since", {**named, "version": first})


def _until(named: dict[str, str], tried: Sequence[tuple[str, bool]]) -> Sentence:
    """The releases that run it, when none of the newest does; the newest of them where there are gaps between."""
    last = max(number for number, (_, runs) in enumerate(tried) if runs)
    if last == 0 or not all(runs for _, runs in tried[:last]):
        return Sentence("headline.only", {**named, "version": tried[last][0]})
    return Sentence("headline.until", {**named, "first": tried[0][0], "last": tried[last][0]})


def of_model(
    whole: Whole, part: Part | None = None, refused: Sentence | None = None, mix: Mix | None = None
) -> Sentence:
    """What decides about a whole model: its memory, its latency, or its attention.

    Args:
        whole: the model on the asked card.
        part: the verdicts on its attention, of the call that decides.
        refused: why the comparison of cards says that no library runs its attention here, where it does.
        mix: what runs all of its calls together.
    """
    return fitting(_model_wordings(whole, part, refused, mix))


def _model_wordings(
    whole: Whole, part: Part | None, refused: Sentence | None, mix: Mix | None
) -> Iterator[Sentence]:
    room, plan = whole.memory, whole.question.plan
    kept = "weights_and_cache" if plan.kv_dtype != plan.dtype else "weights"
    if plan.trains:
        kept = "trained" if plan.recipe.adapts else "trained_full"
    how = {"weights": plan.weights, "kv_dtype": plan.kv_dtype, "method": plan.recipe.method}
    values: dict[str, object] = {
        "gpu": whole.gpu.name,
        "cards": cards_of(whole.gpu, whole.cards),
        "what": Sentence("headline.what_encode" if whole.encodes else f"headline.what_{plan.task}"),
        "how": Sentence(f"headline.in_{kept}", how),
        "gib": digits(room.sizes.bytes.value.item() / GIB),
        "usable": digits(room.usable.bytes / GIB),
        "needed": room.gpus_needed,
        "most": MOST_CARDS,
    }
    keys, more = _what_decides(whole, part, refused, mix)
    for name in (whole.question.model.name, Sentence("headline.this_model")):
        yield from (Sentence(key, {**values, **more, "model": name}) for key in keys)


def _what_decides(
    whole: Whole, part: Part | None, refused: Sentence | None, mix: Mix | None
) -> tuple[tuple[str, ...], dict[str, object]]:
    """The wordings for what decides, the fullest first, and what they name beside the model and the card."""
    room, late = whole.memory, whole.late
    if room.fits == "no":
        together = room.gpus_needed is not None and room.gpus_needed <= MOST_CARDS
        if together:
            return ("headline.model_needs", "headline.model_needs_short"), {}
        return ("headline.model_too_large", "headline.model_too_large_short"), {}
    if late is not None:
        name, taken, limit = late
        values = {"late": Sentence(f"contender.{name}"), "ms": digits(taken.value.item())}
        return ("headline.model_late", "headline.model_late_short", "headline.model_late_bare"), {
            **values,
            "limit": digits(limit),
        }
    if refused is not None:
        unproven = refused.key == "contender.unproven"
        return ("headline.model_nothing_unknown" if unproven else "headline.model_nothing_refused",), {}
    if part is not None and part.answer != "yes":
        return _attention_decides(whole.gpu, part, mix)
    if room.fits == "tight":
        return ("headline.model_tight", "headline.model_tight_short"), {}
    return ("headline.model_yes_timed", "headline.model_yes", "headline.model_yes_short"), _pace(whole)


def _attention_decides(gpu: Gpu, part: Part, mix: Mix | None) -> tuple[tuple[str, ...], dict[str, object]]:
    """What runs a model's attention where flash-attn does not, or is silently wrong: one for all calls, or several."""
    taken = () if mix is None else tuple(dict.fromkeys(mix.chosen))
    if None in taken or not (running := runs_with(gpu, part)):
        if runs_itself(part.workload, part.implementations):
            return ("headline.model_eager", "headline.model_eager_short"), {}
        which = {"depends": "unknown", "unsafe": "unsafe"}.get(part.answer, "refused")
        return (f"headline.model_nothing_{which}",), {}
    if len(taken) > 1:
        several = Joined(tuple(Sentence("headline.always", {"library": name}) for name in taken))
        keys = ("headline.model_mix", "headline.model_mix_short", "headline.model_mix_bare")
        return keys, {"running": several, "number": len(taken)}
    first = taken[0] if taken else running[0].values["library"]
    named: dict[str, object] = {"running": Sentence("headline.always", {"library": first})}
    if part.answer == "unsafe":
        return ("headline.model_unsafe", "headline.model_unsafe_short"), named
    return (
        "headline.model_runs_with",
        "headline.model_runs_with_short",
        "headline.model_runs_with_bare",
    ), named


def _pace(whole: Whole) -> dict[str, object]:
    """How fast it is, in the number that its task is judged by."""
    plan = whole.question.plan
    if whole.encodes:
        return {
            "pace": Sentence("headline.pace_encode", {"number": digits(whole.sequences_per_s.value.item())})
        }
    value = whole.step.tokens_per_s if plan.trains else whole.latency_ms
    return {"pace": Sentence(f"headline.pace_{plan.task}", {"number": digits(value.value.item())})}


def of_library(verdict: Verdict, workload: Workload, gpu: Gpu) -> Sentence:
    """What one library at one release does with the question."""
    values: dict[str, object] = {"library": verdict.library, "version": verdict.version, "gpu": gpu.name}
    values["what"] = Sentence(f"headline.what_{workload.task}")
    widths = [{**values, "width": width} for width in widths_of(workload)]
    key = f"headline.library_{verdict.status}"
    return fitting(Sentence(name, said) for name in (key, f"{key}_short") for said in widths)
