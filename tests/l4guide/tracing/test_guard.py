"""Whatever is pasted, it ends in an answer or one sentence, and nothing of it is executed."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l4guide.errors import BadInput, CannotDo, Problem
from l4guide.tracing import describe
from l4guide.tracing.guard import cleaned
from l4guide.tracing.process import Tracer
from l4guide.tracing.record import recorded

pytestmark = pytest.mark.slow

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}
HOSTILE = [
    ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
    ({"num_hidden_layers": -4}, "num_hidden_layers is -4"),
    ({"hidden_size": 10**12}, "hidden_size is 1000000000000"),
    ({"num_attention_heads": -8}, "num_attention_heads is -8"),
    ({"vision_config": {"hidden_size": 1e300}}, "hidden_size"),
    ({"num_experts": 10**7}, "num_experts is 10000000"),
    ({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}, "nested deeper"),
    ({"hidden_size": float("nan")}, "hidden_size is nan"),
]
REFUSED = [
    ({"num_attention_heads": 0}, "ZeroDivision|num_attention_heads"),
    ({"hidden_size": "wide"}, "hidden_size"),
    ({"hidden_act": "os.system"}, "os.system"),
    ({"model_type": "no-such-type"}, "no-such-type"),
    ({"model_type": None}, "model_type"),
    ({"model_type": ["llama"]}, "model_type"),
    ({"rope_parameters": {"rope_type": "no-such-rope"}}, "rope"),
]


def one_line(problem: BaseException) -> str:
    """What a problem says, which is one line in either language."""
    assert isinstance(problem, Problem)
    assert "\n" not in problem.say() + problem.say("zh")
    return problem.say()


@pytest.mark.parametrize(("fields", "wanted"), HOSTILE)
def test_what_is_absurd_is_refused_before_anything_is_built(fields: dict[str, object], wanted: str) -> None:
    """Counts and widths beyond any published model are one line that names the field."""
    with pytest.raises(BadInput, match=wanted) as caught:
        cleaned(LLAMA | fields, "config.json")
    one_line(caught.value)


@pytest.mark.parametrize(("fields", "wanted"), REFUSED)
def test_what_transformers_refuses_is_one_line(
    fields: dict[str, object], wanted: str, tracer: Tracer
) -> None:
    """The reason that transformers gives comes back with the way out, and the process goes on."""
    with pytest.raises(BadInput) as caught:
        tracer.config(LLAMA | fields, "config.json")
    assert re.search(wanted, one_line(caught.value))
    assert 2 == tracer.config(LLAMA, "config.json").calls[0].layers


def test_no_code_of_a_configuration_runs(tmp_path: Path, tracer: Tracer) -> None:
    """`auto_map` and kernels from a hub are left out, at any depth; the type's own modules are built."""
    (tmp_path / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n", encoding="utf-8")
    hostile = {
        "auto_map": {"AutoModelForCausalLM": f"{tmp_path}--modeling.Model"},
        "trust_remote_code": True,
        "_attn_implementation": "somebody/kernels",
        "_name_or_path": str(tmp_path),
        "text_config": {"auto_map": {"AutoConfig": "modeling.Config"}},
    }
    clean = cleaned(LLAMA | hostile, "config.json")
    assert "auto_map" not in json.dumps(clean)
    assert "kernels" not in json.dumps(clean)
    found = tracer.config(LLAMA | hostile | {"text_config": None}, "config.json")
    assert "LlamaForCausalLM" == found.model_class
    assert not (tmp_path / "ran").exists()


def test_other_models_weights_are_not_fetched(tracer: Tracer) -> None:
    """A backbone that would come from a hub ends in one line: there is no network in that process."""
    config = {"model_type": "dpt", "backbone": "somebody/backbone", "use_pretrained_backbone": True}
    try:
        tracer.config(config, "config.json")
    except Problem as problem:
        one_line(problem)


def test_a_model_that_takes_too_long_is_stopped() -> None:
    """The deadline ends the process; the next question gets a new one."""
    with Tracer(deadline_s=0.2) as hurried:
        with pytest.raises(CannotDo, match=r"0\.2 seconds") as caught:
            hurried.model_type("llama")
        one_line(caught.value)
        hurried._worker.deadline_s = 120.0
        assert 32 == hurried.model_type("llama").calls[0].layers


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-3, 3), max_size=3),
    st.dictionaries(
        st.sampled_from(["hidden_size", "model_type", "auto_map"]), st.integers(-3, 9), max_size=2
    ),
)
NAMES = st.sampled_from(
    [*LLAMA, "head_dim", "layer_types", "rope_parameters", "architectures", "vision_config", "dtype"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_any_change_is_an_answer_or_a_sentence(changed: dict[str, object], tracer: Tracer) -> None:
    """Missing, negative, huge and mistyped fields never end in a traceback."""
    try:
        found = tracer.config(LLAMA | changed, "config.json")
    except Problem as problem:
        one_line(problem)
    else:
        assert 0 <= found.parameters


def test_what_cannot_be_built_is_read_where_it_can() -> None:
    """A type that transformers does not know is read from its configuration, which a remark says."""
    found = describe(LLAMA | {"model_type": "unheard-of", "beehives": 7}, "config.json", context=100)
    assert "read" == found.basis
    assert any("unheard-of" in remark.say() for remark in found.remarks)
    assert any("not compared" in remark.say() for remark in found.remarks)
    assert ("beehives",) == found.trace.unread
    assert 2 * 100 * 2 * 2 * 2 * 16 == found.cache_bytes


def test_no_default_of_transformers_is_out_of_limits() -> None:
    """What every type says by default, of its parts as well, is within the limits."""
    for name, one in recorded().items():
        if one.config is not None:
            assert "model_type" in cleaned(one.config, name)
