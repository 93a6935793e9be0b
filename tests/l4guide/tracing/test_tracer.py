"""What a trace finds is what the modules are, for every kind of model."""

import json
import subprocess
import sys

import pytest
from public_configs import GEMMA_4_E4B, WHISPER_LARGE_V3

from l4guide.tracing import Trace
from l4guide.tracing.process import SETTINGS, Tracer

#: Two dozen models are built and run.
pytestmark = pytest.mark.slow

#: One type or two of each kind: decoders, encoders, both, states, latents, experts, towers, sound.
TYPES = [
    "llama",
    "gemma2",
    "gpt2",
    "bloom",
    "falcon",
    "bert",
    "modernbert",
    "deberta-v2",
    "t5",
    "bart",
    "whisper",
    "mamba2",
    "jamba",
    "zamba2",
    "qwen3_next",
    "deepseek_v3",
    "gpt_oss",
    "qwen3_moe",
    "switch_transformers",
    "qwen2_vl",
    "gemma3",
    "llama4",
    "gemma3n_text",
]
COUNT = """
import json, sys, torch, transformers
from transformers.initialization import no_init_weights
counts = {}
for name, kind in json.loads(sys.argv[1]).items():
    config = transformers.CONFIG_MAPPING[kind]()
    with torch.device("meta"), no_init_weights():
        model = getattr(transformers, name)(config)
    model.tie_weights()
    counts[kind] = sum(p.numel() for p in model.parameters())
print(json.dumps(counts))
"""

JAMBA = {"model_type": "jamba", "attn_layer_offset": 4, "attn_layer_period": 8, "num_hidden_layers": 32}
ENCODER = {
    "model_type": "xlm-roberta",
    "architectures": ["XLMRobertaModel"],
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "max_position_embeddings": 8194,
    "type_vocab_size": 1,
    "vocab_size": 250002,
}


@pytest.fixture(scope="module")
def traces(tracer: Tracer) -> dict[str, Trace]:
    """The trace of each of the types above."""
    return {kind: tracer.model_type(kind) for kind in TYPES}


def test_parameters_are_those_of_the_modules(traces: dict[str, Trace]) -> None:
    """Each type has as many parameters as the modules of a model that was built apart, weights that are tied once."""
    classes = {found.model_class: kind for kind, found in traces.items()}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COUNT, json.dumps(classes)],
        env={"PATH": "", **SETTINGS},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {kind: found.parameters for kind, found in traces.items()}


def test_every_parameter_is_of_a_kind(traces: dict[str, Trace]) -> None:
    """The kinds of modules add up to the whole, and hardly anything is of no kind."""
    for kind, found in traces.items():
        assert found.parameters == sum(found.modules.values()), kind
        assert found.modules.get("other", 0) < 0.03 * found.parameters, kind


def test_every_type_attends_and_says_how(traces: dict[str, Trace]) -> None:
    """All but the one without attention make calls of some width, by the interface, by SDPA or written out."""
    assert ["mamba2"] == [kind for kind, found in traces.items() if not found.calls]
    through = {
        kind: {call.through for call in found.calls if call.component != "vision"}
        for kind, found in traces.items()
    }
    assert {"eager"} == through["bloom"] == through["deberta-v2"]
    assert {"sdpa"} == through["falcon"]
    assert {"interface"} == through["llama"] == through["bert"]


def test_features_of_calls(traces: dict[str, Trace]) -> None:
    """Soft caps, windows, sinks, biases, chunks and cross-attention are seen where a model has them."""
    assert {50.0} == {call.softcap for call in traces["gemma2"].calls}
    assert {4096, None} == {call.window for call in traces["gemma2"].calls}
    assert {True} == {call.sinks for call in traces["gpt_oss"].calls}
    assert (
        {True} == {call.bias for call in traces["t5"].calls} == {call.bias for call in traces["bloom"].calls}
    )
    assert {8192, None} == {call.chunk for call in traces["llama4"].calls}
    assert [False, False, True] == [call.cross for call in traces["bart"].calls]
    assert {False} == {call.causal for call in traces["bert"].calls}


def test_encoders_keep_nothing(traces: dict[str, Trace]) -> None:
    """An encoder has no cache; a decoder's grows with the context."""
    assert () == traces["bert"].kept == traces["modernbert"].kept
    assert 2 * (traces["llama"].cache_elements(1000) or 0) == traces["llama"].cache_elements(2000)


def test_shared_keys_and_values_are_kept_once(tracer: Tracer) -> None:
    """Gemma 4's layers that share keep nothing; windows end what the others keep: 2.03 GiB at 131,072 tokens."""
    found = tracer.config(GEMMA_4_E4B, "config.json")
    assert 18 == found.shared_layers
    assert 2.03 == pytest.approx((found.cache_elements(131072) or 0) * 2 / 2**30, rel=0.03)
    assert {(256, 512), (512, None)} == {(call.head_dim, call.window) for call in found.calls}
    assert 7.5e9 == pytest.approx(found.parameters, rel=0.01)


def test_states_do_not_grow(tracer: Tracer) -> None:
    """Of Jamba's 32 layers 4 attend; the others keep a state."""
    found = tracer.config(JAMBA, "config.json")
    assert [4] == [call.layers for call in found.calls]
    assert 51.57e9 == pytest.approx(found.parameters, rel=0.01)
    assert found.kept is not None
    assert {28, 4} == {kept.layers for kept in found.kept}
    assert 0 < (found.state_bytes or 0) < 2**26


def test_both_stacks_and_the_encoders_tokens(tracer: Tracer) -> None:
    """Whisper has two stacks; its cross-attention keeps 1,500 tokens of sound, however long the text is."""
    found = tracer.config(WHISPER_LARGE_V3, "config.json")
    assert 1.543e9 == pytest.approx(found.parameters, rel=0.01)
    assert {("encoder", False), ("decoder", True), ("decoder", False)} == {
        (c.component, c.causal) for c in found.calls
    }
    assert found.kept is not None
    assert [1500] == [kept.source for kept in found.kept if kept.cross]


def test_the_named_class_is_built(tracer: Tracer) -> None:
    """A configuration that names the bare encoder has no head."""
    found = tracer.config(ENCODER, "config.json")
    assert "XLMRobertaModel" == found.model_class
    assert 0.568e9 == pytest.approx(found.parameters, rel=0.01)
    assert "head" not in found.modules


def test_latent_attention_keeps_the_latent(traces: dict[str, Trace]) -> None:
    """DeepSeek's cache is the latent and one rotary key, its calls are as wide as what is unfolded of them."""
    found = traces["deepseek_v3"]
    assert [(61, 512 + 64)] == [(kept.layers, kept.elements) for kept in found.kept or ()]
    assert [(192, 128)] == [(call.head_dim, call.head_dim_v) for call in found.calls]


def test_active_parameters_are_those_of_the_chosen_experts(traces: dict[str, Trace]) -> None:
    """Experts count by the share that a token takes: 36.6 of DeepSeek's 671 billion, one of eight of Switch's."""
    assert 36.6e9 == pytest.approx(traces["deepseek_v3"].active_parameters, rel=0.01)
    switch = traces["switch_transformers"]
    idle = switch.parameters - (switch.active_parameters or 0)
    assert switch.modules["experts"] * 7 / 8 == pytest.approx(idle, rel=0.02)


def test_fields_that_nothing_read_are_named(tracer: Tracer) -> None:
    """A number that the type does not know is listed; one that transformers reads under an older name is not."""
    found = tracer.config(GEMMA_4_E4B | {"beehives": 7, "bos_token_id": 2}, "config.json")
    assert ("beehives",) == found.unread
