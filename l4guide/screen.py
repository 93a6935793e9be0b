"""An answer on one screen: one sentence, the question, what to install, a few lines of why, and a few cards."""

from collections.abc import Iterator, Mapping, Sequence

from l4guide.advise import Advice, Alternative, ModelAnswer, cards_of, model_lines
from l4guide.advise.headline import fitting, of_library, of_model, since
from l4guide.advise.inputs import Inputs
from l4guide.advise.model import provider_of
from l4guide.advise.nearest import nearest_in_rank, nearest_in_time
from l4guide.advise.own import LIBRARY
from l4guide.advise.why import limit
from l4guide.cost import Contender, Cost, Whole
from l4guide.estimate import Estimate
from l4guide.frozen import frozen
from l4guide.support import Verdict, install_line
from l4guide.support.verdict import address
from l4guide.text import Sentence, digits, say
from l4guide.text.columns import aligned

MOST_LINES = 8
#: What closes the reasons: true of every answer of its kind.
LAST = ("gap.model_counted", "gap.attention_alone")
#: Why the comparison of cards leaves one out for its attention.
ATTENTION = ("contender.refused", "contender.unproven")
#: Comparisons that are told in a word, since the library has a column of its own.
PACES = ("faster", "slower", "alike")
NOTHING = "–"


