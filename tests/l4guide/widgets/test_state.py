"""The state: inputs become answers, mistakes become lines beside their field, nothing is lost."""

import asyncio
import threading
from collections.abc import Mapping

import pytest

from l4guide.advise import Advice, advise
from l4guide.errors import BadInput
from l4guide.model.traced import Trace
from l4guide.text import Sentence
from l4guide.tracing import architecture
from l4guide.tracing.record import recorded
from l4guide.tracing.shared import SHARED
from l4guide.widgets.page import Guide
from l4guide.widgets.page_state import SETTLE_S
from l4guide.widgets.state import CUSTOM, GuideState
from l4guide.widgets.verdict import VerdictCard


def test_the_first_question_is_answered_at_once() -> None:
    """A new state holds the answer for training at head_dim 128 on an L4."""
    state = GuideState()
    assert ("yes", "L4", 128) == (
        state.advice.answer,
        state.advice.question.gpu.name,
        state.advice.question.workload.head_dim,
    )


@pytest.mark.parametrize(
    ("name", "value"), [("head_dim", "64"), ("task", "decode"), ("gpu", "A100-80GB-SXM"), ("dtype", "fp16")]
)
def test_a_change_of_an_input_is_a_new_question(name: str, value: str) -> None:
    """Every input reaches the question."""
    state = GuideState()
    before = state.advice
    setattr(state, name, value)
    assert before.question != state.advice.question
    said = state.advice.question.to_json()
    assert value == str(said[name])


@pytest.mark.parametrize("written", ["abc", "0", "-8", "1.5", ""])
def test_a_mistake_is_one_line_and_keeps_the_last_good_answer(written: str) -> None:
    """A bad head_dim says so at its field; the answer before it stays; a good one clears the message."""
    state = GuideState()
    before = state.advice
    state.head_dim = written
    assert "head_dim" == state.problem_field
    assert 1 == len(state.problem.say().splitlines())
    assert before is state.advice
    state.head_dim = "64"
    assert (None, "") == (state.problem, state.problem_field)
    assert 64 == state.advice.question.workload.head_dim


def test_heads_that_do_not_divide_are_said_at_the_kv_heads() -> None:
    """The message stands where the user can act on it."""
    state = GuideState(heads="32", kv_heads="5")
    assert "kv_heads" == state.problem_field
    assert "5" in state.problem.say("zh")


def test_a_preset_fills_its_shape_and_a_changed_shape_leaves_the_preset() -> None:
    """Choosing a model writes its shape; typing another head_dim makes the shape custom again."""
    state = GuideState()
    state.model = "Llama-3.1-8B"
    assert ("128", "32", "8") == (state.head_dim, state.heads, state.kv_heads)
    assert "Llama-3.1-8B" == state.advice.question.model.name
    state.head_dim = "64"
    assert CUSTOM == state.model
    assert (None, 64) == (state.advice.question.model, state.advice.question.workload.head_dim)


def test_a_model_of_unknown_shape_is_asked_for_its_shape() -> None:
    """Nothing is borrowed from the question before: the field is emptied, and a typed value is the model's."""
    state = GuideState()
    state.model = "Spark-Formalizer-X1-7B"
    assert ("", "head_dim") == (state.head_dim, state.problem_field)
    state.head_dim = "128"
    assert state.problem is None
    assert ("Spark-Formalizer-X1-7B", 128) == (
        state.advice.question.model.name,
        state.advice.question.workload.head_dim,
    )


def test_a_failure_in_a_callback_is_shown_in_both_languages() -> None:
    """What the front end would swallow is kept as a sentence with the exception's kind and reason."""
    state = GuideState()

    def fail() -> None:
        raise RuntimeError("the disk is on fire")

    state.guarded(fail)()
    assert "RuntimeError: the disk is on fire" in state.error.say("en")
    assert state.error.say("en") != state.error.say("zh")
    state.guarded(_refuse)()
    assert Sentence("error.unknown_gpu", {"name": "X", "near": "L4", "path": "p"}) == state.error


def test_the_next_change_clears_the_error() -> None:
    """An error stays until the user goes on."""
    state = GuideState()
    state.error = Sentence("guide.unexpected", {"kind": "E", "reason": "r"})
    state.head_dim = "64"
    assert state.error is None


