"""The question: what it assumes, what it refuses, and how it says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4guide.errors import BadInput
from l4guide.workload import ask


def test_defaults_are_named_as_assumed() -> None:
    """Everything that was not said is listed, and nothing that was."""
    workload, assumed = ask({"task": "training", "head_dim": "128"})
    assert workload.head_dim == 128
    assert "task" not in assumed
    assert "head_dim" not in assumed
    assert {"batch", "heads", "kv_heads", "dtype", "causal"} <= set(assumed)


def test_training_runs_both_passes_and_inference_one() -> None:
    """Only training asks for the backward."""
    assert ask({"task": "training"})[0].passes == ("forward", "backward")
    assert ask({"task": "decode"})[0].passes == ("forward",)


def test_decode_has_one_query_token() -> None:
    """A decode step asks with one token over the whole cache."""
    workload, _ = ask({"task": "decode", "seqlen": 4096})
    assert (workload.seqlen_q, workload.seqlen_kv) == (1, 4096)


def test_heads_alone_mean_multi_head_attention() -> None:
    """Without kv-heads there are as many of them as heads, so that no rule about grouping is met unasked."""
    assert [(32, 32), (12, 12)] == [
        (workload.heads, workload.kv_heads) for workload, _ in (ask({}), ask({"heads": 12}))
    ]


def test_a_flag_may_be_a_word() -> None:
    """A table of workloads says 0, false or no."""
    assert [False, False, True] == [ask({"causal": word})[0].causal for word in ("0", "No", "true")]


def test_kv_cache_takes_the_type_of_the_queries() -> None:
    """The cache is stored as computed unless said."""
    assert ask({"dtype": "fp16"})[0].kv_dtype == "fp16"
    assert ask({"dtype": "fp16", "kv_dtype": "fp8"})[0].kv_dtype == "fp8"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"head_dim": 0}, "head-dim is 0; it must be from 1 to 65536"),
        ({"head_dim": -8}, "head-dim is -8"),
        ({"head_dim": "1.5"}, "must be an integer"),
        ({"head_dim": "abc"}, "not 'abc'"),
        ({"head_dim": True}, "must be an integer"),
        ({"batch": 0}, "batch is 0"),
        ({"heads": 32, "kv_heads": 5}, "must be a multiple of kv-heads (5)"),
        ({"dropout": -0.1}, "dropout is -0.1; it must be at least 0.0 and below 1.0"),
        ({"dropout": 1}, "below 1.0"),
        ({"dropout": "nan"}, "dropout must be a number"),
        ({"dtype": "bf61"}, "did you mean bf16?"),
        ({"task": "serving"}, "choose one of prefill, decode, training"),
        ({"headdim": 64}, "no option 'headdim'"),
        ({"window": 0}, "window is 0"),
        ({"causal": "maybe"}, "causal must be yes or no, not 'maybe'"),
    ],
)
def test_bad_input_names_value_limit_and_way_out(options: dict[str, object], wanted: str) -> None:
    """One line, with the value that was given."""
    with pytest.raises(BadInput) as caught:
        ask(options)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.say("zh") != str(caught.value)


@given(st.text(max_size=12))
def test_any_text_for_head_dim_is_a_number_or_bad_input(text: str) -> None:
    """No text gets past the question as anything but a positive whole number."""
    try:
        workload, _ = ask({"head_dim": text})
    except BadInput:
        return
    assert workload.head_dim == int(text)
    assert workload.head_dim > 0
