"""Cards that the user describes, and machines that stand for cards: every command answers about them."""

from collections.abc import Mapping

import pytest

from l4guide.advise import advise, asked, model_answer, question_line, support_of, whole_estimate
from l4guide.catalogue import gpu, gpus
from l4guide.errors import BadInput
from l4guide.text import LANGUAGES

DESCRIBED = {"compute_capability": "8.9", "memory_gib": "48", "bandwidth_gb_s": "1008", "tflops": "165"}
DECODE = {"model": "Qwen3-8B", "task": "decode"}


def test_given_figures_go_before_the_listed_ones() -> None:
    """The card keeps what was not said, under a name that says it was changed."""
    found = asked("RTX 4090", {"memory_gib": "48", "bandwidth_gb_s": "900"}).gpu
    listed = gpu("RTX 4090")
    assert ("RTX 4090 (48 GiB)", "RTX 4090") == (found.name, found.base)
    assert (48, 900) == (found.memory_gb, found.bandwidth_gb_per_s)
    assert (listed.sm_count, listed.tensor_16bit_tflops) == (found.sm_count, found.tensor_16bit_tflops)


def test_what_is_listed_already_changes_nothing() -> None:
    """An L4 of 24 GiB is the L4."""
    assert gpu("L4") == asked("L4", {"memory_gib": 24}).gpu


def test_measured_rates_go_with_the_peak() -> None:
    """Products that were measured are not those of a card with another rate, and 8 bits keep their ratio."""
    found = asked("RTX 4090", {"tflops": "330.4"}).gpu
    assert found.gemm_bf16_tflops_high is None
    assert found.fp8_tflops == pytest.approx(2 * 330.3, rel=1e-3)


def test_a_card_of_ones_own() -> None:
    """What a compute capability settles is that of the listed cards; nothing that was measured is borrowed."""
    found = asked("My 4090", DESCRIBED).gpu
    listed = gpu("RTX 4090")
    assert "My 4090" == found.name
    assert (listed.shared_bytes_per_block, listed.max_threads_per_sm) == (
        found.shared_bytes_per_block,
        found.max_threads_per_sm,
    )
    assert listed.sm_count == found.sm_count
    assert {None} == {found.gemm_bf16_tflops_high, found.tdp_w, found.usable_memory_mib, found.boost_mhz}
    assert "sm_count" in found.inferred
    assert 64 == asked("My 4090", {**DESCRIBED, "sms": 64}).gpu.sm_count


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        ("Mine", {"memory_gib": 48}, ("--compute-capability", "--bandwidth-gb-s", "--tflops")),
        ("Mine", {"compute_capability": "8.9"}, ("--memory-gib", "--bandwidth-gb-s", "--tflops")),
        ("Mine", {**DESCRIBED, "compute_capability": "9.9"}, ("9.9", "8.9", "12.0")),
        ("L4", {"compute_capability": "9.0"}, ("8.9", "9.0")),
        ("L4", {"memory_gib": -3}, ("memory-gib", "-3", "1024")),
        ("L4", {"tflops": "fast"}, ("tflops", "fast")),
        ("L4", {"sms": 5.5}, ("sms", "5.5", "512")),
        ("Mine", {}, ("Mine", "gpus.csv", "--compute-capability")),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    name: str, options: Mapping[str, object], parts: tuple[str, ...]
) -> None:
    """One line with the figure, its limit, and what else to give."""
    with pytest.raises(BadInput) as caught:
        asked(name, options)
    for language in LANGUAGES:
        message = caught.value.say(language)
        assert "\n" not in message
        assert all(part in message for part in parts)


@pytest.mark.parametrize(
    ("name", "options"), [("2080 Ti 22GB", {}), ("Mine", DESCRIBED), ("g6f.2xlarge", {})]
)
def test_every_answer_takes_such_a_card(name: str, options: Mapping[str, object]) -> None:
    """Support, time, memory and cost are answered about it, and it stands in the ranking beside all listed ones."""
    said = {**options, "model": "Qwen3-4B", "task": "decode", "weights": "int4", "price": 0.5}
    assert "ok" == support_of(name, {**options, "task": "decode", "dtype": "fp16"}, "torch/efficient").status
    whole, _ = whole_estimate(name, said)
    answer = model_answer(name, said)
    assert whole.gpu == answer.gpu
    assert {*gpus(), answer.gpu} == {item.gpu for item in answer.ranking}
    assert answer.whole.usd_per_million_tokens is not None
    assert "yes" == answer.whole.memory.fits
    attention = advise(name, {**options, "task": "prefill"})
    assert attention.estimate is not None
    assert attention.question.gpu == answer.gpu


def test_each_figure_is_shown_as_yours() -> None:
    """The line of the question repeats what was given of the card, and that the user gave it."""
    line = question_line("Mine", {**DESCRIBED, **DECODE}).said().say("en")
    for part in ("48 GiB of memory (yours)", "1008 GB/s (yours)", "165 TFLOP/s (yours)", "8.9 (yours)"):
        assert part in line
    assert "22 GiB of memory (yours)" in question_line("2080 Ti 22GB", DECODE).said().say("en")


def test_a_described_card_is_estimated_by_its_class() -> None:
    """Nobody measured it: the interval of its time is no narrower than that of the card it resembles."""
    mine, listed = (
        advise(name, {**options, "task": "prefill"}).estimate
        for name, options in (("Mine", DESCRIBED), ("RTX 4090", {}))
    )
    assert mine is not None
    assert listed is not None
    assert mine.high_ms / mine.low_ms > listed.high_ms / listed.low_ms
    assert "RTX 4090" not in (mine.gpus if len(mine.gpus) == 1 else ())


def test_an_instance_sets_how_many_and_whose_price() -> None:
    """4 x L4 at the price of its provider, unless something else is said; the question says so."""
    answer = model_answer("g6.12xlarge", DECODE)
    line = answer.inputs.said().say("en")
    assert (4, "L4") == (answer.whole.cards, answer.gpu.name)
    assert answer.whole.rate is not None
    assert "AWS" == answer.whole.rate.provider
    assert "instance g6.12xlarge" in line
    assert "GPUs: 4" in line
    assert 2 == model_answer("g6.12xlarge", {**DECODE, "gpus": 2}).whole.cards
    said = " ".join(remark.say("en") for remark in answer.remarks)
    assert "4 × L4" in said
    assert "g6.xlarge" in said  # whose price it is


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("Qwen/Qwen3-8B-AWQ", "int4"),
        ("Qwen/Qwen3-8B-FP8", "fp8"),
        ("someone/Qwen3-8B-NVFP4", "nvfp4"),
        ("unsloth/Qwen3-8B-bnb-4bit", "nf4"),
        ("unsloth/Qwen3-8B-GGUF:Q4_K_M", "q4_k_m"),
        ("Qwen3-8B-w8a8", "int8"),
        ("unsloth/Qwen3-8B-GGUF", None),
        ("Qwen/Qwen3-8B-Base", None),
    ],
)
def test_a_name_says_how_its_weights_are_stored(name: str, stored: str | None) -> None:
    """A quantised repository is its model with those weights, and where a name leaves them open, a remark says so."""
    settled = asked("L4", {"model": name, "task": "decode"})
    assert ("Qwen3-8B", stored) == (settled.options["model"], settled.options.get("weights"))
    assert any(name in note.say("en") for note in settled.notes)


def test_weights_that_were_said_go_before_those_of_a_name() -> None:
    """What the user says of the weights holds, whatever the checkpoint is called."""
    assert "bf16" == asked("L4", {**DECODE, "model": "Qwen3-8B-AWQ", "weights": "bf16"}).options["weights"]
