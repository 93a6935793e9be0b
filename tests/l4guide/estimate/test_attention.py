"""Attention time: a value inside an interval, on ceilings that say what they are, or a reason why not."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4guide.catalogue import gpu
from l4guide.errors import BadInput, CannotDo
from l4guide.estimate import IMPLEMENTATIONS, attention_time, attention_times, best_implementation
from l4guide.estimate.calibration import calibration
from l4guide.work import work_of
from l4guide.workload import TASKS, Workload, ask

CARDS = ["L4", "L40S", "A100-80GB-SXM", "H100 SXM", "A10G"]
KERNELS = ["flash-attn", "flash-attn-3", "flashinfer", "torch/efficient", "vllm/triton", "l4guide"]


def asked(**options: object) -> Workload:
    """A question in fp16, which every card knows."""
    return ask({"dtype": "fp16", **options})[0]


@given(
    st.sampled_from(TASKS),
    st.sampled_from([32, 64, 80, 128, 192, 256]),
    st.integers(1, 64),
    st.sampled_from([1, 17, 512, 4096, 65_536]),
    st.sampled_from(CARDS),
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
    assert "estimated" == estimate.kind
    assert estimate.basis in ("interpolated", "transferred", "roofline")


@given(
    st.sampled_from(KERNELS),
    st.sampled_from(TASKS),
    st.sampled_from([*CARDS, "RTX 5090"]),
    st.sampled_from([32, 64, 72, 80, 96, 128, 192, 256]),
    st.sampled_from([(1, 1), (8, 1), (32, 8), (32, 32)]),
    st.integers(1, 70),
    st.integers(16, 40_000),
    st.sampled_from(["batch", "seqlen"]),
    st.integers(1, 20_000),
)
def test_more_work_never_takes_less_time(
    kernel: str,
    task: str,
    card: str,
    head_dim: int,
    heads: tuple[int, int],
    batch: int,
    seqlen: int,
    axis: str,
    more: int,
) -> None:
    """A larger batch or a longer context is never faster, through every tile, wave and split."""
    less = {
        "task": task,
        "head_dim": head_dim,
        "heads": heads[0],
        "kv_heads": heads[1],
        "batch": batch,
        "seqlen": seqlen,
    }
    increased = {**less, "batch": batch + more % 60} if axis == "batch" else {**less, "seqlen": seqlen + more}
    try:
        before, after = (
            attention_time(asked(**options), gpu(card), kernel).latency_ms for options in (less, increased)
        )
    except CannotDo:
        return
    assert before <= after * (1 + 1e-9)


@given(
    st.sampled_from(KERNELS),
    st.sampled_from(TASKS),
    st.sampled_from([*CARDS, "T4", "RTX 4090"]),
    st.sampled_from([64, 80, 128, 256]),
    st.integers(1, 64),
    st.integers(1, 70_000),
)
def test_no_estimate_beats_the_card(
    kernel: str, task: str, card: str, head_dim: int, batch: int, seqlen: int
) -> None:
    """Never faster than the arithmetic at full clock; a generation step never faster than its bytes from memory."""
    workload = asked(task=task, head_dim=head_dim, batch=batch, seqlen=seqlen)
    found = gpu(card)
    try:
        estimate = attention_time(workload, found, kernel)
    except CannotDo:
        return
    work = work_of(workload)
    peak = max(found.tensor_16bit_tflops or 0.0, found.gemm_fp16_tflops_high or 0.0)
    assert work.flops / peak / 1e9 <= estimate.low_ms * (1 + 1e-9)
    if task == "decode":
        assert work.bytes / 1e6 / found.bandwidth_gb_per_s <= estimate.latency_ms * (1 + 1e-9)


def test_units_are_those_of_their_names() -> None:
    """Milliseconds, TFLOP/s, GB/s, watts and joules agree with one another."""
    workload = asked(task="prefill", seqlen=8192)
    estimate = attention_time(workload, gpu("L40S"))
    work = work_of(workload)
    assert work.flops / (estimate.latency_ms / 1e3) / 1e12 == pytest.approx(estimate.tflops)
    assert work.bytes / (estimate.latency_ms / 1e3) / 1e9 == pytest.approx(estimate.gb_per_s)
    assert estimate.power is not None
    assert estimate.power.watts * estimate.latency_ms / 1e3 == pytest.approx(estimate.power.joules)


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    """A map is one array calculation with the answers of single questions."""
    workloads = [asked(task="prefill", seqlen=2**n, batch=b) for n in range(7, 14) for b in (1, 3, 16)]
    times = attention_times(workloads, gpu("L4"))
    singly = [attention_time(workload, gpu("L4")).latency_ms for workload in workloads]
    assert singly == pytest.approx((times.value / 1e3).tolist())
    assert np.all((times.low < times.value) & (times.value < times.high))


@pytest.mark.parametrize(
    ("card", "kernel", "head_dim", "basis"),
    [
        ("L40S", "flash-attn", 128, "interpolated"),
        ("L40S", "flash-attn", 80, "transferred"),
        ("L4", "flash-attn", 128, "transferred"),
        ("H100 SXM", "flash-attn", 128, "roofline"),
        ("L4", "l4guide", 128, "roofline"),
        ("T4", "torch/efficient", 64, "roofline"),
    ],
)
def test_the_basis_says_how_far_the_measured_rows_are(
    card: str, kernel: str, head_dim: int, basis: str
) -> None:
    """Between rows of the card, carried from other cards or head dimensions, or borrowed from another kernel."""
    workload = asked(task="prefill", seqlen=4096, head_dim=head_dim)
    assert basis == attention_time(workload, gpu(card), kernel).basis


def test_what_is_further_from_measured_rows_is_wider() -> None:
    """A measured card, then another, then a head dimension besides, then a borrowed kernel."""
    ratios = []
    for card, kernel, head_dim in (
        ("L40S", "flash-attn", 128),
        ("L4", "flash-attn", 128),
        ("L4", "flash-attn", 80),
        ("L4", "l4guide", 80),
    ):
        found = attention_time(asked(task="prefill", seqlen=4096, head_dim=head_dim), gpu(card), kernel)
        ratios.append(found.high_ms / found.low_ms)
    assert all(near < far for near, far in pairwise(ratios))


def test_the_nearest_rows_are_named_with_their_error() -> None:
    """The card most like it first, the measured head dimension next to the asked one, and a held-out error."""
    nearest = attention_time(asked(task="prefill", head_dim=80), gpu("L4")).nearest
    assert ("L40S", "fa2", 64) == (nearest[0].gpu, nearest[0].kernel, nearest[0].head_dim)
    assert nearest[0].error is not None
    assert 0 < nearest[0].error < 0.1
    said = nearest[0].to_json()
    assert round(100 * nearest[0].error, 1) == said["held_out_error_percent"]


def test_a_cache_that_stays_in_l2_is_within_the_interval() -> None:
    """A step over a small cache may be served from L2: the low end allows for it, the value does not count on it."""
    small, large = (
        attention_time(asked(task="decode", seqlen=seqlen, batch=8), gpu("L40S")) for seqlen in (512, 65_536)
    )
    assert small.latency_ms / small.low_ms > large.latency_ms / large.low_ms


def test_a_smaller_cache_type_is_faster() -> None:
    """An fp8 cache halves the bytes of a long generation step."""
    wide, narrow = (
        attention_time(
            asked(task="decode", seqlen=65_536, batch=8, kv_dtype=kv), gpu("L40S"), "flashinfer"
        ).latency_ms
        for kv in ("fp16", "fp8")
    )
    assert 0.4 * wide < narrow < 0.8 * wide


def test_a_window_bounds_the_work() -> None:
    """With a window the time of a long prompt grows no faster than its length."""
    short, long = (
        attention_time(asked(task="prefill", seqlen=seqlen, window=1024), gpu("L40S")).latency_ms
        for seqlen in (8192, 32_768)
    )
    assert long < 5 * short


def test_l4_leans_on_what_its_gemm_sustains_not_on_its_peak() -> None:
    """The compute ceiling is the published sustained rate, well under 121 TFLOP/s, and no estimate beats it."""
    estimate = attention_time(ask({"task": "prefill", "seqlen": 16_384})[0], gpu("L4"))
    ceiling = next(ceiling for ceiling in estimate.ceilings if ceiling.name == "gemm")
    assert ("published", 54.9, 59.4) == (ceiling.kind, ceiling.low, ceiling.high)
    assert estimate.tflops < ceiling.high
    assert 0.75 * estimate.latency_ms < estimate.burst_ms < 0.9 * estimate.latency_ms


def test_a_card_without_a_published_gemm_gets_a_wider_interval() -> None:
    """What is assumed of a card shows in its interval."""
    workload, _ = ask({"task": "prefill", "seqlen": 8192})
    known, unknown = (attention_time(workload, gpu(name)) for name in ("L40S", "A30"))
    assert known.high_ms / known.low_ms < unknown.high_ms / unknown.low_ms
    assert "estimated" == unknown.ceilings[0].kind


def test_a_power_capped_card_runs_slower_where_arithmetic_fills_the_time() -> None:
    """L4 holds its clock in a generation step, and half of it in a long prompt."""
    prompt, step = (
        attention_time(asked(task=task, seqlen=16_384, batch=4), gpu("L4")) for task in ("prefill", "decode")
    )
    assert prompt.power is not None
    assert step.power is not None
    assert prompt.power.sustained_clock_mhz < 1100 < 1600 < step.power.sustained_clock_mhz <= 2040
    assert prompt.power.watts_low < prompt.power.watts <= prompt.power.watts_high <= 72


def test_t4_is_estimated_through_the_kernel_that_it_has() -> None:
    """FlashAttention-2 needs Ampere; the memory-efficient kernel runs on Turing, at what 70 W sustain."""
    workload = asked(task="prefill", seqlen=8192)
    assert "torch/efficient" == best_implementation(workload, gpu("T4"))
    estimate = attention_time(workload, gpu("T4"), "torch/efficient")
    assert estimate.borrowed
    assert 1.6 < estimate.high_ms / estimate.low_ms
    assert 24.0 == estimate.ceilings[0].high
    assert estimate.tflops < 24


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


def test_every_fit_knows_its_error() -> None:
    """A kernel measured on two cards or more has an error on each, and an interval wider on a new card."""
    for fit in calibration().fits.values():
        assert all(width > 0 for width in (*fit.width_known, *fit.width_new))
        assert len(fit.gpus) > 1 or not fit.held_out
        assert set(fit.errors) <= set(fit.coefficients)
        if fit.held_out:
            assert {one.gpu for one in fit.held_out} <= set(fit.gpus)
