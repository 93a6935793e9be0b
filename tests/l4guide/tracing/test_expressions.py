"""Recorded expressions answer as transformers would, for what they were tried with and for nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4guide.model.traced import Trace
from l4guide.tracing.comparison import HELD, outcome, outcomes
from l4guide.tracing.expressions import EXPRESSIONS, expressed, outside
from l4guide.tracing.process import Tracer
from l4guide.tracing.record import folder, recorded

MOST_BYTES = 2_000_000
#: Types that are run anew at a configuration of this test's own: some of each kind, among those with expressions.
SAMPLE = [
    "glm4_moe_lite",
    "modernbert",
    "mistral3",
    "funnel",
    "falcon_h1",
    "longformer",
    "moonshine",
    "trocr",
    "git",
    "layoutlm",
]


def lines() -> list[dict[str, Any]]:
    """Every line of the record."""
    return [
        json.loads(line)
        for path in sorted((folder() / EXPRESSIONS).glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def test_the_record_is_small_and_one_type_a_line() -> None:
    """A line for each type that is recorded, in files that are read at once."""
    types = [line["model_type"] for line in lines()]
    assert sorted(set(types)) == sorted(types)
    assert sum(path.stat().st_size for path in (folder() / EXPRESSIONS).iterdir()) <= MOST_BYTES
    assert set(types) <= set(recorded())


@pytest.mark.parametrize("line", lines(), ids=lambda line: str(line["model_type"]))
def test_a_default_is_counted_as_its_modules_are(line: dict[str, Any]) -> None:
    """To the parameter, by kind of module; no total is recorded."""
    one = recorded()[line["model_type"]]
    assert one.trace is not None
    found = expressed({"model_type": one.model_type})
    assert found is not None
    assert (one.trace.parameters, dict(one.trace.modules)) == (found.parameters, dict(found.modules))
    # A share of experts is rounded for each of their tensors, or for all of them together.
    assert (one.trace.active_parameters or 0) == pytest.approx(found.active_parameters or 0, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", SAMPLE)
@pytest.mark.parametrize("seed", [7])
def test_a_configuration_that_nobody_recorded_is_counted_too(
    model_type: str, seed: int, tracer: Tracer
) -> None:
    """Other layers, widths, heads, vocabularies and experts, by a seed that `make traces` does not use."""
    config, _ = tracer.config_of(model_type, seed=seed)
    traced = tracer.config(config, model_type)
    found = expressed(config)
    assert found is not None
    assert outcome(config, traced) in HELD
    assert traced.parameters == found.parameters


GLM = {"model_type": "glm4_moe_lite"}


def parameters(**fields: object) -> int:
    """Parameters of one type, some of its fields said."""
    found = expressed(GLM | fields)
    assert isinstance(found, Trace)
    return found.parameters


def test_fields_that_people_change_change_the_count() -> None:
    """Tied embeddings save a head, null query ranks are one product, other dense layers are other products."""
    assert parameters(tie_word_embeddings=True) == parameters() - 154880 * 2048
    assert parameters(q_lora_rank=None) != parameters()
    mixed = ["dense"] * 3 + ["sparse"] * 44
    assert parameters(mlp_layer_types=mixed) < parameters()
    assert parameters(num_hidden_layers=10) < parameters(num_hidden_layers=11)


@pytest.mark.parametrize(
    "fields",
    [
        {"tie_word_embeddings": "yes"},
        {"q_lora_rank": 0},
        {"q_lora_rank": -3},
        {"mlp_layer_types": ["dense", "of another kind"]},
        {"mlp_layer_types": "dense"},
        {"hidden_size": None},
        {"hidden_size": "wide"},
        {"hidden_size": 2**70},
        {"num_hidden_layers": 10**9},
        {"architectures": ["Glm4MoeLiteForSequenceClassification"]},
    ],
)
def test_what_was_never_tried_is_not_answered(fields: dict[str, object]) -> None:
    """Another kind of value, another class or an absurd number: the record says nothing."""
    assert expressed(GLM | fields) is None


def test_a_part_of_another_type_is_not_answered() -> None:
    """A record of a type with parts is of parts of those types."""
    assert expressed({"model_type": "mistral3", "text_config": {"model_type": "mistral"}}) is not None
    assert expressed({"model_type": "mistral3", "text_config": {"model_type": "no-such-type"}}) is None
    assert "text_config" == outside({"model_type": "mistral3", "text_config": {"model_type": "no-such-type"}})


def test_an_unknown_type_has_no_record() -> None:
    """Nothing is guessed."""
    assert expressed({"model_type": "no-such-type"}) is None
    assert outside({"model_type": "no-such-type"}) is None
    assert expressed({}) is None


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "dense", "é"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model_type", "hidden_size"]), inner, max_size=2)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        "hidden_size",
        "num_hidden_layers",
        "mlp_layer_types",
        "q_lora_rank",
        "text_config",
        "architectures",
        "x",
    ]
)


@given(st.sampled_from(["glm4_moe_lite", "mistral3", "modernbert"]), st.dictionaries(NAMES, VALUE))
def test_any_configuration_is_answered_or_not(model_type: str, fields: dict[str, Any]) -> None:
    """A trace with whole numbers, or none; no exception."""
    found = expressed({**fields, "model_type": model_type})
    assert found is None or (isinstance(found.parameters, int) and found.parameters >= 0)


def test_what_a_record_answers_is_right() -> None:
    """Every type with expressions is right at its default; at the other configuration most are, none is only read."""
    every = outcomes()
    with_record = [line["model_type"] for line in lines()]
    assert [] == [name for name in with_record if every[name][0] not in HELD]
    elsewhere = [name for name in with_record if every[name][1] not in HELD]
    assert len(elsewhere) <= len(with_record) / 4
