"""Verdicts for every kind of call of a model: what runs them all, which mix does, and what nobody knows."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide.advise import advise, model_answer
from l4guide.advise.answer import worst
from l4guide.advise.choice import NOT_COUNTED
from l4guide.advise.headline import of_model
from l4guide.advise.mix import Mix, mix_of, running
from l4guide.advise.records import Advice, Part
from l4guide.errors import BadInput, Problem

SIZES: Mapping[str, Any] = {
    "hidden_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 1024,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
}
GEMMA4 = {
    **SIZES,
    "model_type": "gemma4_text",
    "head_dim": 256,
    "global_head_dim": 512,
    "sliding_window": 512,
    "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
}
GPT_OSS = {
    **SIZES,
    "model_type": "gpt_oss",
    "sliding_window": 128,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "layer_types": ["sliding_attention", "full_attention"] * 3,
}
T5 = {
    "model_type": "t5",
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 6,
    "num_heads": 8,
    "num_decoder_layers": 6,
    "is_encoder_decoder": True,
    "vocab_size": 1000,
}
DEBERTA = {**SIZES, "model_type": "deberta-v2", "num_key_value_heads": None}
WHISPER = {
    "model_type": "whisper",
    "d_model": 384,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "num_mel_bins": 80,
    "encoder_attention_heads": 6,
    "decoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "decoder_ffn_dim": 1536,
    "vocab_size": 1000,
    "is_encoder_decoder": True,
    "max_source_positions": 1500,
    "max_target_positions": 448,
}
LATENT = {
    **SIZES,
    "model_type": "deepseek_v3",
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "q_lora_rank": 256,
    "num_experts_per_tok": 2,
    "n_routed_experts": 4,
}
MODELS = {
    "gemma4": GEMMA4,
    "gpt-oss": GPT_OSS,
    "t5": T5,
    "deberta": DEBERTA,
    "whisper": WHISPER,
    "latent": LATENT,
    "gemma2": {**SIZES, "model_type": "gemma2", "attn_logit_softcapping": 50.0, "sliding_window": 512},
}


def calls(advice: Advice) -> dict[str, dict[str, Any]]:
    """The calls of an answer by their name."""
    listed: Any = advice.to_json()["calls"]
    return {call["name"]: call for call in listed}


def runs(call: Mapping[str, Any]) -> set[str]:
    """What is said to run a call."""
    return {item["library"] for item in call["runs"]}


def test_wide_layers_and_windows_have_verdicts_of_their_own() -> None:
    """Gemma 4: flash-attn runs the 256-wide windows and not the 512-wide rest, so it is no answer for the model."""
    advice = advise("L4", {"config": GEMMA4, "task": "prefill"})
    found = calls(advice)
    assert {"full 512": 1, "window 256": 5} == {name: call["layers"] for name, call in found.items()}
    assert (False, True) == (
        "flash-attn" in runs(found["full 512"]),
        "flash-attn" in runs(found["window 256"]),
    )
    assert (512, None) == (found["window 256"]["window"], found["full 512"]["window"])
    assert ("depends", "yes") == (found["full 512"]["answer"], found["window 256"]["answer"])
    assert "depends" == advice.answer
    assert {"torch/efficient"} == {call["recommended"] for call in found.values()}
    assert "torch/efficient" in str(advice.headline)


def test_sinks_want_an_engine_that_has_them() -> None:
    """gpt-oss on an RTX 4090: vLLM's Triton backend; flash-attn and SDPA refuse, each with a reason."""
    advice = advise("RTX 4090", {"config": GPT_OSS, "task": "decode"})
    for call in calls(advice).values():
        assert True is call["sinks"]
        assert "vllm/triton" == call["recommended"]
        assert {"vllm/triton", "transformers/flex-attention", "transformers/eager", "l4guide"} <= runs(call)
        others = {item["library"]: item for item in call["others"]}
        assert "learnable_sink" in others["flash-attn"]["reason"]
        assert {"refused"} == {
            others[name]["status"] for name in ("flash-attn", "torch/sdpa", "vllm/flash-attn")
        }
    assert "vllm/triton" in str(advice.headline)
    assert "depends" == advice.answer


def test_a_preset_with_sinks_is_judged_by_them() -> None:
    """The preset's row says it; its windows and its full layers are two calls."""
    advice = advise("RTX 4090", {"model": "gpt-oss-20b", "task": "decode"})
    assert [12, 12] == [call["layers"] for call in calls(advice).values()]
    assert {"vllm/triton"} == {call["recommended"] for call in calls(advice).values()}


@pytest.mark.parametrize("task", ["prefill", "training"])
def test_a_bias_shuts_flash_attention_out(task: str) -> None:
    """T5 adds one in every stack, and trains it."""
    found = calls(advise("L4", {"config": T5, "task": task}))
    assert {"decoder 64", "encoder 64", "cross 64"} == set(found)
    for call in found.values():
        assert (True, "torch/efficient") == (call["bias"], call["recommended"])
        assert "flash-attn" not in runs(call)
        assert (task == "prefill") == ("torch/cudnn" in runs(call))


def test_scores_of_its_own_run_in_the_model_alone() -> None:
    """DeBERTa: no fused kernel is known to stand in, and the answer says what runs."""
    advice = advise("L4", {"config": DEBERTA, "task": "prefill"})
    (call,) = calls(advice).values()
    assert {"transformers/eager"} == runs(call)
    assert "recommended" not in call
    assert "own code" in str(advice.headline)
    assert "depends" == advice.answer


