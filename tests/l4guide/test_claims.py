"""Every stated verdict follows from the evidence, and a wrong one would not."""

from dataclasses import replace
from pathlib import Path

import pytest

from l4guide import claims as module
from l4guide import support
from l4guide.catalogue import sources
from l4guide.claims import OUTCOMES, VERDICTS, Claim, Span, claims, paths, read_claims, run
from l4guide.errors import BadData
from l4guide.text import LANGUAGES, sentences

CLAIMS = {claim.key: claim for claim in claims()}
EVIDENCE = {"source", "binary", "header", "compiled", "measured", "documented", "quoted", "inferred"}


def answers(spans: tuple[Span, ...], over: str) -> list[tuple[str, str]]:
    """From which release on the answer is what."""
    return [("newest" if over == "newest" else span.first, span.status) for span in spans]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.key)
def test_the_stated_verdict_follows_from_the_evidence(claim: Claim) -> None:
    """Derived from what the rules answer, release by release, it is the same, with the same turning points."""
    found = run(claim)
    assert (claim.verdict, claim.turn) == (found.verdict, found.turn)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.key)
def test_the_evidence_is_what_the_file_says(claim: Claim) -> None:
    """Each answer, and the release from which on it is given, is the one that is written beside the question."""
    found = run(claim)
    for series in claim.evidence:
        spans = tuple(span for span in found.spans if span.series is series)
        assert list(series.expect) == answers(spans, series.over)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.key)
def test_a_claim_that_said_the_opposite_would_get_another_verdict(claim: Claim) -> None:
    """The verdict hangs on what is claimed: turned round, none stays as it is but a half truth about its causes."""
    opposite = {"ok": ("refused", "unsafe"), "too-large": ("fits",)}
    turned = tuple(
        item if item.role == "instead" else replace(item, claimed=opposite.get(item.claimed[0], ("ok",)))
        for item in claim.evidence
    )
    found = run(replace(claim, evidence=turned))
    if claim.verdict == "half-true":
        assert {span.holds for span in run(claim).spans if span.series.role != "instead"} == {True, False}
    else:
        assert claim.verdict != found.verdict


def test_every_verdict_but_none_unheard_of_occurs() -> None:
    """The article is neither all right nor all wrong; the reader meets each kind of verdict."""
    assert set(VERDICTS) == {claim.verdict for claim in CLAIMS.values()}


def test_the_claim_that_the_project_exists_for() -> None:
    """No training at head_dim 128: true until flash-attn 1.0.9, and the releases around the turn are its neighbours."""
    found = run(CLAIMS["no_training"])
    assert ("true-until", "flash-attn 1.0.9") == (found.verdict, found.turn[0])
    assert "155,648" in str(run(CLAIMS["hardware"]).spans[0].text)
    assert "101,376" in str(run(CLAIMS["hardware"]).spans[0].text)


def test_a_release_that_broke_it_again_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the newest release to refuse, "true until" would no longer follow."""
    real = support.check

    def check(*question: object) -> object:
        verdict = real(*question)  # type: ignore[arg-type]
        return replace(verdict, status="refused") if verdict.version.startswith("2.8.3") else verdict

    monkeypatch.setattr(module, "check", check)
    assert "half-true" == run(CLAIMS["no_training"]).verdict


def test_the_way_out_works() -> None:
    """What the reader is sent to instead runs, where the rules can be asked."""
    ways = [span for claim in CLAIMS.values() for span in run(claim).spans if span.series.role == "instead"]
    assert ways
    assert {"ok"} == {span.status for span in ways}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_claim_is_said_explained_and_ends_in_what_to_do(language: str) -> None:
    """Claim, reason and way out in each language."""
    for claim in CLAIMS.values():
        for sentence in (claim.said, claim.why, claim.instead):
            assert sentence.say(language)


def test_the_numbers_in_the_sentences_are_those_of_the_data() -> None:
    """Bytes in the explanation of the tile are the tile's, in both languages."""
    texts = [str(span.text) for span in run(CLAIMS["hardware"]).spans]
    for language in LANGUAGES:
        for number in ("155,648", "101,376", "81,920"):
            assert number in sentences(language)["claim.why_hardware"]
            assert any(number in text for text in texts)


def test_every_way_is_known_from_somewhere() -> None:
    """Outcome, evidence and source are among the known ones, the sentence exists, and both topics are covered."""
    known = {entry.key for entry in sources()}
    for way in paths():
        assert way.outcome in OUTCOMES
        assert way.evidence in EVIDENCE
        assert way.source in known
        assert way.said.say("zh")
    assert {"fp8", "turing"} == {way.topic for way in paths()}


@pytest.mark.parametrize(
    ("line", "change", "named"),
    [
        ('verdict = "true"', 'verdict = "maybe"', "verdict"),
        ('claimed = ["ok"]', 'claimed = ["fine"]', "claimed"),
        ('sources = ["flash-attention-830"]', 'sources = ["hearsay"]', "sources"),
        ('over = "all"', 'over = "all"\nwhatever = 1', "whatever"),
    ],
)
def test_a_broken_entry_is_named(tmp_path: Path, line: str, change: str, named: str) -> None:
    """File, entry and key; nothing misspelt is silently without effect."""
    good = """[[claim]]
key = "runs"
topic = "article"
verdict = "true"
sources = ["flash-attention-830"]
[[claim.evidence]]
library = "flash-attn"
over = "all"
options = { head_dim = 64 }
claimed = ["ok"]
expect = { "0.2.1" = "ok" }
"""
    path = tmp_path / "claims.toml"
    path.write_text(good, encoding="utf-8")
    assert ["runs"] == [claim.key for claim in read_claims(path)]
    path.write_text(good.replace(line, change), encoding="utf-8")
    with pytest.raises(BadData, match=f"claims.toml, claim 1.*{named}"):
        read_claims(path)
