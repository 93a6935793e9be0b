"""The article, claim by claim: each with a button that runs its evidence, and the verdict that follows from it."""

from collections.abc import Callable
from functools import partial

import ipywidgets
import traitlets

from l4guide.claims import TOPICS, Claim, Finding, Series, claims, paths, run
from l4guide.support.verdict import address, said
from l4guide.text import Sentence, say
from l4guide.widgets.action import action_button
from l4guide.widgets.controls import LanguageSwitch
from l4guide.widgets.frame import page_of
from l4guide.widgets.markup import render
from l4guide.widgets.page_state import PageState
from l4guide.widgets.panel import HtmlPanel

#: How a verdict is coloured: the badges of the guide.
BADGES = {
    "true": "ok",
    "true-until": "depends",
    "true-since": "depends",
    "half-true": "depends",
    "wrong-cause": "refused",
    "false": "refused",
}
OUTCOME_BADGES = {"tensor-cores": "ok", "runs": "ok", "stores": "depends", "casts": "depends"}


class ClaimsState(PageState):
    """The language, and what came of every claim that was run, by its key."""

    findings = traitlets.Dict()

    def run(self, claim: Claim) -> None:
        """Run the evidence of one claim."""
        self.error = None
        self.findings = {**self.findings, claim.key: run(claim)}


class ClaimCard:
    """One claim: what it says, the button, and below it what came of pressing it."""

    def __init__(self, state: ClaimsState, claim: Claim) -> None:
        self.state, self.claim = state, claim
        self.head, self.found = ipywidgets.HTML(), ipywidgets.HTML()
        self.button = action_button(state.guarded(lambda _: state.run(claim)), "claims-run")
        self.view = ipywidgets.VBox([self.head, self.button, self.found])
        for name in ("l4g-card", "claims-card", f"claims-{claim.key.replace('_', '-')}"):
            self.view.add_class(name)
        state.observe(state.guarded(lambda _: self._draw()), ["language", "findings"])
        self._draw()

    def _draw(self) -> None:
        language, finding = self.state.language, self.state.findings.get(self.claim.key)
        self.button.description = say("claim.run", language)
        verdict = None if finding is None else _spoken(finding)
        badge = None if finding is None else BADGES[finding.verdict]
        self.head.value = render("claim", language, claim=self.claim, verdict=verdict, badge=badge)
        self.found.value = "" if finding is None else _evidence(finding, language)
        self.found.layout.display = None if self.found.value else "none"


class Claims:
    """The chapter's page.

    Attributes:
        state: the language and the findings.
        cards: one a claim, by its key.
        view: the widget to display.
    """

    def __init__(self, language: str = "en") -> None:
        self.state = state = ClaimsState(language=language)
        self.cards = {claim.key: ClaimCard(state, claim) for claim in claims()}
        self.run_all = action_button(state.guarded(lambda _: self._run_all()), "claims-run-all", "primary")
        state.observe(state.guarded(lambda _: self._speak()), "language")
        self._speak()
        parts = [self._top(), _panel(state, _draw_error, "l4g-error")]
        for topic in TOPICS:
            parts.append(_panel(state, partial(_draw_topic, topic), "claims-topic"))
            parts += [card.view for card in self.cards.values() if card.claim.topic == topic]
            parts.append(_panel(state, partial(_draw_paths, topic), "l4g-card"))
        self.view = page_of(parts)

    def _top(self) -> ipywidgets.Box:
        state = self.state
        side = ipywidgets.HBox([self.run_all, LanguageSwitch(state).view])
        side.add_class("l4g-side")
        row = ipywidgets.Box([_panel(state, _draw_title, "l4g-title"), side])
        row.add_class("l4g-top")
        return row

    def _speak(self) -> None:
        self.run_all.description = say("claim.run_all", self.state.language)

    def _run_all(self) -> None:
        for card in self.cards.values():
            self.state.run(card.claim)


def chapter(language: str = "en") -> ipywidgets.Widget:
    """The claims with their evidence, ready to be displayed."""
    return Claims(language).view


def _panel(state: ClaimsState, draw: Callable[[ClaimsState], str], css_class: str) -> ipywidgets.HTML:
    """HTML that is drawn anew for another language or error."""
    return HtmlPanel(state, draw, ("language", "error"), css_class).view


def _spoken(finding: Finding) -> Sentence:
    """The verdict with the releases at which it turns."""
    name = finding.verdict.replace("-", "_")
    return Sentence(f"claim.verdict_{name}", {"turn": ", ".join(finding.turn)})


def _question(series: Series) -> Sentence:
    """What was asked, in a line."""
    asked = series.workload
    dropout = Sentence("claim.with_dropout", {"dropout": f"{asked.dropout:g}"}) if asked.dropout else ""
    cache = Sentence("claim.with_cache", {"dtype": asked.kv_dtype}) if asked.kv_dtype != asked.dtype else ""
    shape = {"head_dim": asked.head_dim, "dtype": asked.dtype, "dropout": dropout, "cache": cache}
    task = Sentence(f"task.{asked.task}")
    return Sentence("claim.question", {"library": series.library, "task": task, "gpu": series.gpu, **shape})


def _evidence(finding: Finding, language: str) -> str:
    stated = finding.claim.verdict
    same = (finding.verdict, finding.turn) == (stated, finding.claim.turn)
    return render(
        "claim_evidence",
        language,
        finding=finding,
        stated=None if same else stated,
        question=_question,
        said=said,
        address=address,
    )


def _draw_title(state: ClaimsState) -> str:
    return render("claims_title", state.language)


def _draw_error(state: ClaimsState) -> str:
    return render("error", state.language, sentence=state.error.say(state.language)) if state.error else ""


def _draw_topic(topic: str, state: ClaimsState) -> str:
    return render("heading", state.language, key=f"claim.topic_{topic}")


def _draw_paths(topic: str, state: ClaimsState) -> str:
    ways = [way for way in paths() if way.topic == topic]
    if not ways:
        return ""
    return render("claim_paths", state.language, ways=ways, badges=OUTCOME_BADGES, address=address)
