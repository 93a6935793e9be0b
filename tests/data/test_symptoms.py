"""The symptom files themselves: each is recognised, none by chance, and every text ends in a way out."""

import tomllib
from pathlib import Path

import pytest

from l4guide.diagnose import diagnose
from l4guide.diagnose.reader import symptom_book
from l4guide.diagnose.symptom import Symptom
from l4guide.support.conditions import FIELDS

BOOK = symptom_book()
EXAMPLES: dict[str, dict[str, list[str]]] = tomllib.loads(
    (Path(__file__).parent / "symptoms.toml").read_text(encoding="utf-8")
)
SHOWN = [(code, text) for code, example in EXAMPLES.items() for text in example["shows"]]
NOT_SHOWN = [(code, text) for code, example in EXAMPLES.items() for text in example["not"]]


def found(text: str) -> set[str]:
    """The symptoms that a text shows."""
    return {finding.symptom or finding.code for finding in diagnose(text).findings}


def test_codes_are_unique_and_every_one_has_examples() -> None:
    """A symptom without a text that shows it and one that does not could be wrong unseen."""
    codes = [symptom.code for symptom in BOOK.symptoms]
    assert len(codes) == len(set(codes))
    assert sorted(EXAMPLES) == sorted(codes)
    assert all(example["shows"] and example["not"] for example in EXAMPLES.values())


@pytest.mark.parametrize(("code", "text"), SHOWN, ids=lambda value: value[:40])
def test_a_real_text_is_recognised(code: str, text: str) -> None:
    """The text is known, and by this symptom."""
    assert code in found(text)


@pytest.mark.parametrize(("code", "text"), NOT_SHOWN, ids=lambda value: value[:40])
def test_a_near_miss_is_not(code: str, text: str) -> None:
    """A text that merely sounds like it is not taken for it, and for another one only where it is that one's text."""
    assert found(text) <= set(EXAMPLES[code].get("then", [])) - {code}


@pytest.mark.parametrize("symptom", BOOK.symptoms, ids=lambda symptom: symptom.code)
def test_each_words_of_a_symptom_can_be_found(symptom: Symptom) -> None:
    """No wording is dead: its own text, with its blanks filled in, is found by it."""
    filling = {name: "1" for one in symptom.wordings for name in one.blanks} | {"gap": "x"}
    filling |= {
        "required_size": "1 GiB",
        "limit_size": "1 GiB",
        "size": "1 GiB",
        "capability": "8.9",
        "arch": "89",
    }
    filling |= dict.fromkeys(("dtype", "kv_dtype", "torch_dtype"), "half")
    for one in symptom.wordings:
        assert one.pattern.search(one.text.format_map(filling).lower()), one.text


def test_the_last_advice_serves_every_field() -> None:
    """A broken rule on any field has some advice, and only the last is for all the others."""
    assert [()] == [one.fields for one in BOOK.advice if not one.fields]
    assert BOOK.advice[-1].fields == ()
    assert {field for one in BOOK.advice for field in one.fields} <= set(FIELDS)


def test_origins_are_unique() -> None:
    """A library and a hint are named once."""
    hints = [hint for origin in BOOK.origins for hint in origin.hints]
    assert len(hints) == len(set(hints))
    assert len(BOOK.origins) == len({origin.library for origin in BOOK.origins})