@frozen
class Table:
    """Cards in columns: the heading by keys, a row of cells a card; `more` cards are left out."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str | Sentence, ...], ...]
    more: int

    def say(self, language: str) -> list[str]:
        """The lines of the table."""
        heading = [say(f"screen.{name}", language) for name in self.heading]
        cells = [
            [cell.say(language) if isinstance(cell, Sentence) else cell for cell in row] for row in self.rows
        ]
        return aligned([heading, *cells])


@frozen
class Screen:
    """What is printed of an answer, in this order; a part that it does not have is None or empty."""

    headline: Sentence
    question: Sentence | None = None
    install: str | None = None
    why: tuple[Sentence, ...] = ()
    table: Table | None = None

    def say(self, language: str = "en", *, every: bool = False) -> str:
        """The text; `every` line of why, rather than the first eight."""
        top = [self.headline.say(language)]
        top += [] if self.question is None else [self.question.say(language)]
        shown = self.why if every else self.why[:MOST_LINES]
        parts = [top]
        parts += [] if self.install is None else [[say("screen.install", language, line=self.install)]]
        parts += [[sentence.say(language) for sentence in shown]] if shown else []
        parts += [] if self.table is None else [self.table.say(language)]
        lines, cards = len(self.why) - len(shown), 0 if self.table is None else self.table.more
        if lines or cards:
            key = "screen.more" if lines and cards else "screen.more_cards" if cards else "screen.more_lines"
            parts.append([say(key, language, cards=cards, lines=lines)])
        return "\n\n".join("\n".join(part) for part in parts)


def of_advice(advice: Advice, *, every: bool = False) -> Screen:
    """The screen of `l4guide advise`."""
    return Screen(
        headline=advice.headline,
        question=advice.question.said(),
        install=advice.install,
        why=tuple(_why(advice)),
        table=_attention_table(advice, every=every)
        if advice.model is None
        else model_table(advice.model, every=every),
    )


def of_cost(answer: ModelAnswer, *, every: bool = False) -> Screen:
    """The screen of `l4guide cost` about a model."""
    mine = next(item.reason for item in answer.ranking if item.gpu == answer.gpu)
    return Screen(
        headline=of_model(answer.whole, refused=mine if mine.key in ATTENTION else None),
        question=answer.inputs.said(),
        why=(answer.recommendation, *model_lines(answer.whole), *answer.remarks, *answer.changes),
        table=model_table(answer, every=every),
    )


def of_whole(whole: Whole, inputs: Inputs, runs: Sequence[Sentence]) -> Screen:
    """The screen of `l4guide estimate` about a model."""
    return Screen(headline=of_model(whole), question=inputs.said(), why=(*model_lines(whole), *runs))


def of_estimate(gpu: str, estimate: Estimate, inputs: Inputs, runs: Sequence[Sentence]) -> Screen:
    """The screen of `l4guide estimate` about one attention call."""
    values = {"gpu": gpu, **_rounded(estimate.to_json())}
    wordings = (Sentence(f"cli.{name}", values) for name in ("estimate", "estimate_short"))
    why = (Sentence("cli.amounts", values), *runs)
    return Screen(headline=fitting(wordings), question=inputs.said(), why=why)


def of_attention_cost(gpu: str, cost: Cost, inputs: Inputs) -> Screen:
    """The screen of `l4guide cost` about attention alone."""
    values = {"gpu": gpu, **_rounded(cost.to_json()), "hourly": digits(cost.usd_per_hour)}
    wordings = (Sentence(f"cli.{name}", values) for name in ("cost", "cost_short"))
    basis = Sentence("cli.cost_basis", {**values, "provider": provider_of(cost.rate)})
    return Screen(headline=fitting(wordings), question=inputs.said(), why=(basis,))


def _rounded(said: Mapping[str, object]) -> dict[str, object]:
    """The same with every real number at three digits, for reading."""
    return {name: digits(value) if isinstance(value, float) else value for name, value in said.items()}


def of_support(verdict: Verdict, inputs: Inputs) -> Screen:
    """The screen of `l4guide support`: every reason with its limit, what lifts it, and where it was read."""
    ok = verdict.status == "ok" and verdict.library != LIBRARY
    return Screen(
        headline=of_library(verdict, inputs.workload, inputs.gpu),
        question=inputs.said(),
        install=install_line(verdict.library, verdict.version) if ok else None,
        why=tuple(_reasons(verdict, inputs)),
    )


def _reasons(verdict: Verdict, inputs: Inputs) -> Iterator[Sentence]:
    if not verdict.reasons:
        yield Sentence("screen.said", {"text": verdict.message})
    for reason in verdict.reasons:
        yield Sentence("screen.said", {"text": reason.text})
        if reason.needed is not None:
            yield limit(reason)
        if reason.fix is not None:
            yield Sentence("screen.fix", {"fix": reason.fix})
        if reason.source is not None:
            evidence = Sentence(f"support.evidence_{reason.evidence}")
            values = {"code": reason.code, "evidence": evidence}
            yield Sentence("screen.read_at", {**values, "address": address(reason.source, reason.place)})
    # Of a release that nobody read, what older ones run says nothing.
    if verdict.library != LIBRARY and verdict.first_version is not None and verdict.status != "unknown":
        yield _since(verdict, inputs)


def _since(verdict: Verdict, inputs: Inputs) -> Sentence:
    """From which release on it runs, with the day of that release where it is known."""
    found = since(verdict, inputs.workload, inputs.gpu)
    if verdict.first_released is None or found.values.get("version") != verdict.first_version:
        return Sentence("screen.since", {"since": found})
    return Sentence("screen.since_dated", {"since": found, "date": verdict.first_released.isoformat()})


def _why(advice: Advice) -> Iterator[Sentence]:
    """What to take first; then what decides: the attention where it does not run, else the figures of the model."""
    yield advice.recommendation
    attention = all(part.answer == "yes" for part in advice.parts)
    yield from advice.question.notes
    yield from () if attention else advice.why
    yield from advice.model_lines
    yield from (gap for gap in advice.gaps if gap.key not in LAST)
    yield from advice.why if attention else ()
    yield from () if advice.model is None else advice.model.changes
    yield from (gap for gap in advice.gaps if gap.key in LAST)


def _attention_table(advice: Advice, *, every: bool) -> Table:
    """The asked card and those nearest in time; no dollars, since what attention alone costs decides nothing."""
    others = advice.alternatives if every else nearest_in_time(advice.alternatives, advice.estimate)
    running = next((v.library for v in advice.implementations if v.status == "ok"), NOTHING)
    library = running if advice.estimate is None else advice.estimate.implementation
    asked = (advice.question.gpu.name, library, *_times(advice.estimate), Sentence("screen.asked"))
    return Table(
        heading=("card", "library", "call_ms", "interval", "compared"),
        rows=(asked, *map(_attention_row, others)),
        more=len(advice.alternatives) - len(others),
    )


def _attention_row(item: Alternative) -> tuple[str | Sentence, ...]:
    library = item.library if item.status == "ok" else NOTHING
    pace = item.reason.key.partition(".")[2]
    compared: str | Sentence = item.reason
    if pace in PACES:
        compared = Sentence(f"screen.{pace}", item.reason.values)
    elif pace == "no_comparison":
        compared = ""
    return (item.gpu.name, library, *_times(item.estimate), compared)


def _times(estimate: Estimate | None) -> tuple[str, str]:
    if estimate is None:
        return NOTHING, NOTHING
    return digits(estimate.latency_ms), f"{digits(estimate.low_ms)}–{digits(estimate.high_ms)}"


def model_table(answer: ModelAnswer, *, every: bool) -> Table:
    """The asked card and its neighbours in the ranking, with the cheapest and the fastest."""
    shown = answer.ranking if every else nearest_in_rank(answer.ranking, answer.gpu)
    return Table(
        heading=(
            "card",
            "step_ms",
            "sequences_per_s" if answer.whole.encodes else "tokens_per_s",
            "usd",
            "compared",
        ),
        rows=tuple(_model_row(item, answer) for item in shown),
        more=len(answer.ranking) - len(shown),
    )


def _model_row(item: Contender, answer: ModelAnswer) -> tuple[str | Sentence, ...]:
    """Figures of a card that cannot do it in time stand too; the reason says why it is out."""
    asked = item.gpu == answer.gpu
    name = cards_of(item.gpu, 1 if item.place == "out" else item.cards or 1)
    reason: str | Sentence = ""
    if item.place != "behind":
        reason = item.reason if item.place == "out" else Sentence(f"screen.{item.place}")
    if asked:
        reason = Sentence("screen.asked_and", {"reason": reason}) if reason else Sentence("screen.asked")
    if item.whole is None:
        return (name, NOTHING, NOTHING, NOTHING, reason)
    dollars = item.whole.usd_per_million_tokens
    pace = item.whole.sequences_per_s if item.whole.encodes else item.whole.step.tokens_per_s
    return (
        name,
        digits(item.whole.latency_ms.value.item()),
        digits(pace.value.item()),
        NOTHING if dollars is None else digits(dollars.value.item()),
        reason,
    )