def test_an_encoder_runs_at_once_where_the_model_decodes() -> None:
    """Whisper: the decoder comes first; its encoder is asked as prefill, its cross-attention as decode."""
    advice = advise("L4", {"config": WHISPER, "task": "decode"})
    tasks = {name: call["task"] for name, call in calls(advice).items()}
    assert {"decoder 64": "decode", "encoder 64": "prefill", "cross 64": "decode"} == tasks
    assert "decoder 64" == advice.question.component


def test_an_encoder_alone_does_not_decode() -> None:
    """One line, as before."""
    with pytest.raises(BadInput):
        advise("L4", {"config": DEBERTA, "task": "decode"})


def test_latent_attention_decodes_what_it_keeps() -> None:
    """192 and 128 wide in a prompt; one KV head of 576 and 512 in decode."""
    widths = {
        task: (part.workload.kv_heads, part.workload.head_dim, part.workload.head_dim_v)
        for task in ("prefill", "decode")
        for part in advise("H100 SXM", {"config": LATENT, "task": task}).parts
    }
    assert {"prefill": (8, 192, 128), "decode": (1, 576, 512)} == widths


def test_one_component_is_asked_by_its_name() -> None:
    """Its verdicts alone, and its own workload."""
    advice = advise("L4", {"config": GEMMA4, "task": "prefill", "component": "window 256"})
    assert ["window 256"] == [part.component for part in advice.parts]
    assert (256, 512) == (advice.question.workload.head_dim, advice.question.workload.window)


def test_no_time_is_of_what_does_not_run() -> None:
    """The whole model names whose time its attention has, where that does not run here or knows no sinks."""
    answer = model_answer("RTX 4090", {"config": GPT_OSS, "task": "decode"})
    said = [str(remark) for remark in answer.remarks]
    assert any("without attention sinks" in line for line in said)
    if answer.whole.step.implementation not in ("vllm/triton", "flashinfer", "l4guide", None):
        assert any(f"timed as {answer.whole.step.implementation}" in line for line in said)


def test_a_card_without_a_kernel_for_sinks_still_runs_the_model() -> None:
    """gpt-oss on a T4: nobody says that vLLM's Triton backend has them there, and the model's own code does."""
    advice = advise("T4", {"config": GPT_OSS, "task": "decode"})
    assert ("depends", (None, None)) == (advice.answer, advice.recommended)
    assert "own code" in str(advice.headline)


def test_a_mix_is_told_in_the_headline() -> None:
    """Where no one implementation runs every call, all that it takes are named, in the room that a headline has."""
    advice = advise("L4", {"config": GEMMA4, "task": "prefill"})
    assert advice.model is not None
    mix = Mix(common=(), chosen=("vllm/triton", "flash-attn"))
    headline = of_model(advice.model.whole, advice.parts[0], mix=mix)
    for language in ("en", "zh"):
        said = headline.say(language)
        assert len(said) <= 90
        assert all(name in said for name in mix.chosen if name is not None)


def part(name: str, *libraries: str) -> Part:
    """A part of an answer that these libraries run and no other."""
    base = advise("L4", {"head_dim": 64, "task": "prefill"}).parts[0]
    verdicts = []
    for verdict in base.implementations:
        status = "ok" if verdict.library in libraries else "refused"
        verdicts.append(type(verdict)(**{**fields_of(verdict), "status": status}))
    return Part(component=name, workload=base.workload, answer="depends", implementations=tuple(verdicts))


def fields_of(record: Any) -> dict[str, Any]:
    """A record's fields."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def test_a_mix_is_as_small_as_it_can_be() -> None:
    """One for all where there is one; else those that run most; nothing where a call has nobody."""
    both = mix_of([part("a", "flash-attn", "vllm/triton"), part("b", "vllm/triton")])
    assert (("vllm/triton",), ("vllm/triton", "vllm/triton")) == (both.common, both.chosen)
    apart = mix_of(
        [part("a", "flash-attn"), part("b", "vllm/triton"), part("c", "vllm/triton", "flash-attn-3")]
    )
    assert ((), ("flash-attn", "vllm/triton", "vllm/triton")) == (apart.common, apart.chosen)
    nobody = mix_of([part("a", "flash-attn"), part("b", "torch/math", "transformers/eager")])
    assert ((), ("flash-attn", None)) == (nobody.common, nobody.chosen)


@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(sorted(MODELS)),
    card=st.sampled_from(["T4", "L4", "H100 SXM", "B200", "RTX 5090"]),
    task=st.sampled_from(["prefill", "decode", "training"]),
    more=st.sampled_from([{}, {"dropout": 0.1}, {"kv_dtype": "fp8"}, {"dtype": "fp32"}]),
)
def test_a_model_is_never_better_than_its_worst_call(
    name: str, card: str, task: str, more: dict[str, object]
) -> None:
    """Its answer is the worst of them, and what is recommended for a call runs it."""
    try:
        advice = advise(card, {"config": MODELS[name], "task": task, **more})
    except Problem:
        assert task == "decode"  # an encoder
        return
    attention = worst(each.answer for each in advice.parts)
    assert worst((advice.answer, attention)) == advice.answer
    for each, taken in zip(advice.parts, advice.recommended, strict=True):
        assert (taken is None) == (not running(each))
        assert taken is None or (taken in running(each) and taken not in NOT_COUNTED)
    for language in ("en", "zh"):
        assert len(advice.headline.say(language)) <= 90
