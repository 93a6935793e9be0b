"""Runs on a card put the estimate right for that card, kernel by kernel, with an interval that means what it says."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from l4guide.catalogue import gpu
from l4guide.estimate import attention_time
from l4guide.estimate.attention import call_times
from l4guide.estimate.chip import chip_of
from l4guide.estimate.live import correct, recalibrate
from l4guide.estimate.physics import Live
from l4guide.estimate.problems import Array, Problems, problems_of
from l4guide.estimate.routes import choose
from l4guide.workload import Workload, ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A run as `l4guide measure` records it."""

    implementation: str = "flash-attn"
    status: str = "ok"
    task: str = "prefill"
    attention_pass: str = "forward"
    batch: int = 1
    seqlen_q: int = 1024
    seqlen_kv: int = 1024
    heads: int = 16
    kv_heads: int = 16
    head_dim: int = 128
    dtype: str = "bf16"
    causal: bool = True
    latency_ms: float | None = 1.0


LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)
SHAPES = [(batch, length) for batch in (1, 2, 4, 8, 16) for length in LENGTHS]


def workload(batch: int, length: int) -> Workload:
    """A causal prompt."""
    return ask({"task": "prefill", "batch": batch, "seqlen": length, "heads": 16})[0]


def truth(seed: int, *, spread: float = 0.05) -> tuple[Problems, Array]:
    """A card whose arithmetic is 15 % slower and whose launches are 20 % longer than the fit expects, with noise."""
    workloads = [workload(*shape) for shape in SHAPES]
    problems, card = problems_of(workloads), gpu("L4")
    live = Live(compute=1.15, memory=1.05, launch=1.2)
    times = call_times(problems, chip_of(card), choose(workloads[0], card, "flash-attn"), live=live).value
    noise = np.exp(np.random.default_rng(seed).normal(0, spread, len(times)))
    return problems, np.asarray(times * noise)


def test_a_dozen_runs_cover_the_rest() -> None:
    """Over many draws the interval holds 72 to 92 % of the rows that the runs were not, and the error is the noise."""
    card = gpu("L4")
    choice, chip = choose(workload(1, 128), card, "flash-attn"), chip_of(card)
    covered, errors = [], []
    for seed in range(8):
        problems, measured = truth(seed)
        order = np.argsort(measured)
        seen = np.zeros(len(order), dtype=bool)
        draw = np.random.default_rng(100 + seed)
        seen[[draw.choice(part) for part in np.array_split(order, 12)]] = True
        live = correct(chip, choice, problems.take(seen), measured[seen])
        times = call_times(problems.take(~seen), chip, choice, live=live)
        rest = measured[~seen]
        covered.append(float(((times.low <= rest) & (rest <= times.high)).mean()))
        errors.append(float(np.median(np.abs(times.value / rest - 1))))
    assert 0.72 <= np.mean(covered) <= 0.92
    assert np.mean(errors) < 0.06


def runs(factor: float, implementation: str = "flash-attn") -> list[Timed]:
    """Runs that take `factor` times what the estimate says."""
    timed = []
    for batch in (1, 4):
        for length in LENGTHS:
            expected = attention_time(workload(batch, length), gpu("L4"), implementation).latency_ms
            timed.append(
                Timed(
                    implementation=implementation,
                    batch=batch,
                    seqlen_q=length,
                    seqlen_kv=length,
                    latency_ms=factor * expected,
                )
            )
    return timed


def test_a_slower_card_is_estimated_slower() -> None:
    """Shapes that were not run move with those that were."""
    live = recalibrate(runs(1.3), gpu("L4"))
    before = attention_time(workload(8, 3000), gpu("L4"))
    after = live.attention_time(workload(8, 3000), gpu("L4"))
    assert 1.2 * before.latency_ms < after.latency_ms < 1.4 * before.latency_ms
    assert "interpolated" == after.basis


def test_a_shape_that_was_run_is_answered_by_its_run() -> None:
    """The time of the run, and the basis says so."""
    live = recalibrate(runs(1.1), gpu("L4"))
    again = live.attention_time(workload(4, 2048), gpu("L4"))
    expected = 1.1 * attention_time(workload(4, 2048), gpu("L4")).latency_ms
    assert "measured" == again.basis
    assert expected == pytest.approx(again.latency_ms)
    assert again.low_ms < again.latency_ms < again.high_ms


def test_a_run_answers_no_question_but_its_own() -> None:
    """A window or a soft cap makes it another call, whose time is an estimate."""
    live = recalibrate(runs(1.1), gpu("L4"))
    for change in ({"window": 256}, {"softcap": 30.0}):
        asked = replace(workload(4, 2048), **change)
        assert "estimated" == live.attention_time(asked, gpu("L4")).kind


def test_other_cards_and_kernels_stay_as_they_were() -> None:
    """A run says nothing of another card, nor of another kernel."""
    live = recalibrate(runs(1.5), gpu("L4"))
    for card, kernel in (("L40S", "flash-attn"), ("L4", "flashinfer")):
        plain = attention_time(workload(2, 1024), gpu(card), kernel)
        assert plain == live.attention_time(workload(2, 1024), gpu(card), kernel)


def test_runs_of_a_borrowed_kernel_narrow_its_interval() -> None:
    """Our own kernels are a guess until they are run; then they are calibrated like the others."""
    before = attention_time(workload(8, 3000), gpu("L4"), "l4guide")
    after = recalibrate(runs(1.4, "l4guide"), gpu("L4")).attention_time(
        workload(8, 3000), gpu("L4"), "l4guide"
    )
    assert (True, False) == (before.borrowed, after.borrowed)
    assert after.high_ms / after.low_ms < before.high_ms / before.low_ms
    assert 1.2 * before.latency_ms < after.latency_ms < 1.6 * before.latency_ms


def test_slow_runs_change_the_ranking() -> None:
    """An implementation that runs at half its estimate falls behind."""
    card = gpu("L4")
    names = ("flash-attn", "flashinfer")
    slow = recalibrate(runs(2.0), card).ranked(workload(8, 3000), [card], names)
    quick = recalibrate(runs(0.5), card).ranked(workload(8, 3000), [card], names)
    assert "flash-attn" == slow[-1][1].implementation
    assert "flash-attn" == quick[0][1].implementation


def test_what_failed_or_was_not_timed_is_passed_over() -> None:
    """Wrong results, backward passes, rows of a CPU and unknown kernels teach nothing."""
    plain = Timed()
    unusable = [
        replace(plain, status="wrong"),
        replace(plain, attention_pass="backward"),
        replace(plain, latency_ms=None),
        replace(plain, implementation="somebody/else"),
        replace(plain, dtype="fp32"),
    ]
    live = recalibrate(unusable, gpu("L4"))
    assert ({}, {}) == (live.corrections, live.measured_ms)
