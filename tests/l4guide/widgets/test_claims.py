"""The chapter without a browser."""

import pytest

from l4guide.claims import claims, run
from l4guide.text import say
from l4guide.widgets import Claims
from l4guide.widgets import claims as module


@pytest.fixture
def page() -> Claims:
    """The chapter, nothing run yet."""
    return Claims()


def test_nothing_is_said_before_the_evidence_is_run(page: Claims) -> None:
    """Every card shows its claim and a button; no verdict is given away."""
    assert {claim.key for claim in claims()} == set(page.cards)
    for card in page.cards.values():
        assert say("claim.not_run") in card.head.value
        assert "" == card.found.value


def test_running_one_claim_shows_its_verdict_and_leaves_the_others(page: Claims) -> None:
    """The badge, the table and what to do instead, in that card alone."""
    page.cards["no_training"].button.click()
    card = page.cards["no_training"]
    assert "true until flash-attn 1.0.9" in card.head.value
    assert "0.2.1 to 1.0.9" in card.found.value
    assert say("claim.instead_no_training").split(".")[0] in card.found.value
    assert "" == page.cards["memory"].found.value
    assert page.state.error is None


def test_the_language_is_that_of_every_part(page: Claims) -> None:
    """Claims, buttons, verdicts and tables change at once, before and after a run."""
    page.run_all.click()
    page.state.language = "zh"
    assert say("claim.run_all", "zh") == page.run_all.description
    for card in page.cards.values():
        assert say("claim.run", "zh") == card.button.description
        assert say(card.claim.said.key, "zh") in card.head.value
        assert say("claim.column_answer", "zh") in card.found.value
    assert "到 flash-attn 1.0.9" in page.cards["no_training"].head.value


def test_a_question_says_all_that_was_asked(page: Claims) -> None:
    """Dropout and the type of the KV cache decide some answers, so they stand in the question."""
    page.run_all.click()
    assert "dropout 0.1" in page.cards["told"].found.value
    assert "KV cache in fp8" in page.cards["fp8"].found.value


def test_a_stated_verdict_that_does_not_follow_is_called_out(
    page: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page shows what follows from the evidence, and says that the file says otherwise."""
    claim = page.cards["head_64"].claim
    finding = run(claim)
    object.__setattr__(finding, "verdict", "false")
    monkeypatch.setattr(module, "run", lambda _: finding)
    page.cards["head_64"].button.click()
    assert "data/claims.toml" in page.cards["head_64"].found.value
    assert say("claim.verdict_false") in page.cards["head_64"].head.value


def test_a_failure_is_shown_and_ends_nothing(page: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in one claim is one line, and the next run clears it."""

    def fail(_claim: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(module, "run", fail)
    page.cards["runs"].button.click()
    assert page.state.error is not None
    assert "broken" in str(page.state.error)
    monkeypatch.undo()
    page.cards["runs"].button.click()
    assert page.state.error is None
