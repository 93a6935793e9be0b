"""Why the answer is what it is: what runs it, which limit stops something, and what an older release lacked."""

from collections.abc import Iterator

from l4guide.advise.choice import runs_itself
from l4guide.advise.headline import runs_with
from l4guide.advise.mix import Mix
from l4guide.advise.own import FLASH
from l4guide.advise.records import Part, Question
from l4guide.support import Reason, Verdict, check
from l4guide.support.conditions import label
from l4guide.text import Joined, Sentence
from l4guide.tiles import PublishedTile


def why(
    question: Question, part: Part, tiles: tuple[PublishedTile, ...], parts: tuple[Part, ...], mix: Mix
) -> tuple[Sentence, ...]:
    """The reasons in sentences, the most important first: of the `part` that decides, then of every call of a model.

    What an older release refused is said of training a bare shape alone: of serving, or of a model, nobody asked it.
    """
    flash = next(verdict for verdict in part.implementations if verdict.library == FLASH)
    found = tuple(_lines(question, part, flash, tiles, alone=len(parts) == 1))
    # Forward and backward may have the same limit.
    lines = tuple(line for place, line in enumerate(found) if line not in found[:place])
    if len(parts) == 1:
        return lines
    if lines and flash.status != "ok":
        # Which of the calls it is that decides.
        first = Sentence("headline.component", {"component": part.component, "rest": lines[0]})
        lines = (first, *lines[1:])
    return (*lines, *_calls(question, parts, mix))


def _calls(question: Question, parts: tuple[Part, ...], mix: Mix) -> Iterator[Sentence]:
    """What runs each kind of call, and that it takes several where no one runs them all."""
    if not mix.is_one and None not in mix.chosen:
        yield Sentence("why.no_single")
    for part, taken in zip(parts, mix.chosen, strict=True):
        values: dict[str, object] = {"call": part.component, "layers": part.layers}
        running = runs_with(question.gpu, part, serving=True)
        if running:
            yield Sentence("why.call", {**values, "running": Joined(running), "taken": taken})
        else:
            itself = runs_itself(part.workload, part.implementations)
            yield Sentence("why.call_eager" if itself else "why.call_nothing", values)


def _lines(
    question: Question, part: Part, flash: Verdict, tiles: tuple[PublishedTile, ...], *, alone: bool
) -> Iterator[Sentence]:
    if flash.status != "ok":
        yield _said_by(flash)
        yield from (limit(reason) for reason in flash.reasons if reason.needed is not None)
    running = runs_with(question.gpu, part)
    if len(running) > 1 and alone:
        yield Sentence("why.runs", {"running": Joined(running)})
    asked = part.workload
    if asked.kv_heads != asked.heads and not asked.enable_gqa and any(_is_torch(name) for name in running):
        yield Sentence("why.repeated", {"heads": asked.heads, "kv_heads": asked.kv_heads})
    if flash.status == "ok" and question.model is None and question.workload.task == "training":
        yield from _lifted(question, part, flash, tiles)


def _is_torch(running: Sentence) -> bool:
    return str(running.values["library"]).startswith("torch/")


def _said_by(verdict: Verdict) -> Sentence:
    """What a run meets: our own sentence as it is, a library's text with its name."""
    if isinstance(verdict.message, Sentence):
        return verdict.message
    values = {"library": verdict.library, "version": verdict.version, "text": verdict.message}
    return Sentence("why.now", values)


def limit(reason: Reason) -> Sentence:
    """What a broken rule found, and what it wants, with their unit; of what can only be on or off, which it must be."""
    if isinstance(reason.found, bool):
        key = "why.limit_off" if reason.found else "why.limit_on"
        return Sentence(key, {"field": label(reason.field)})
    values = {"field": label(reason.field), "found": reason.quantity, "needed": reason.needed}
    return Sentence("why.limit", values)


def _lifted(
    question: Question, part: Part, flash: Verdict, tiles: tuple[PublishedTile, ...]
) -> Iterator[Sentence]:
    """What the last release that refused it lacked: room for its tile, where it has a published one."""
    gpu, older, most = question.gpu, flash.last_refused, question.gpu.shared_bytes_per_block
    if older is None or older == flash.first_version:
        return
    values = {"library": FLASH, "older": older, "gpu": gpu.name}
    here = [tile for tile in tiles if gpu.capability in tile.capabilities]
    over = next((t for t in here if most is not None and t.covers(older) and t.shared_bytes > most), None)
    if over is not None:
        yield Sentence("why.too_large", {**values, "bytes": f"{over.shared_bytes:,}", "limit": f"{most:,}"})
        return
    refused = check(part.workload, gpu, FLASH, older)
    text = Joined(tuple(dict.fromkeys(reason.text for reason in refused.reasons)))
    yield Sentence("why.lifted", {**values, "text": text})
