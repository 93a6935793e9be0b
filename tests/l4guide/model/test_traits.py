"""What attention needs beside its sizes, read of a configuration: by its type as recorded, and by its own fields."""

import pytest

from l4guide.model import Architecture, from_config, preset

#: A decoder of few layers, to which a type is added.
SMALL = {
    "hidden_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 1024,
    "vocab_size": 1000,
}


def needs(model: Architecture, name: str) -> set[object]:
    """The values of a trait over the layers that attend."""
    return {getattr(group.mixer, name) for group in model.layers if group.mixer.attends}


@pytest.mark.parametrize(
    ("more", "trait", "values"),
    [
        ({"model_type": "gpt_oss", "sliding_window": 128, "num_local_experts": 4}, "sinks", {True}),
        ({"model_type": "gemma2", "attn_logit_softcapping": 50.0, "sliding_window": 512}, "softcap", {50.0}),
        ({"model_type": "gemma2", "attn_logit_softcapping": None, "sliding_window": 512}, "softcap", {None}),
        ({"model_type": "deberta-v2"}, "own_scores", {True}),
        ({"model_type": "bloom"}, "bias", {True}),
        ({"model_type": "llama"}, "own_scores", {False}),
        ({"model_type": "llama"}, "sinks", {False}),
        ({"model_type": "nobody knows it"}, "sinks", {False}),
    ],
)
def test_a_type_brings_what_its_attention_needs(
    more: dict[str, object], trait: str, values: set[object]
) -> None:
    """Sinks, a softcap, a bias and code of its own, whatever the sizes; nothing of a type that is not recorded."""
    assert values == needs(from_config({**SMALL, "num_experts_per_tok": 2, **more}, "small"), trait)


def test_sinks_may_be_of_the_windows_alone() -> None:
    """MiMo-V2 has them where a window is, and none where every key is seen."""
    config = {
        **SMALL,
        "model_type": "mimo_v2_flash",
        "hybrid_layer_pattern": [0, 1, 1, 1],
        "sliding_window": 128,
    }
    config |= {"num_experts_per_tok": 2}
    found = {group.mixer.kind: group.mixer.sinks for group in from_config(config, "small").layers}
    assert {"full": False, "window": True} == found


def test_every_stack_of_t5_adds_its_bias() -> None:
    """Encoder, decoder and cross-attention alike."""
    config = {"model_type": "t5", "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
    config |= {"num_decoder_layers": 6, "is_encoder_decoder": True, "vocab_size": 1000}
    assert {True} == needs(from_config(config, "t5"), "bias")


def test_a_preset_says_it_too() -> None:
    """By what its row notes."""
    assert {True} == needs(preset("gpt-oss-20b"), "sinks")
    assert {50.0} == needs(preset("Gemma-2-9B"), "softcap")
