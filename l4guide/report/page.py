"""The page: a template that is a file, filled with the records of the answer; every value is escaped."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import date
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from l4guide import catalogue, plots
from l4guide.advise import Advice, cards_of
from l4guide.catalogue import Source
from l4guide.distributions import version_of
from l4guide.matrix import status_name
from l4guide.measure.measurement import Record
from l4guide.resources.fixes import Fix
from l4guide.support.conditions import label
from l4guide.support.verdict import address
from l4guide.text import Joined, Sentence, say
from l4guide.workload import Workload

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: Always shown; the other fields of the question are shown where they ask for something.
MAIN_FIELDS = frozenset(
    {"task", "head_dim", "batch", "seqlen_q", "seqlen_kv", "heads", "kv_heads", "dtype", "causal", "dropout"}
)
#: Distributions whose versions a reader needs to repeat the answer.
DISTRIBUTIONS = ("l4guide", "plotly", "torch", "triton")


def render(advice: Advice, language: str = "en", measurements: Sequence[Record] = ()) -> str:
    """The whole page in `language`; measured rows are drawn and listed where they match the question."""
    from plotly.offline import get_plotlyjs

    page = _environment(language).get_template("report.html.j2")
    task = advice.question.workload.task
    return page.render(
        advice=advice,
        language=language,
        options=_options(advice),
        blocks=plots.blocks(advice, language),
        cards=[
            (card, plots.rate(card.estimate, task) if card.estimate else None) for card in plots.cards(advice)
        ],
        reasons={item.gpu.name: item.reason for item in advice.alternatives if advice.model is None},
        measured=plots.measured(advice, measurements),
        unit="GB/s" if task == "decode" else "TFLOP/s",
        figures=_figures(advice, language, measurements),
        sources=_sources(advice),
        versions=_versions(),
        today=date.today(),
        style=Markup(_file("report.css")),
        plotly_js=Markup(get_plotlyjs()),
        data=_script_json(advice.to_json(language)),
    )


def _file(name: str) -> str:
    return (files("l4guide.report") / name).read_text(encoding="utf-8")


def _environment(language: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        t=lambda key, **values: say(f"report.{key}", language, **values),
        say=partial(say, language=language),
        status_name=partial(status_name, language=language),
        address=address,
        label=label,
        cards_of=cards_of,
        source=catalogue.source,
    )
    environment.filters.update(
        number=plots.number,
        said=partial(_said, language),
        tile=lambda tile: plots.tile_text(tile.block_m, tile.block_n, tile.warps, tile.stages),
    )
    return environment


def _said(language: str, sentence: object) -> str:
    """A sentence in the page's language; a library's own text and a number as they are."""
    if isinstance(sentence, Sentence | Joined | Fix):
        return sentence.say(language)
    return _option_value(language, sentence)


def _option_value(language: str, value: object) -> str:
    if isinstance(value, bool):
        return say("report.yes" if value else "report.no", language)
    return plots.number(value) if isinstance(value, int | float) else str(value)


def _options(advice: Advice) -> list[tuple[str, object, bool]]:
    """Options as (field, value, assumed): the main ones, and those that ask for something special."""
    question, workload = advice.question, advice.question.workload
    shown: list[tuple[str, object, bool]] = [("gpu", question.gpu.name, "gpu" in question.assumed)]
    if question.model is not None:
        shown += [("model", question.model.name, False), ("component", question.component or "", False)]
    for field in fields(Workload):
        value = getattr(workload, field.name)
        if field.name in MAIN_FIELDS or _is_special(workload, field.name, field.default):
            shown.append((field.name, value, field.name in question.assumed))
    return shown + _further(advice, {name for name, _, _ in shown})


def _further(advice: Advice, shown: set[str]) -> list[tuple[str, object, bool]]:
    """The inputs that are no option of the attention: weights, method, price, targets, cards."""
    items = [item for item in advice.question.inputs.items if item.name not in {*shown, "seqlen"}]
    said = {given: tuple(item.phrase for item in items if item.given is given) for given in (True, False)}
    return [("further", Joined(phrases), not given) for given, phrases in said.items() if phrases]


def _is_special(workload: Workload, name: str, default: object) -> bool:
    same_as = {"head_dim_v": "head_dim", "kv_dtype": "dtype"}
    ordinary = getattr(workload, same_as[name]) if name in same_as else default
    return bool(getattr(workload, name) != ordinary)


def _figures(advice: Advice, language: str, measurements: Sequence[Record]) -> dict[str, tuple[str, Markup]]:
    """Each figure's text and its HTML, by name; a figure with nothing to draw is left out."""
    every = plots.cards(advice)
    drawn: dict[str, tuple[str, Figure]] = {}
    if plots.blocks(advice):
        alt = plots.shared_memory_alt(advice, language)
        drawn["shared-memory"] = (alt, plots.shared_memory(advice, language))
    if any(card.estimate for card in every) or plots.measured(advice, measurements):
        alt = plots.throughput_alt(advice, language)
        drawn["throughput"] = (alt, plots.throughput(advice, language, measurements))
    if any(card.spend for card in every):
        drawn["cost"] = (plots.cost_alt(advice, language), plots.cost(advice, language))
    return {name: (alt, _figure_html(name, figure)) for name, (alt, figure) in drawn.items()}


def _figure_html(name: str, figure: Figure) -> Markup:
    """The HTML that plotly makes and escapes; the library itself stands once in the page's head."""
    import plotly.io

    html = plotly.io.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        include_mathjax=False,
        config=plots.CONFIG,
        div_id=f"figure-{name}",
    )
    return Markup(html)


def _sources(advice: Advice) -> list[Source]:
    """Every source that a number or rule on the page was read from, by publisher and title."""
    by_key = {source.key: source for source in _verdict_sources(advice)}
    for key in _source_keys(advice):
        by_key.setdefault(key, catalogue.source(key))
    return sorted(by_key.values(), key=lambda source: (source.publisher.lower(), source.title.lower()))


def _verdict_sources(advice: Advice) -> Iterator[Source]:
    for verdict in (verdict for part in advice.parts for verdict in part.implementations):
        found = [verdict.source, *(reason.source for reason in verdict.reasons)]
        yield from (source for source in found if source is not None)


def _source_keys(advice: Advice) -> Iterator[str]:
    yield from advice.question.gpu.sources
    if advice.question.model is not None:
        for component in advice.question.model.components:
            yield from component.sources
    for card in plots.cards(advice):
        if card.estimate is not None:
            yield from card.estimate.sources
        if card.spend is not None and card.spend.price.source is not None:
            yield card.spend.price.source
    if advice.model is not None and advice.model.whole.rate is not None:
        yield from (offer.source for offer in advice.model.whole.rate.offers)
    yield from (tile.source for tile in advice.published_tiles)


def _versions() -> list[tuple[str, str | None]]:
    """Python and the libraries that the numbers hang on, importing none; None where one is not installed."""
    found: list[tuple[str, str | None]] = [("Python", platform.python_version())]
    return found + [(name, version_of(name)) for name in DISTRIBUTIONS]


def _script_json(value: object) -> Markup:
    """JSON that may stand inside a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
