"""An architecture with a trace is the trace: in memory, in what a step multiplies, in its calls and its cache."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from l4guide.cost.breakeven import with_head_dim
from l4guide.errors import BadInput
from l4guide.memory import cache_bytes, weight_bytes
from l4guide.model import LATENT, LINEAR, Architecture, from_config, in_type
from l4guide.model.traced import Call, Kept, Trace
from l4guide.step import Plan
from l4guide.tracing.corrected import corrected
from l4guide.tracing.reading import as_trace, attends_alike
from l4guide.tracing.record import Recorded, recorded

MULTIPLIED = ("attention", "state", "mlp", "experts", "router")
#: Their layers attend, and what one keeps was seen where no attention was: a head of it is made up.
UNSEEN = {
    "cpmant",
    "speecht5",
    "pix2struct",
    "t5gemma2",
}


def traced() -> list[Recorded]:
    """The types with a trace."""
    return [one for one in recorded().values() if one.trace is not None]


def whole(one: Recorded) -> tuple[Architecture | None, Architecture]:
    """What is read of a type's default, and what its trace makes of it."""
    config = {**(one.config or {}), "model_type": one.model_type}
    try:
        read: Architecture | None = from_config(config, one.model_type)
    except BadInput:
        read = None
    assert one.trace is not None
    return read, corrected(read, one.trace, config, one.model_type)


def bytes_kept(model: Architecture, context: int) -> float:
    """What memory counts of one sequence in 16 bits."""
    found: float = cache_bytes(model, Plan(), np.array([1.0]), np.array([float(context)])).item()
    return found


def test_every_type_is_one_of_each_kind() -> None:
    """The record has types that are read right, others that are not, and some that nothing reads."""
    kinds = Counter(
        "refused" if read is None else attends_alike(read, one.trace)
        for one in traced()
        if one.trace is not None
        for read in [whole(one)[0]]
    )
    assert {"refused", True, False} == set(kinds)


@pytest.mark.parametrize("context", [60, 4096, 131072])
def test_memory_keeps_what_was_kept(context: int) -> None:
    """Windows, strides, sharing, latents, cross-attention and states, of every type, at any length."""
    for one in traced():
        _, model = whole(one)
        trace = as_trace(model)
        if trace.kept is None or not model.causal:
            continue
        wanted = 2 * (trace.cache_elements(context) or 0) + (trace.state_bytes or 0)
        assert wanted == pytest.approx(bytes_kept(model, context), rel=0.01), one.model_type


def test_weights_are_those_of_the_modules() -> None:
    """All of them in memory, and in the layers as many as the modules that a token passes."""
    for one in traced():
        _, model = whole(one)
        assert one.trace is not None
        assert one.trace.parameters == model.parameters == sum(model.modules.values())
        bare = replace(model, stored=in_type("bf16"))
        assert 2 * one.trace.parameters == weight_bytes(bare, Plan()), one.model_type
        inside = sum(
            (g.stored or g.count) * (g.mixer.weights(model.hidden) + g.feed_forward.weights(model.hidden))
            for g in model.layers
        )
        counted = sum(one.trace.modules.get(kind, 0) for kind in MULTIPLIED)
        if counted:
            assert counted == pytest.approx(inside, rel=0.02), one.model_type
        assert 0 <= min(group.mixer.weights(model.hidden) for group in model.layers), one.model_type
        assert 0 <= min(group.feed_forward.intermediate for group in model.layers), one.model_type


def test_layers_attend_as_they_were_seen_to() -> None:
    """The heads, widths and windows that a step times are those of the calls."""
    for one in traced():
        read, model = whole(one)
        if one.model_type in UNSEEN or one.trace is None or (read is not None and one.trace.kept is None):
            continue
        assert heads(as_trace(model)) == heads(as_trace(replace(model, trace=None))), one.model_type


def heads(trace: Trace) -> Counter[tuple[object, ...]]:
    """Layers by what their attention is timed by."""
    found: Counter[tuple[object, ...]] = Counter()
    for call in trace.calls:
        if call.component not in ("vision", "audio"):
            found[call.cross, call.head_dim, call.head_dim_v, call.heads, call.kv_heads] += call.layers
    return found


