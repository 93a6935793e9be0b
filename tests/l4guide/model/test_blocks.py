"""Layers that share, repeat or join: counted as their modules are, at sizes that no type has by default."""

from typing import Any

import pytest

from l4guide.errors import BadInput
from l4guide.model import LATENT, LINEAR, Architecture, Mixer, from_config

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "intermediate_size": 128,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "rope_theta": 10000.0,
}
ATTENTION, PRODUCT = 4 * 64 * 64, 3 * 64 * 128
BERT: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 100,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
}


def read(**fields: object) -> Architecture:
    """A small model with some fields set."""
    return from_config({**SMALL, **fields}, "test")


def attending(model: Architecture) -> list[tuple[int, Mixer]]:
    """Its layers that attend."""
    return [(group.count, group.mixer) for group in model.layers if group.mixer.attends]


@pytest.mark.parametrize("told", ["per_loop", "last_loop"])
def test_a_section_that_is_passed_twice_has_its_weights_once(told: str) -> None:
    """Twelve layers, of which the middle six run twice; what they keep is kept once a pass, or once."""
    fields = {"n_input_layers": 3, "n_recurrent_layers": 6, "n_recurrent_loops": 2}
    once = read(model_type="dory", layer_types=["full_attention"] * 12)
    twice = read(
        model_type="dory", layer_types=["full_attention"] * 12, recurrent_kv_cache_mode=told, **fields
    )
    assert once.layer_weights == twice.layer_weights
    assert 18 == sum(count for count, _ in attending(twice))
    kept = sum(count for count, mixer in attending(twice) if mixer.cached_columns())
    assert {"per_loop": 18, "last_loop": 12}[told] == kept


def test_two_stacks_that_take_turns_run_for_every_cycle() -> None:
    """Five layers a stack, two stacks, each high cycle with three low ones."""
    model = read(model_type="hrm_text", num_layers_per_stack=5, H_cycles=2, L_cycles=3)
    assert 5 * 2 * 4 == model.layer_count
    assert 2 * 5 * (ATTENTION + 64 * 64 + PRODUCT) == model.layer_weights


@pytest.mark.parametrize(("blocks", "own"), [(1, 1), (2, 2), (8, 3)])
def test_blocks_of_attention_are_shared_and_states_are_not(blocks: int, own: int) -> None:
    """Zamba 2: three of twelve layers stand behind a block, and so many blocks have weights."""
    kinds = (["linear_attention"] * 3 + ["hybrid"]) * 3
    model = read(
        model_type="zamba2",
        layers_block_type=kinds,
        mamba_d_state=16,
        n_mamba_heads=8,
        mamba_ngroups=1,
        mamba_expand=2,
        num_mem_blocks=blocks,
        attention_head_dim=32,
    )
    states = sum(group.count for group in model.layers if group.mixer.kind == LINEAR)
    assert (12, 3) == (states, sum(count for count, _ in attending(model)))
    assert [own] == [group.own for group in model.layers if group.mixer.attends]


def test_an_encoder_and_a_decoder_with_configurations_of_their_own() -> None:
    """The decoder keeps its own keys and those of the encoder's tokens; weights are those of both."""
    decoder = {**BERT, "is_decoder": True, "add_cross_attention": True, "num_hidden_layers": 3}
    model = from_config({"model_type": "encoder-decoder", "encoder": BERT, "decoder": decoder}, "test")
    assert "encoder-decoder" == model.kind
    product = 2 * 64 * 128
    assert 2 * (ATTENTION + product) + 3 * (2 * ATTENTION + product) == model.layer_weights
    assert 2 * (100 + 32 + 2) * 64 == model.embedding_weights


def test_an_encoder_of_another_width_keeps_its_weights() -> None:
    """A vision encoder half as wide: its layers weigh what they do by themselves."""
    vision = {
        "model_type": "vit",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "image_size": 32,
        "patch_size": 8,
    }
    decoder = {**BERT, "is_decoder": True}
    model = from_config({"model_type": "vision-encoder-decoder", "encoder": vision, "decoder": decoder}, "t")
    alone = from_config(vision, "t").layer_weights
    assert alone == sum(
        group.count * (group.mixer.weights(64) + group.feed_forward.weights(64))
        for group in model.layers
        if not group.mixer.cached
    )
    narrow = from_config({"encoder": vision, "decoder": {**decoder, "cross_attention_hidden_size": 32}}, "t")
    # Two layers read 32 columns in place of 64, and nothing widens what the encoder makes.
    assert model.parameters - narrow.parameters == 2 * 2 * 32 * 64 + 32 * 64
    assert {17} == {group.mixer.source_tokens for group in model.layers if group.mixer.cross}


def test_an_encoder_that_is_no_configuration_names_what_is_missing() -> None:
    """An encoder within an encoder is not followed."""
    with pytest.raises(BadInput, match="hidden_size"):
        from_config({"encoder": {"encoder": {}, "decoder": {}}, "decoder": {}}, "test")


@pytest.mark.parametrize(("layers", "experts"), [(12, 3), (8, 4), (2, 1)])
def test_every_so_many_layers_switch_among_experts(layers: int, experts: int) -> None:
    """Switch: where three of twelve are sparse, it is every fourth from the second on."""
    model = from_config(
        {
            "model_type": "switch_transformers",
            "is_encoder_decoder": True,
            "d_model": 64,
            "d_kv": 16,
            "d_ff": 128,
            "num_heads": 4,
            "num_layers": layers,
            "num_decoder_layers": 2,
            "num_sparse_encoder_layers": experts,
            "num_sparse_decoder_layers": 0,
            "num_experts": 8,
            "vocab_size": 100,
        },
        "test",
    )
    assert experts == sum(group.count for group in model.layers if group.feed_forward.experts)


def test_latent_layers_with_a_window_have_ranks_of_their_own() -> None:
    """dots: what is said of the window's layers goes before what its type has; a window holds no more keys."""
    model = read(
        model_type="dots3_note_text",
        layer_types=["full_attention", "sliding_attention"] * 6,
        kv_lora_rank=32,
        q_lora_rank=16,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=8,
        swa_kv_lora_rank=24,
        num_experts_per_tok=2,
        sliding_window=128,
    )
    seen = {mixer.reach: mixer.latent_rank for _, mixer in attending(model)}
    assert {None: 32, 128: 24} == seen
    assert {LATENT} == {mixer.kind for _, mixer in attending(model)}


@pytest.mark.parametrize(("layers", "full"), [(49, 14), (73, 20), (20, 7)])
def test_a_type_goes_on_as_its_list_does(layers: int, full: int) -> None:
    """Flint: the first two layers, every fourth and the last see all keys, however many there are."""
    model = read(model_type="flint", num_hidden_layers=layers, sliding_window=64, num_experts_per_tok=2)
    assert full == sum(count for count, mixer in attending(model) if mixer.reach is None)


def test_positions_are_a_table_of_the_types_that_learn_one() -> None:
    """Without a word of rotary ones: GPT-2 has a table, a hybrid has none."""
    said = {name: value for name, value in SMALL.items() if name != "rope_theta"}
    tables = {
        kind: from_config({**said, "model_type": kind}, "t").table_weights for kind in ("gpt2", "llama")
    }
    assert {"gpt2": 512 * 64, "llama": 0} == tables
