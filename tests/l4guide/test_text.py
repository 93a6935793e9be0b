"""Sentences: kept as key and values, said in either language."""

import pytest

from l4guide.text import Joined, Sentence, digits, say, sentences


def test_a_sentence_is_said_in_the_language_asked_for() -> None:
    """One sentence, two languages."""
    sentence = Sentence("task.training")
    assert sentence.say("en") == "Training"
    assert sentence.say("zh") == "训练"


def test_a_sentence_inside_a_sentence_takes_the_same_language() -> None:
    """Values that are sentences are said in the outer language."""
    outer = Sentence("note.model", {"model": "X", "note": Sentence("task.training")})
    assert outer.say("zh") == "X：训练"


def test_a_list_is_joined_as_the_language_joins_lists() -> None:
    """English has a comma, Chinese an enumeration mark."""
    joined = Joined(("a", Sentence("task.training")))
    assert joined.say("en") == "a, Training"
    assert joined.say("zh") == "a、训练"


def test_a_value_called_key_does_not_clash() -> None:
    """A sentence may have a placeholder of any name."""
    with pytest.raises(KeyError, match=r"no\.such"):
        say("no.such", "en", key="value")


def test_an_unknown_language_is_named() -> None:
    """The error lists the languages there are."""
    with pytest.raises(KeyError, match="not one of en, zh"):
        sentences("fr")


@pytest.mark.parametrize(
    ("shown", "value"), [("0.0000792", 7.9161e-05), ("12300", 12345.6), ("0.44", 0.44), ("0", 0.0)]
)
def test_numbers_are_shown_without_exponents(shown: str, value: float) -> None:
    """Three digits, however small or large."""
    assert shown == digits(value)
