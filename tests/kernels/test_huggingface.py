"""Tiny models of transformers with random weights: ours gives eager's logits, tokens and gradients."""

import contextlib
import copy
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import l4guide_kernels.huggingface as ours
import pytest
import torch
import transformers
from transformers.masking_utils import create_causal_mask

SHAPE = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}
SLIDING = {"sliding_window": 4, "num_hidden_layers": 2}
CONFIGS: dict[str, Callable[[], Any]] = {
    "Llama": lambda: transformers.LlamaConfig(**SHAPE),
    "Qwen3": lambda: transformers.Qwen3Config(
        **{**SHAPE, **SLIDING}, use_sliding_window=True, max_window_layers=1
    ),
    "Gemma-2": lambda: transformers.Gemma2Config(
        **{**SHAPE, **SLIDING}, query_pre_attn_scalar=16, attn_logit_softcapping=2.0
    ),
    "gpt-oss": lambda: transformers.GptOssConfig(
        **{**SHAPE, **SLIDING},
        num_local_experts=2,
        num_experts_per_tok=1,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    ),
}
TOKENS = torch.randint(1, 32, (2, 7), generator=torch.Generator().manual_seed(2))
LEFT = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [1] * 7])
RIGHT = LEFT.flip(1)
#: What a mask's cache is called: the new name and, while transformers takes it, the one from before 5.24.
CACHE_NAMES = ("cache", "past_key_values")
CACHE_NAME = next(name for name in CACHE_NAMES if name in inspect.signature(create_causal_mask).parameters)


def pair(config: Any) -> tuple[Any, Any]:
    """The same weights under eager attention and ours."""
    ours.register()
    torch.manual_seed(0)
    eager = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for weights in eager.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    live = transformers.AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation="l4guide")
    live.load_state_dict(eager.state_dict())
    return eager.eval(), live.eval()


