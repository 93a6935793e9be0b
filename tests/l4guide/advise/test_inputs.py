"""Every input that moved an answer stands in its headline or question line, wherever the answer is read."""

import json
from collections.abc import Mapping
from functools import cache
from html import unescape
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l4guide.advise import Advice, advise, model_answer
from l4guide.advise.inputs import Input
from l4guide.errors import Problem
from l4guide.report import render
from l4guide.screen import of_advice, of_cost
from l4guide.step.recipe import FIELDS
from l4guide.text import LANGUAGES
from l4guide.widgets.state import GuideState
from l4guide.widgets.verdict import VerdictCard

#: What each input may be, of a bare shape and of a model.
SHAPE: Mapping[str, tuple[object, ...]] = {
    "task": ("prefill", "decode", "training"),
    "head_dim": (64, 96, 128, 192, 256, 320),
    "batch": (1, 3, 16),
    "seqlen": (512, 2048, 8192),
    "heads": (8, 32),
    "kv_heads": (1, 2, 8),
    "dtype": ("fp16", "bf16", "fp32"),
    "kv_dtype": ("fp8", "int8"),
    "causal": (True, False),
    "dropout": (0.1, 0.25),
    "window": (128, 1024),
    "softcap": (30.0, 50.0),
    "alibi": (True,),
    "deterministic": (True,),
    "varlen": (True,),
    "block_sparse": (True,),
    "paged_block_size": (16, 256),
    "append_kv": (True,),
    "num_splits": (0, 1, 4),
    "score_mod": (True,),
    "mask": ("bool", "additive"),
    "sinks": (True,),
    "enable_gqa": (True,),
    "own_scores": (True,),
}
MODEL: Mapping[str, tuple[object, ...]] = {
    "task": ("prefill", "decode", "training"),
    "model": ("Llama-3.2-1B", "Llama-3.1-8B", "Qwen3-4B"),
    "batch": (1, 3, 16),
    "seqlen": (512, 4096),
    "weights": ("bf16", "fp8", "int4"),
    "kv_dtype": ("fp8", "int8"),
    "method": ("full", "lora", "qlora"),
    "lora_rank": (8, 64),
    "lora_targets": (("q_proj", "v_proj"), ("mlp",)),
    "optimizer": ("adamw-8bit", "paged-adamw-8bit", "lion"),
    "master_weights": (False,),
    "fused_step": (True,),
    "loss": ("chunked",),
    "recompute": ("full", "none", "offload"),
    "zero": (0, 2),
    "accumulation": (4,),
    "flash": (True, False),
    "gpus": (2, 4),
    "dropout": (0.1,),
    "window": (1024,),
    "price": (0.3, 2.5),
    "spot": (True,),
    "tariff": (0.25,),
    "load": (1000, 50_000),
    "run_tokens": (1_000_000, 2_000_000_000),
    "max_latency_ms": (20, 5000),
    "tpot_ms": (15, 80),
    "ttft_ms": (200, 900),
}
GPUS = ("L4", "T4", "A100-80GB-SXM", "H100 SXM")


@st.composite
def changed(draw: st.DrawFn, known: Mapping[str, tuple[object, ...]]) -> tuple[str, dict[str, Any], str, Any]:
    """A card, a question, the name of one of its inputs, and another value for it."""
    names = draw(st.lists(st.sampled_from(sorted(known)), max_size=5, unique=True))
    options = {name: draw(st.sampled_from(known[name])) for name in names}
    if "model" in known:
        options.setdefault("model", "Llama-3.1-8B")
    name = draw(st.sampled_from(sorted(known)))
    return draw(st.sampled_from(GPUS)), options, name, draw(st.sampled_from(known[name]))


def answered(gpu: str, options: dict[str, Any]) -> Advice | None:
    """The answer; None where the question cannot be asked."""
    try:
        return advise(gpu, options)
    except Problem:
        return None


def without_question(advice: Advice) -> str:
    """All of an answer but what was asked."""
    said = advice.to_json()
    return json.dumps({name: part for name, part in said.items() if name != "question"}, sort_keys=True)


def assert_named(advice: Advice, name: str, value: object) -> None:
    """Headline and question line of every view hold the input, in both languages."""
    items = {item.name: item for item in advice.question.inputs.items}
    shown = items.get(name) or items.get("seqlen_q" if name == "seqlen" else name)
    assert shown is not None, f"{name} is not named"
    if name not in (
        "weights",
        "kv_dtype",
        "dtype",
        "seqlen",
    ):  # a method or a task may settle these otherwise
        assert value == shown.value
    assert shown.given
    assert items[shown.name].value == advice.question.to_json()[shown.name]
    for language in LANGUAGES:
        phrase = shown.phrase.say(language)
        line = advice.question.said().say(language)
        assert phrase in line
        assert phrase in of_advice(advice).say(language)
        assert line == advice.to_json(language)["question"]["line"]  # type: ignore[index]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changed(SHAPE))
