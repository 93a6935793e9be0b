"""A whole model as the command line and the guide say it."""

import pytest

from l4guide.advise import ModelAnswer, advise, break_even, model_answer, model_lines
from l4guide.advise.able import refusal
from l4guide.advise.config import as_model, read_architecture
from l4guide.catalogue import gpu
from l4guide.errors import BadInput
from l4guide.text import digits

MIXED = {
    "model_type": "gemma4_text",
    "hidden_size": 2816,
    "num_hidden_layers": 6,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "global_head_dim": 512,
    "num_global_key_value_heads": 2,
    "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
    "sliding_window": 1024,
    "intermediate_size": 2112,
    "vocab_size": 262144,
    "max_position_embeddings": 131072,
}


@pytest.fixture(scope="module")
def small() -> ModelAnswer:
    """A model that fits an L4."""
    return model_answer("L4", {"model": "Llama-3.1-8B", "task": "decode", "batch": 2, "seqlen": 4096})


@pytest.fixture(scope="module")
def large() -> ModelAnswer:
    """A model that does not."""
    return model_answer("L4", {"model": "Llama-3.3-70B", "task": "decode"})


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_line_reads_in_both_languages(small: ModelAnswer, large: ModelAnswer, language: str) -> None:
    """No sentence lacks a value, and JSON is of plain values."""
    for answer in (small, large):
        assert all(line.say(language) for line in (*answer.others, *answer.changes, answer.recommendation))
        assert answer.to_json(language)["what_would_change"]


def test_what_does_not_fit_has_no_time_and_no_price(small: ModelAnswer, large: ModelAnswer) -> None:
    """Only its memory and the number of cards that hold it are said; what fits says speed, latency and cost too."""
    assert ["model.memory"] == [line.key for line in model_lines(large.whole)]
    assert "change.gpus" in [line.key for line in large.changes]
    assert {"model.memory", "model.speed", "model.latency"} < {line.key for line in model_lines(small.whole)}


def test_what_would_change_the_answer_does(small: ModelAnswer) -> None:
    """At the price that is named the card costs a token what the cheapest does."""
    change = next(line for line in small.changes if line.key.startswith("change.price"))
    price = float(str(change.values["usd"]))
    again = model_answer(
        "L4", {"model": "Llama-3.1-8B", "task": "decode", "batch": 2, "seqlen": 4096, "price": price}
    )
    mine = again.whole.usd_per_million_tokens
    best = next(i.whole for i in again.ranking if i.gpu.name == change.values["other"])
    assert mine is not None
    assert best is not None
    assert best.usd_per_million_tokens is not None
    assert mine.value.item() == pytest.approx(best.usd_per_million_tokens.value.item(), rel=0.01)


def test_each_kind_of_attention_is_a_component() -> None:
    """A model with heads of 256 and 512 gets a verdict for each, and the worse one is the answer."""
    model = as_model(read_architecture(MIXED))
    assert {(256, 5), (512, 1)} == {(part.head_dim, part.layers) for part in model.components}
    advice = advise("L4", {"config": MIXED, "task": "prefill"})
    answers = {part.workload.head_dim: part.answer for part in advice.parts}
    assert "yes" == answers[256]
    assert answers[512] == advice.answer != "yes"


def test_the_length_is_the_models_where_none_is_asked_for() -> None:
    """GPT-2 reads 1024 tokens, so a question that says none is about 1024; a longer one is bad input."""
    assert 1024 == model_answer("L4", {"model": "GPT-2", "task": "prefill"}).whole.question.context
    with pytest.raises(BadInput, match="1024"):
        model_answer("L4", {"model": "GPT-2", "task": "prefill", "seqlen": 2048})


def test_a_too_long_text_leaves_the_verdict_standing() -> None:
    """`advise` judges the heads all the same, and says why there is no memory and no cost of the whole."""
    advice = advise("L4", {"model": "GPT-2", "task": "prefill", "seqlen": 4096})
    assert "yes" == advice.answer
    assert None is advice.model
    assert "error.context_over_model" in [gap.key for gap in advice.gaps]


def test_a_card_is_able_where_one_library_runs(small: ModelAnswer) -> None:
    """Llama's heads run on an L4 and, without FlashAttention, on a T4."""
    assert [None, None] == [refusal(small.whole.question, gpu(name)) for name in ("L4", "T4")]


def test_a_recipe_that_fits_is_named_where_the_asked_one_does_not() -> None:
    """Full training of 8 billion weights by the usual recipe takes 131 GiB; a lighter one fits 24 GB."""
    asked = {"model": "Llama-3.1-8B", "task": "training", "batch": 2, "seqlen": 2048}
    answer = model_answer("RTX 4090", asked)
    assert "no" == answer.whole.memory.fits
    full, adapters = (line for line in answer.changes if line.key == "change.recipe")
    command = str(full.values["command"])
    for flag in (
        "paged-adamw-8bit",
        "--no-master-weights",
        "--fused-step",
        "--loss chunked",
        "--method full",
    ):
        assert flag in command
    assert "--method lora" in str(adapters.values["command"])
    # The command asks what the sentence says.
    options = {
        "optimizer": "paged-adamw-8bit",
        "master_weights": False,
        "fused_step": True,
        "loss": "chunked",
    }
    lighter = model_answer("RTX 4090", {**asked, **options}).whole.memory
    assert "yes" == lighter.fits
    assert digits(lighter.sizes.bytes.value.item() / 2**30) == full.values["gib"]


def test_nothing_lighter_is_named_where_the_asked_recipe_fits() -> None:
    """Adapters over 8 billion weights fit an L4."""
    answer = model_answer(
        "L4", {"model": "Llama-3.1-8B", "task": "training", "seqlen": 512, "method": "lora"}
    )
    assert [] == [line for line in answer.changes if line.key == "change.recipe"]


def test_weights_that_qlora_quantises_are_said() -> None:
    """A checkpoint in fp8 is quantised to nf4 under qlora, which the answer says; fp8 weights asked for are refused."""
    asked = {"model": "GLM-4.6V-FP8", "task": "training", "method": "qlora", "gpus": 8}
    answer = model_answer("H200 SXM", asked)
    assert "nf4" == answer.whole.question.plan.weights
    assert [("fp8", "nf4")] == [
        (line.values["stored"], line.values["weights"])
        for line in answer.remarks
        if line.key == "remark.quantised"
    ]
    with pytest.raises(BadInput, match="fp8"):
        model_answer("H200 SXM", {**asked, "weights": "fp8"})


def test_a_card_that_nobody_saw_run_it_wins_nothing() -> None:
    """No source says that attention in 16 bits runs on a V100: it is ranked out with that reason, and on no map."""
    options = {"model": "Qwen3-8B", "task": "decode", "batch": 8}
    ranking = model_answer("L4", options).ranking
    v100 = next(item for item in ranking if item.gpu.name == "V100-PCIe-16GB")
    assert ("out", "contender.unproven") == (v100.place, v100.reason.key)
    assert not [offer for offer in break_even("L4", options, cells=10).offers if "V100" in offer.gpu.name]