@pytest.fixture(scope="module", params=CONFIGS, ids=str)
def models(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """One shape of model after the other."""
    return pair(CONFIGS[request.param]())


@pytest.fixture(scope="module")
def sliding() -> tuple[Any, Any]:
    """A model with one layer that sees everything and one with a window."""
    return pair(CONFIGS["Qwen3"]())


def close(expected: torch.Tensor, found: torch.Tensor) -> None:
    """Equal to rounding in fp32."""
    torch.testing.assert_close(expected, found, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def compare_logits(models: tuple[Any, Any], mask: torch.Tensor | None) -> None:
    """Holds the logits of every token that is not padding against eager's."""
    expected, found = (model(TOKENS, attention_mask=mask, use_cache=False).logits for model in models)
    real = torch.ones_like(TOKENS) if mask is None else mask
    close(expected[real.bool()], found[real.bool()])


def compare_tokens(models: tuple[Any, Any], cache: str | None) -> None:
    """Holds generated tokens and their logits against eager's."""
    options = {
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
        "disable_compile": True,
    }
    expected, found = (
        model.generate(TOKENS, attention_mask=LEFT, max_new_tokens=3, cache_implementation=cache, **options)
        for model in models
    )
    assert torch.equal(expected.sequences, found.sequences)
    for one, other in zip(expected.logits, found.logits, strict=True):
        close(one, other)


def test_prefill_gives_eagers_logits(models: tuple[Any, Any]) -> None:
    """Each shape of model, in a left-padded batch."""
    compare_logits(models, LEFT)


@pytest.mark.parametrize("mask", [None, RIGHT], ids=["whole", "right"])
def test_prefill_without_padding_and_with_it_behind(
    sliding: tuple[Any, Any], mask: torch.Tensor | None
) -> None:
    """No mask at all, and one that ends early."""
    compare_logits(sliding, mask)


def test_cached_decoding_gives_eagers_tokens_and_logits(models: tuple[Any, Any]) -> None:
    """Each shape of model, in a left-padded batch, past the sliding window, with a cache that grows."""
    compare_tokens(models, None)


def test_a_static_caches_empty_places_are_left_out(sliding: tuple[Any, Any]) -> None:
    """Of a cache for all positions and of one for a window, which turns over."""
    compare_tokens(sliding, "static")


def test_a_training_step_gives_eagers_gradients(models: tuple[Any, Any]) -> None:
    """Each shape of model, of every weight, from a left-padded batch."""
    compare_training(models, **masked(LEFT))


def test_a_training_step_with_padding_behind(sliding: tuple[Any, Any]) -> None:
    """What most collators make."""
    compare_training(sliding, **masked(RIGHT))


def test_packed_sequences_do_not_see_each_other(sliding: tuple[Any, Any]) -> None:
    """By position_ids that start anew, in both rows of a batch, with gradients."""
    compare_training(sliding, position_ids=torch.tensor([[0, 1, 2, 0, 1, 2, 3], [0, 1, 2, 3, 4, 0, 1]]))


@torch.no_grad()
@pytest.mark.parametrize("queries", [3, 7])
def test_cross_attention_leaves_out_the_padding_of_the_other_sequence(queries: int) -> None:
    """Whose keys are all there, and whose padding is not the queries'."""
    ours.register()
    config = transformers.BartConfig(
        vocab_size=32,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    eager = transformers.BartModel._from_config(config, attn_implementation="eager").eval()
    live = transformers.BartModel._from_config(copy.deepcopy(config), attn_implementation="l4guide").eval()
    live.load_state_dict(eager.state_dict())
    inputs = {"input_ids": TOKENS, "attention_mask": RIGHT, "decoder_input_ids": TOKENS[:, :queries]}
    close(*(model(**inputs, use_cache=False).last_hidden_state for model in (eager, live)))


def masked(mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """A mask, and labels of the tokens that a real one predicts: what padding predicts is no part of the loss."""
    follows = mask.bool() & torch.nn.functional.pad(mask, (1, 0))[:, :-1].bool()
    return {"attention_mask": mask, "labels": TOKENS.masked_fill(~follows, -100)}


def compare_training(models: tuple[Any, Any], **inputs: torch.Tensor) -> None:
    """Holds the gradients of every weight against eager's."""
    for model in models:
        model.zero_grad()
        model(TOKENS, use_cache=False, **({"labels": TOKENS} | inputs)).loss.backward()
    for (name, one), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        if one.grad is None:
            assert other.grad is None, name
        else:
            close(one.grad, other.grad)


def attend(**options: Any) -> torch.Tensor:
    """Our attention as a module calls it, on seven queries of two heads."""
    q, k, v = (
        torch.randn(1, heads, 7, 16, generator=torch.Generator().manual_seed(heads)) for heads in (2, 1, 1)
    )
    return ours.attention(torch.nn.Identity(), q, k, v, **({"attention_mask": None} | options))[0]


def test_lengths_that_a_collator_gives_are_used() -> None:
    """`cu_seq_lens` of flattened batches stand for the mask."""
    offsets = torch.tensor([0, 3, 7])
    lengths = {"cu_seq_lens_q": offsets, "cu_seq_lens_k": offsets, "max_length_q": 4, "max_length_k": 4}
    packed = torch.tensor([[0, 0, 0, 1, 1, 1, 1]], dtype=torch.int32)[:, None, None]
    assert torch.equal(attend(attention_mask=packed), attend(**lengths))


@pytest.mark.parametrize("name", CACHE_NAMES[CACHE_NAMES.index(CACHE_NAME) :])
def test_one_mask_can_be_handed_in_twice(name: str) -> None:
    """generate() makes a static cache's mask before the model asks for it again, by the cache's new name or its old."""
    config = CONFIGS["Llama"]()
    config._attn_implementation = "l4guide"
    ours.register()
    cache = transformers.StaticCache(config, max_cache_len=12)
    options = {"config": config, "inputs_embeds": torch.zeros(2, 7, 32), name: cache}
    said = (
        contextlib.nullcontext() if name == CACHE_NAME else pytest.warns(FutureWarning, match=f"`{name}` is")
    )
    for given in (None, LEFT):
        with said:
            once = create_causal_mask(attention_mask=given, **options)
        assert once.shape[-1] == 7
        with said:
            assert create_causal_mask(attention_mask=once, **options) is once


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"attention_mask": torch.zeros(1, 1, 7, 7)}, "attention_mask"),
        ({"position_bias": torch.zeros(1, 2, 7, 7)}, "position_bias"),
        ({"output_attentions": True}, "output_attentions"),
    ],
)
def test_what_is_not_built_is_refused_by_name(options: dict[str, Any], name: str) -> None:
    """A mask of scores, a bias, and the weights themselves."""
    with pytest.raises(NotImplementedError, match=name):
        attend(**options)


def test_a_mask_of_another_pattern_is_refused_by_name() -> None:
    """Chunks, or a caller's own function, which flash-attention's mask would pass over in silence."""
    config = CONFIGS["Llama"]()
    config._attn_implementation = "l4guide"
    ours.register()
    options = {"config": config, "inputs_embeds": torch.zeros(2, 7, 32), "attention_mask": None}
    with pytest.raises(NotImplementedError, match="every_second"):
        create_causal_mask(and_mask_function=every_second, **options, **{CACHE_NAME: None})


def test_transformers_is_imported_by_register_alone() -> None:
    """The adapter can be imported where transformers is not installed."""
    script = "import sys, l4guide_kernels.huggingface; assert 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def every_second(_batch: int, _head: int, _query: int, key: torch.Tensor) -> torch.Tensor:
    """A mask that no window expresses."""
    return key % 2 == 0