def test_what_moves_the_answer_about_a_shape_is_named(case: tuple[str, dict[str, Any], str, Any]) -> None:
    """Change any one input: if the answer changed, the question line holds its value."""
    assert_property(*case)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changed(MODEL))
def test_what_moves_the_answer_about_a_model_is_named(case: tuple[str, dict[str, Any], str, Any]) -> None:
    """Its weights, method, cache, cards, price and targets too."""
    assert_property(*case)


#: Questions of which one input is changed: a model that is served, one that is trained, a bare shape.
SERVED = {"model": "Llama-3.1-8B", "task": "decode", "batch": 2, "seqlen": 1024}
TRAINED = {"model": "Llama-3.2-1B", "task": "training", "method": "lora", "batch": 2, "seqlen": 1024}
BARE = {"task": "training", "head_dim": 112, "batch": 2, "seqlen": 1024}
CHANGES = [
    *((SERVED, name, value) for name in MODEL for value in MODEL[name] if SERVED.get(name) != value),
    *((TRAINED, name, value) for name in FIELDS for value in MODEL[name]),
    *((BARE, name, value) for name in SHAPE for value in SHAPE[name] if BARE.get(name) != value),
]
#: Inputs that are known to move an answer about a model.
MOVING = ("model", "batch", "seqlen", "weights", "kv_dtype", "gpus", "price", "spot", "tpot_ms")


@cache
def answer_to(kind: int) -> str:
    """The answer to one of the questions above, without what was asked."""
    return without_question(advise("L4", (SERVED, TRAINED, BARE)[kind]))


@pytest.mark.parametrize(("base", "name", "value"), CHANGES)
def test_each_input_is_named_where_it_moves_the_answer(
    base: dict[str, Any], name: str, value: object
) -> None:
    """One after another, and those that matter most are seen to matter."""
    after = answered("L4", {**base, name: value})
    if after is None:
        return  # an encoder's fp8 query, a method of a shape: it cannot be asked
    moved = without_question(after) != answer_to((SERVED, TRAINED, BARE).index(base))
    assert moved or base is not SERVED or name not in MOVING or value == "bf16"
    if moved:
        assert_named(after, name, value)


def assert_property(gpu: str, options: dict[str, Any], name: str, value: object) -> None:
    """The property of one question and one change of it."""
    before, after = answered(gpu, options), answered(gpu, {**options, name: value})
    if before is None or after is None or without_question(before) == without_question(after):
        return
    assert_named(after, name, value)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"weights": "fp8", "tpot_ms": "80"}, ("fp8 weights", "each token within 80 ms", "bf16")),
        (
            {"task": "training", "method": "qlora", "batch": 2},
            ("method qlora", "nf4 weights", "LoRA rank 16"),
        ),
        ({"kv_dtype": "fp8", "gpus": 2, "price": 0.7}, ("fp8 KV cache", "GPUs: 2", "0.7 USD per GPU-hour")),
    ],
)
def test_report_and_cost_say_the_same_line(options: dict[str, object], values: tuple[str, ...]) -> None:
    """The page and the screens show one line, which holds what was given and what was assumed."""
    asked = {"model": "Llama-3.1-8B", "task": "decode", **options}
    advice, answer = advise("L4", asked), model_answer("L4", asked)
    line = str(advice.question.said())
    assert all(value in line for value in values)
    assert line in unescape(render(advice))
    assert advice.question.said().say("zh") in unescape(render(advice, "zh"))
    assert line in of_cost(answer).say()
    assert line == answer.to_json()["question"]["line"]  # type: ignore[index]


def test_the_guide_says_the_line() -> None:
    """With fp8 weights the verdict names them, above the headline and in it."""
    state = GuideState(task="decode", model="Llama-3.1-8B", weights="fp8")
    html = unescape(VerdictCard(state).answer.view.value)
    assert str(state.advice.question.said()) in html
    assert html.count("fp8 weights") == 2


def test_a_record_of_runs_is_named_and_so_is_its_absence() -> None:
    """By the name of its file; what was said to leave runs out as well."""
    line = str(advise("L4", {"no_measurements": True}).question.said())
    assert "measurements ignored" in line
    old = str(advise("L4", {"as_fitted": True}).question.said())
    assert line == old


def test_a_number_is_shown_in_full() -> None:
    """No exponent, and no digit that was not given."""
    shown = [
        Input(name="run_tokens", value=value, given=True).phrase.say() for value in (2e9, 1234567.0, 0.5)
    ]
    assert ["run of 2000000000 tokens", "run of 1234567 tokens", "run of 0.5 tokens"] == shown
