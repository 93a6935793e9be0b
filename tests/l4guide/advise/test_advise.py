"""The whole answer: right, complete, sayable in both languages, and honest about what it does not know."""

import itertools
import json
import re

import pytest

from l4guide.advise import Advice, advise, support_of
from l4guide.catalogue import gpus, models
from l4guide.errors import BadInput
from l4guide.text import Sentence


def sentences_of(advice: Advice) -> list[Sentence]:
    """Everything that a reader is told."""
    reasons = [item.reason for item in advice.alternatives]
    return [
        advice.headline,
        *advice.why,
        advice.recommendation,
        *advice.gaps,
        *advice.question.notes,
        *reasons,
    ]


def test_the_question_that_the_project_exists_for() -> None:
    """Training at head_dim 128 on L4: yes, since 2.0.0, and the tile that did not fit is named with its bytes."""
    advice = advise("L4", {"task": "training", "head_dim": 128})
    assert "yes" == advice.answer
    assert "flash-attn >= 2.0.0" in str(advice.headline)
    assert "torch/flash >= 2.2.0" in str(advice.headline)
    why = " ".join(map(str, advice.why))
    assert "torch/efficient >= 2.1.0" in why
    assert "155,648" in why
    assert "101,376" in why
    assert "flash-attn 1.0.9 and earlier refused it" in why


@pytest.mark.parametrize("options", [{"task": "decode"}, {"model": "Llama-3.1-8B", "task": "training"}])
def test_old_releases_are_told_of_training_a_shape_alone(options: dict[str, object]) -> None:
    """Who serves, or asks about a model, does not hear what flash-attn 1.x said."""
    assert not [line for line in advise("L4", options).why if "1.0.9" in str(line)]


def test_our_kernels_fit_without_spilling_where_the_guide_says_so() -> None:
    """The three training kernels at head_dim 128 on L4 come from the compiler, fit, and spill nothing."""
    advice = advise("L4", {"task": "training", "head_dim": 128})
    assert ["forward", "backward-dkdv", "backward-dq"] == [item.kernel for item in advice.resources]
    assert all(item.fits and item.kind == "compiled" and item.spill_bytes == 0 for item in advice.resources)


@pytest.mark.parametrize(
    ("gpu", "options", "answer"),
    [
        ("L4", {"task": "prefill", "head_dim": 256}, "yes"),
        ("L4", {"task": "training", "head_dim": 256, "dropout": 0.1}, "unsafe"),
        ("A100", {"task": "training", "head_dim": 256, "dropout": 0.1}, "yes"),
        ("L4", {"task": "training", "head_dim": 320}, "depends"),
        ("T4", {"task": "prefill", "head_dim": 128}, "depends"),
        ("MI300X", {"task": "prefill", "head_dim": 128}, "depends"),
    ],
)
def test_answers(gpu: str, options: dict[str, object], answer: str) -> None:
    """Yes where flash-attn runs it, depends where only something else does or nobody knows."""
    assert answer == advise(gpu, options).answer


def test_an_unsafe_answer_warns_in_the_headline() -> None:
    """Silent garbage is said first, with what to use instead."""
    headline = str(advise("L4", {"head_dim": 256, "dropout": 0.1}).headline)
    assert "head_dim 256 and dropout 0.1" in headline
    assert "flash-attn is silently wrong" in headline
    assert "torch/efficient" in headline


def test_a_limit_has_its_quantity_and_unit() -> None:
    """What was found and what is needed are bytes, and say of what."""
    why = [str(line) for line in advise("L4", {"head_dim": 256, "dropout": 0.1}).why]
    assert "shared memory per block is 101,376 bytes; needed: at least 147,456 bytes" in why


def test_what_runs_is_recommended_even_without_a_time() -> None:
    """Without an estimate the recommendation still says what to use, and the install line is of the same."""
    advice = advise("L4", {"head_dim": 320})
    assert "recommend.use" == advice.recommendation.key
    assert str(advice.recommendation).startswith("Use torch/efficient")
    assert "torch" in str(advice.install)


def test_nothing_is_estimated_for_what_does_not_run() -> None:
    """Where no measured implementation runs the question there is no time, and a gap that says so."""
    advice = advise("L4", {"head_dim": 320})
    assert advice.estimate is None
    assert "estimate" not in advice.to_json()
    assert "no estimate" in " ".join(map(str, advice.gaps))


def test_alternatives_are_the_other_cards_fastest_first() -> None:
    """Every other card is there once; those with a time come first, in its order, and none has dollars."""
    advice = advise("L4", {"task": "prefill"})
    assert sorted(card.name for card in gpus() if card.name != "L4") == sorted(
        item.gpu.name for item in advice.alternatives
    )
    times = [item.estimate.latency_ms for item in advice.alternatives if item.estimate is not None]
    assert sorted(times) == times
    assert all(item.estimate is not None for item in advice.alternatives[: len(times)])


@pytest.mark.parametrize("task", ["prefill", "decode", "training"])
@pytest.mark.parametrize("price", [None, 0.001, 100])
def test_a_bare_shape_has_no_dollars(task: str, price: float | None) -> None:
    """An implementation is recommended, whatever a card costs; dollars of attention are asked of `cost`."""
    advice = advise("L4", {"task": task, "price": price})
    said = advice.to_json()
    assert "cost" not in said
    assert "usd" not in json.dumps({name: part for name, part in said.items() if name != "question"}).lower()
    assert str(advice.recommendation).startswith("Use flash-attn")


