"""Attention time: a value inside an interval, on ceilings that say what they are, or a reason why not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4guide.catalogue import gpu
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate import IMPLEMENTATIONS, attention_time, best_implementation
from l4guide.estimate.calibration import calibration
from l4guide.workload import TASKS, ask


@given(
    st.sampled_from(TASKS),
    st.sampled_from([32, 64, 80, 128, 192, 256]),
    st.integers(1, 64),
    st.sampled_from([1, 17, 512, 4096, 65_536]),
    st.sampled_from(["L4", "L40S", "A100-80GB-SXM", "H100 SXM", "A10G"]),
)
def test_the_value_lies_inside_its_interval(
    task: str, head_dim: int, batch: int, seqlen: int, name: str
) -> None:
    """Every estimate has 0 < low < value < high and says that it is one."""
    workload, _ = ask({"task": task, "head_dim": head_dim, "batch": batch, "seqlen": seqlen})
    card = gpu(name)
    implementation = best_implementation(workload, card)
    assert implementation is not None
    estimate = attention_time(workload, card, implementation)
    assert 0 < estimate.low_ms < estimate.latency_ms < estimate.high_ms
    assert ("estimated", "roofline") == (estimate.kind, estimate.basis)


def test_more_work_never_takes_less_time() -> None:
    """Time grows with the length of the sequence, through every knot of the curve."""
    times = [
        attention_time(ask({"task": "prefill", "seqlen": 2**n})[0], gpu("L4")).latency_ms
        for n in range(4, 17)
    ]
    assert sorted(times) == times


def test_l4_leans_on_what_its_gemm_sustains_not_on_its_peak() -> None:
    """The compute ceiling is the published sustained rate, well under 121 TFLOP/s, and no estimate beats it."""
    estimate = attention_time(ask({"task": "prefill", "seqlen": 16_384})[0], gpu("L4"))
    ceiling = next(ceiling for ceiling in estimate.ceilings if ceiling.name == "gemm")
    assert ("published", 54.9, 59.4) == (ceiling.kind, ceiling.low, ceiling.high)
    assert estimate.tflops < ceiling.high


def test_a_card_without_a_published_gemm_gets_a_wider_interval() -> None:
    """What is assumed of a card shows in its interval."""
    workload, _ = ask({"task": "prefill", "seqlen": 8192})
    known, unknown = (attention_time(workload, gpu(name)) for name in ("L40S", "A30"))
    assert known.high_ms / known.low_ms < unknown.high_ms / unknown.low_ms
    assert "estimated" == unknown.ceilings[0].kind


@pytest.mark.parametrize("name", ["T4", "V100-SXM2-16GB", "MI300X", "P100", "M40"])
def test_a_card_of_a_class_that_nobody_measured_is_declined(name: str) -> None:
    """No number is invented; the message says what to do."""
    with pytest.raises(CannotDo, match="l4guide measure"):
        attention_time(ask({"task": "prefill", "dtype": "fp16"})[0], gpu(name))


def test_a_card_without_tensor_cores_has_no_rate() -> None:
    """Where no tensor rate is stated, the reason is said, not a number made of nothing."""
    bare = replace(gpu("L4"), tensor_16bit_tflops=None, gemm_bf16_tflops_low=None, gemm_bf16_tflops_high=None)
    with pytest.raises(CannotDo, match="no tensor cores"):
        attention_time(ask({"task": "prefill"})[0], bare)


def test_an_implementation_without_a_backward_cannot_train() -> None:
    """FlashInfer has no backward pass, and the best implementation for training is never it."""
    workload, _ = ask({"task": "training"})
    with pytest.raises(CannotDo, match="no backward pass"):
        attention_time(workload, gpu("L4"), "flashinfer")
    assert best_implementation(workload, gpu("B200 SXM")) is None


def test_an_unknown_implementation_lists_those_there_are() -> None:
    """The message names the value and the choices."""
    with pytest.raises(BadInput) as caught:
        attention_time(ask({})[0], gpu("L4"), "flash")
    assert all(name in str(caught.value) for name in ("'flash'", *IMPLEMENTATIONS))


def test_a_borrowed_curve_says_so() -> None:
    """Our own kernels are unmeasured, so their estimate is borrowed and wider."""
    workload, _ = ask({"task": "prefill", "seqlen": 8192})
    own, flash = (attention_time(workload, gpu("L4"), name) for name in ("l4guide", "flash-attn"))
    assert (True, False) == (own.borrowed, flash.borrowed)
    assert flash.high_ms / flash.low_ms < own.high_ms / own.low_ms


def test_left_out_cards_are_covered_as_promised() -> None:
    """Every curve that could be tested on a card left out holds four fifths of its rows."""
    scored = [curve for curve in calibration().curves if curve.left_out_coverage is not None]
    assert scored
    assert all(curve.left_out_coverage is not None and curve.left_out_coverage >= 0.8 for curve in scored)