def test_changes_within_a_moment_are_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an event loop, as in a notebook, a burst of changes asks for advice once."""
    state = GuideState()
    asked: list[Mapping[str, object]] = []

    def count(gpu: str, options: Mapping[str, object], here: object) -> Advice:
        assert here is None
        asked.append(options)
        return advise(gpu, options)

    monkeypatch.setattr("l4guide.widgets.state.advise", count)

    async def burst() -> None:
        for width in ("32", "64", "96"):
            state.head_dim = width
        await asyncio.sleep(SETTLE_S * 4)

    asyncio.run(burst())
    assert ["96"] == [options["head_dim"] for options in asked]
    assert 96 == state.advice.question.workload.head_dim


def test_an_unknown_gpu_is_refused_when_the_guide_is_made() -> None:
    """A mistake in the notebook's own cell is a line there, with the nearest names."""
    with pytest.raises(BadInput, match="L4"):
        Guide(gpu="L44444")


def test_names_are_forgiven_and_become_the_canonical_ones() -> None:
    """A card or model may be written as on the command line."""
    state = GuideState(gpu="nvidia l4", model="llama 3.1 8b")
    assert ("L4", "Llama-3.1-8B", "8") == (state.gpu, state.model, state.kv_heads)


def _refuse() -> None:
    raise BadInput("error.unknown_gpu", name="X", near="L4", path="p")


CONFIG = (
    '{"model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, '
    '"num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 128256, "head_dim": 64}'
)


def test_a_pasted_configuration_is_a_model() -> None:
    """Its shape fills the fields and its whole is answered; a preset, or another width by hand, lets it go."""
    state = GuideState(task="decode")
    state.config = CONFIG
    assert ("64", "8", "config.json") == (state.head_dim, state.kv_heads, state.advice.question.model.name)
    assert state.advice.model is not None
    state.model = "Llama-3.1-8B"
    assert ("", "Llama-3.1-8B") == (state.config, state.advice.question.model.name)
    state.config = CONFIG
    assert CUSTOM == state.model
    state.head_dim = "96"
    assert ("", None) == (state.config, state.advice.model)


def test_a_page_does_not_wait_for_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is answered at once and says that it is being traced; the traced answer follows by itself."""
    trace, asked = recorded()["llama"].trace, threading.Event()

    def slow(config: Mapping[str, object], name: str) -> Trace:
        assert trace is not None
        assert asked.wait(30)
        return trace

    monkeypatch.setattr(architecture, "_known", {})
    monkeypatch.setattr(architecture, "is_at_hand", lambda: True)
    monkeypatch.setattr(SHARED, "config", slow)

    async def paste() -> GuideState:
        state = GuideState(task="decode")
        card = VerdictCard(state)
        state.config = CONFIG
        await asyncio.sleep(4 * SETTLE_S)
        assert (True, "read") == (state.tracing, basis_of(state))
        assert "guide-tracing" in card.answer.view.value
        asked.set()
        async with asyncio.timeout(30):
            while state.tracing:
                await asyncio.sleep(SETTLE_S)
        assert "guide-tracing" not in card.answer.view.value
        return state

    state = asyncio.run(paste())
    assert ("traced", None, None) == (basis_of(state), state.error, state.problem)
    assert ("128", "32") == (state.head_dim, state.kv_heads)


def basis_of(state: GuideState) -> object:
    """How the model of the answer was counted."""
    return state.advice.model.whole.to_json()["model_basis"]


def test_a_configuration_that_cannot_be_read_is_marked() -> None:
    """The message stands beside its field, and the last good answer stays."""
    state = GuideState()
    before = state.advice
    state.config = "{nonsense"
    assert ("config", before) == (state.problem_field, state.advice)
    assert "JSON" in state.problem.say()
    assert state.error is None


def test_terms_reach_the_answer() -> None:
    """Own price, cards, weights and a latency target; without a model only the first two are asked."""
    state = GuideState(task="decode", model="Llama-3.1-8B")
    state.price, state.gpus, state.weights, state.tpot_ms = "0.3", "2", "fp8", "1"
    whole = state.advice.model.whole
    assert (0.3, 2, "fp8") == (whole.rate.usd_per_hour, whole.cards, whole.question.plan.weights)
    assert whole.late is not None
    state.model = CUSTOM
    assert (None, None) == (state.problem, state.advice.model)
    state.price = "-1"
    assert "price" == state.problem_field