@pytest.mark.parametrize(
    ("card", "options", "library"),
    [
        ("T4", {"task": "prefill"}, "torch/efficient"),
        ("RTX 2080 Ti", {"task": "training"}, "torch/efficient"),
        ("A100-80GB-SXM", {"head_dim": 256, "dropout": 0.1}, "flash-attn"),
        ("H100 SXM", {"task": "prefill"}, "flash-attn-3"),
        ("L40S", {"head_dim": 512}, "torch/efficient"),
    ],
)
def test_a_card_is_refused_only_where_nothing_runs_it(
    card: str, options: dict[str, object], library: str
) -> None:
    """What is compared is the implementation to take there, not flash-attn; bf16 is only assumed, so T4 takes fp16."""
    found = next(item for item in advise("L4", options).alternatives if item.gpu.name == card)
    assert ("ok", library) == (found.status, found.library)
    assert library in str(found.reason)


def test_a_card_that_refuses_names_one_that_does_not() -> None:
    """Where only PyTorch's fallback is left it is recommended with its own words, and no card is named."""
    refused = advise("L4", {"head_dim": 128, "score_mod": True, "dropout": 0.1, "task": "training"})
    assert refused.recommendation.key.startswith(("recommend.refused", "recommend.unknown", "recommend.last"))
    assert refused.recommendation.say("zh")


def test_a_model_is_as_good_as_its_worst_component() -> None:
    """HunyuanOCR has a text and a vision component, each with a verdict of its own at its own head_dim."""
    advice = advise("L4", {"model": "hunyuan ocr"})
    assert [("text", 128), ("vision", 72)] == [
        (part.component, part.workload.head_dim) for part in advice.parts
    ]
    assert ["text", "vision"] == [part["component"] for part in advice.to_json()["components"]]  # type: ignore[attr-defined]


def test_a_shape_that_nobody_published_is_asked_for() -> None:
    """No stand-in is borrowed; with the shape given by hand the question is answered."""
    with pytest.raises(BadInput, match="--head-dim"):
        advise("L4", {"model": "Spark-Formalizer-X1-7B"})
    assert advise("L4", {"model": "Spark-Formalizer-X1-7B", "head_dim": 128}).answer == "yes"


@pytest.mark.parametrize("task", ["prefill", "training"])
@pytest.mark.parametrize("name", [model.name for model in models() if model.status != "not-found"])
def test_every_model_preset_with_a_shape_is_answered(name: str, task: str) -> None:
    """No preset breaks, for inference or training."""
    assert advise("L4", {"model": name, "task": task}).answer in ("yes", "depends", "no")


def test_a_card_without_bf16_is_asked_about_fp16() -> None:
    """bf16 is a default, not a wish: T4 gets fp16 and the answer says that this was assumed."""
    question = advise("T4", {"task": "prefill"}).question
    assert "fp16" == question.workload.dtype
    assert "dtype" in question.assumed
    assert "bf16" == advise("T4", {"task": "prefill", "dtype": "bf16"}).question.workload.dtype


def test_an_ambiguous_card_says_how_it_was_read() -> None:
    """A100-80GB takes the SXM card and the question notes it."""
    question = advise("A100-80GB").question
    assert "A100-80GB-SXM" == question.gpu.name
    assert any("SXM" in note.say() for note in question.notes)


CASES = [
    (card.name, {"task": task, "head_dim": head_dim, "dropout": dropout})
    for card, (task, head_dim, dropout) in itertools.product(
        gpus(), [("prefill", 128, 0.0), ("decode", 64, 0.0), ("training", 256, 0.1), ("training", 320, 0.0)]
    )
]


@pytest.mark.parametrize(("gpu", "options"), CASES)
def test_every_sentence_can_be_said_in_both_languages(gpu: str, options: dict[str, object]) -> None:
    """No answer for any card leaves a placeholder open, prints None, or ends in an exponent."""
    advice = advise(gpu, options)
    for language in ("en", "zh"):
        for sentence in sentences_of(advice):
            said = sentence.say(language)
            assert not re.search(r"\{\w+\}|\bNone\b|\d[eE][-+]\d", said), said
        json.dumps(advice.to_json(language))
    assert [s.say("en") for s in sentences_of(advice)] != [s.say("zh") for s in sentences_of(advice)]


def test_support_of_knows_our_own_kernels() -> None:
    """`l4guide` is a library like the others, and refuses by name what it cannot do."""
    assert "ok" == support_of("L4", {"head_dim": 128}, "l4guide").status
    refused = support_of("L4", {"head_dim": 128, "block_sparse": True, "kv_dtype": "fp8"}, "l4guide")
    assert "refused" == refused.status
    assert ["kv-dtype", "block-sparse"] == [reason.field for reason in refused.reasons]


def test_a_kernel_of_one_card_says_why_its_interval_is_wide() -> None:
    """Plain calls of FlashAttention-3 were measured on H100 alone: another Hopper says so, H100 itself does not."""
    other, same = (advise(gpu, {"task": "training", "head_dim": 64}) for gpu in ("H200 SXM", "H100 SXM"))
    said = [gap.say("en") for gap in other.gaps]
    assert any("measured on H100 SXM only" in sentence for sentence in said)
    assert "gap.one_card" not in [gap.key for gap in same.gaps]