def test_layers_need_what_their_calls_need() -> None:
    """A softcap and sinks, a bias for each head, scores that the model's own code computes."""
    traits = {
        "gemma2": {(50.0, False, False, False)},
        "gpt_oss": {(None, True, False, False)},
        "t5": {(None, False, True, False)},
        "deberta-v2": {(None, False, False, True)},
    }
    for model_type, wanted in traits.items():
        _, model = whole(recorded()[model_type])
        mixers = (group.mixer for group in model.layers if group.mixer.attends)
        assert wanted == {(m.softcap, m.sinks, m.bias, m.own_scores) for m in mixers}, model_type


def test_what_was_read_stays_where_it_is_right() -> None:
    """Ranks and latents, which no trace says, stay those of the reader; a half-read type gets its weights."""
    _, latent = whole(recorded()["deepseek_v3"])
    assert {LATENT} == {group.mixer.kind for group in latent.layers}
    read, hybrid = whole(recorded()["falcon_h1"])
    assert read is not None
    assert 0.94 == pytest.approx(read.parameters / hybrid.parameters, abs=0.02)


def test_states_take_the_bytes_that_were_seen() -> None:
    """Jamba keeps the convolution's part in 16 bits: less than four bytes an element."""
    _, model = whole(recorded()["jamba"])
    held = sum(group.count * group.mixer.state_bytes for group in model.layers if group.mixer.kind == LINEAR)
    assert as_trace(model).state_bytes == pytest.approx(held, rel=0.001)


def made(**said: object) -> Trace:
    """A small trace of a text model."""
    usual: dict[str, object] = {
        "model_type": "made_up",
        "model_class": "MadeUpForCausalLM",
        "transformers": "5.0",
        "parameters": 3_000_000,
        "active_parameters": 2_000_000,
        "modules": {"embedding": 1_000_000, "attention": 500_000, "mlp": 1_500_000},
        "calls": (call(4, window=64), call(2)),
        "kept": (Kept(layers=4, elements=128, window=64), Kept(layers=1, elements=128)),
        "tokens": 23,
        "flops": None,
    }
    return Trace(**{**usual, **said})  # type: ignore[arg-type]


def call(layers: int, *, window: int | None = None) -> Call:
    """So many layers of two heads."""
    return Call(
        component="text",
        layers=layers,
        head_dim=32,
        head_dim_v=32,
        heads=2,
        kv_heads=2,
        causal=True,
        window=window,
    )


def test_layers_are_made_of_a_trace_alone() -> None:
    """Windows go to their caches, a layer without one borrows, and the products have the weights that were counted."""
    model = corrected(None, made(), {"model_type": "made_up", "hidden_size": 100, "vocab_size": 10_000}, "x")
    assert [(4, 64, False), (1, None, False), (1, None, True)] == [
        (group.count, group.mixer.window, group.mixer.borrows_kv) for group in model.layers
    ]
    assert 2 * (4 * 64 + 1000) * 128 == bytes_kept(model, 1000)
    assert (100, 10_000, True) == (model.hidden, model.vocabulary, model.causal)


def test_an_encoder_keeps_nothing() -> None:
    """Calls that see everything and no cache: not causal, nothing kept."""
    seen = replace(call(6), causal=False)
    model = corrected(None, made(calls=(seen,), kept=()), {"hidden_size": 100}, "x")
    assert (False, 0.0) == (model.causal, bytes_kept(model, 1000))


def test_experts_that_nothing_read_are_routed() -> None:
    """Their number comes from the configuration, their width from their weights."""
    modules = {"embedding": 1_000_000, "attention": 500_000, "experts": 1_500_000}
    config = {"hidden_size": 100, "num_experts": 8, "num_experts_per_tok": 2}
    model = corrected(None, made(modules=modules), config, "x")
    wide = model.layers[0].feed_forward
    assert (8, 2) == (wide.experts, wide.active)
    assert 1_500_000 == pytest.approx(
        sum(g.count * g.feed_forward.experts * g.feed_forward.expert_weights(100) for g in model.layers),
        rel=0.02,
    )


def test_other_heads_are_another_model() -> None:
    """A map over head_dim does not count the weights of the model that was traced."""
    _, model = whole(recorded()["llama"])
    assert model.parameters != with_head_dim(model, 64).parameters
