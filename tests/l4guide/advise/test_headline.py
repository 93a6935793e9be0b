"""The answer in one sentence: at most 90 characters, whatever the names and widths in it, in both languages."""

import itertools
import random

import pytest

from l4guide.advise import advise, model_answer
from l4guide.advise.headline import MOST_CHARACTERS, fitting, of_library
from l4guide.catalogue import gpus, models
from l4guide.errors import Problem
from l4guide.support import check, libraries
from l4guide.text import LANGUAGES, Sentence
from l4guide.workload import ask

CARDS = [gpu.name for gpu in gpus()]
LONGEST = max(CARDS, key=len)
PRESETS = [model.name for model in models() if model.status != "not-found"]
TASKS = ("prefill", "decode", "training")
WIDTHS: tuple[dict[str, object], ...] = (
    {"head_dim": 64},
    {"head_dim": 128},
    {"head_dim": 256, "dropout": 0.1},
    {"head_dim": 320},
    {"head_dim": 72},
)
#: A card and a plan for each preset, drawn once and for all, so that a run is quick and every run the same.
DRAWN = random.Random(90)
TRIED: dict[str, list[dict[str, object]]] = {
    "decode": [{}, {"weights": "fp8", "kv_dtype": "fp8"}, {"tpot_ms": 1}, {"batch": 64}],
    "training": [{}, {"method": "qlora"}, {"gpus": 8, "method": "lora"}],
}
PLANS = [
    (DRAWN.choice([LONGEST, *CARDS]), preset, {"task": task, **DRAWN.choice(plans)})
    for preset in PRESETS
    for task, plans in TRIED.items()
]


def assert_short(headline: Sentence) -> None:
    """Every language has the room that a screen gives the answer."""
    for language in LANGUAGES:
        said = headline.say(language)
        assert len(said) <= MOST_CHARACTERS, said


@pytest.mark.parametrize(("card", "task"), list(itertools.product([*CARDS[::4], LONGEST], TASKS)))
def test_the_headline_of_a_shape_is_short(card: str, task: str) -> None:
    """Whatever runs, refuses or is silently wrong there."""
    for width in WIDTHS:
        assert_short(advise(card, {"task": task, **width}).headline)


@pytest.mark.parametrize(("card", "preset", "options"), PLANS)
def test_the_headline_of_a_model_is_short_and_names_its_weights(
    card: str, preset: str, options: dict[str, object]
) -> None:
    """In `advise` and in `cost`; where a cache of another type or a method was asked for, it is named as well."""
    try:
        answer = model_answer(card, {"model": preset, **options})
        headline = advise(card, {"model": preset, **options}).headline
    except Problem:
        return  # an encoder does not decode, and some widths are not public
    assert_short(headline)
    if headline.key.startswith("headline.model_nothing") or headline.key.endswith("_bare"):
        return  # there is no room; the question line names them
    assert f"{answer.whole.question.plan.weights} weights" in str(headline)
    for name in ("method", "kv_dtype"):
        if name in options:
            assert str(options[name]) in str(headline)


@pytest.mark.parametrize("library", libraries())
def test_the_headline_of_a_library_is_short(library: str) -> None:
    """For the longest name of a card, and the widths at which libraries differ."""
    card = next(gpu for gpu in gpus() if gpu.name == LONGEST)
    for task, width in itertools.product(TASKS, WIDTHS):
        workload = ask({"task": task, **width})[0]
        assert_short(of_library(check(workload, card, library), workload, card))


def test_the_fullest_wording_that_fits_is_taken() -> None:
    """The first one short enough, in every language; where none is, the last."""
    words = [Sentence("headline.always", {"library": "x" * length}) for length in (120, 91, 90, 20)]
    assert words[2] == fitting(words)
    assert words[1] == fitting(words[:2])
