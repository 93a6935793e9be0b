"""Recorded runs put estimates right: of their card and kernel, in every answer, and they can be left out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import made_up
import pytest

from l4guide.advise import (
    advise,
    break_even,
    cost_for,
    estimate_of,
    model_answer,
    model_lines,
    put_right,
    put_right_by,
)
from l4guide.advise.model import ModelAnswer
from l4guide.catalogue import gpu
from l4guide.errors import BadData, BadInput, CannotDo
from l4guide.measure import records
from l4guide.measure.measurement import Record, write
from l4guide.step import Step

Recorded = Callable[..., Record]
PROMPT = {"task": "prefill", "seqlen": 3000, "heads": 32, "kv_heads": 8, "head_dim": 128}
MODEL = {"model": "Llama-3.1-8B", "task": "prefill", "seqlen": 16384}


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[Record], str]:
    """A function that writes a record, and gives its path."""

    def write_to(record: Record) -> str:
        path = tmp_path / f"run{len(list(tmp_path.iterdir()))}.json"
        write(record, path)
        return str(path)

    return write_to


def test_runs_move_time_interval_and_cost(recorded: Recorded, file_of: Callable[[Record], str]) -> None:
    """Slower than thought: the estimate follows, its interval narrows, the cost rises, and it says by what."""
    measured = [file_of(recorded(factor=1.4))]
    _, before, _ = estimate_of("L4", PROMPT, "flash-attn")
    _, after, said = estimate_of("L4", {**PROMPT, "measured": measured}, "flash-attn")
    assert 1.4 * before.latency_ms == pytest.approx(after.latency_ms, rel=0.1)
    assert after.high_ms / after.low_ms < before.high_ms / before.low_ms
    assert (0, 6) == (before.runs, after.runs)
    assert ["runs.put_right"] == [line.key for line in said]
    assert "run0.json" in said[0].say()
    costs = [cost_for("L4", {**PROMPT, **extra})[1] for extra in ({}, {"measured": measured})]
    assert 1.4 * costs[0].usd_per_million_tokens == pytest.approx(costs[1].usd_per_million_tokens, rel=0.1)


def test_a_whole_model_and_its_ranking_follow(recorded: Recorded, file_of: Callable[[Record], str]) -> None:
    """The step takes longer, the card's place falls, the map names it, and every other card stays."""
    options = {**MODEL, "measured": file_of(recorded("RTX 3090", 4.0))}
    before, after = model_answer("RTX 3090", MODEL), model_answer("RTX 3090", options)
    assert before.whole.latency_ms.high.item() < after.whole.latency_ms.value.item()
    assert 6 == after.whole.step.runs
    assert "model.put_right" in [line.key for line in model_lines(after.whole)]
    places = [[item.gpu.name for item in answer.ranking].index("RTX 3090") for answer in (before, after)]
    assert places[0] < places[1]
    others = [
        {
            item.gpu.name: item.to_json().get("tokens_per_s")
            for item in answer.ranking
            if item.gpu != answer.gpu
        }
        for answer in (before, after)
    ]
    assert others[0] == others[1]
    assert () == break_even("RTX 3090", MODEL, cells=4).put_right
    assert ("RTX 3090",) == break_even("RTX 3090", options, cells=4).put_right


#: What known L4 sustain, in TFLOP/s, and what a copy there is taken to reach, in GB/s.
L4_GEMM, L4_COPY = 57.15, 270.0


def with_paces(record: Record, *, gemm: float, copy: float) -> Record:
    """The record with what its card sustained."""
    rates = (("gemm", gemm, "TFLOP/s"), ("copy", copy, "GB/s"))
    paces = tuple(
        made_up.pace(what, rate, unit, low=0.99 * rate, high=1.01 * rate) for what, rate, unit in rates
    )
    return replace(record, paces=paces)


@pytest.mark.parametrize(
    ("gemm", "copy", "slower", "same"),
    [(0.8, 1.0, ("prefill", "training"), ("decode",)), (1.0, 0.8, ("decode",), ("prefill",))],
)
def test_ceilings_put_what_is_not_attention_right(
    recorded: Recorded,
    file_of: Callable[[Record], str],
    gemm: float,
    copy: float,
    slower: tuple[str, ...],
    same: tuple[str, ...],
) -> None:
    """Slow products slow prompts and training, slow memory slows generation; each answer names the record."""
    record = with_paces(recorded(lengths=()), gemm=gemm * L4_GEMM, copy=copy * L4_COPY)
    measured = file_of(record)

    def both(task: str) -> tuple[Step, Step]:
        asked = {"model": "Llama-3.2-1B", "task": task, "seqlen": 2048}
        answers = [model_answer("L4", {**asked, **extra}) for extra in ({}, {"measured": measured})]
        lines = [line for line in answers[1].remarks if line.key.startswith("runs.")]
        assert ["runs.gemm", "runs.copy"] == [line.key for line in lines]
        assert all("run0.json" in line.say() for line in lines)
        assert ["published", "measured"] == [answer.whole.step.gemm_kind for answer in answers]
        before, after = (answer.whole.step for answer in answers)
        return before, after

    for task in slower:
        before, after = both(task)
        factor = after.seconds.value.item() / before.seconds.value.item()
        assert 1.1 < factor < 1.25
        wide = [found.seconds.high.item() / found.seconds.low.item() for found in (before, after)]
        assert wide[0] <= wide[1] * 1.001
    for task in same:
        before, after = both(task)
        assert before.seconds.value.item() == pytest.approx(after.seconds.value.item(), rel=0.1)
        assert before.seconds.value.item() <= after.seconds.value.item() * 1.0001


def test_ceilings_are_of_one_card_and_can_be_left_out(
    recorded: Recorded, file_of: Callable[[Record], str]
) -> None:
    """Every other card keeps its figures, attention alone too, and `no_measurements` restores the card's own."""
    measured = file_of(with_paces(recorded(lengths=()), gemm=0.5 * L4_GEMM, copy=0.5 * L4_COPY))
    plain, moved, restored = (
        model_answer("L4", {**MODEL, **extra})
        for extra in ({}, {"measured": measured}, {"no_measurements": True})
    )

    def others(answer: ModelAnswer) -> dict[str, object]:
        ranked = (item for item in answer.ranking if item.gpu != answer.gpu)
        return {item.gpu.name: item.whole and item.whole.to_json() for item in ranked}

    assert others(plain) == others(moved)
    assert plain.whole.latency_ms == restored.whole.latency_ms
    assert plain.whole.latency_ms.value < moved.whole.latency_ms.value
    assert ("L4",) == break_even("L4", {**MODEL, "measured": measured}, cells=4).put_right
    alone = [estimate_of("L4", {**PROMPT, **extra}, "flash-attn") for extra in ({}, {"measured": measured})]
    assert alone[0][1] == alone[1][1]
    assert ["runs.other"] == [line.key for line in alone[1][2]]


def test_the_newest_ceilings_stand_and_the_interpreters_never(recorded: Recorded) -> None:
    """A card that was measured twice is as it was last; a rate that is none is passed over."""
    old = with_paces(recorded(lengths=()), gemm=40.0, copy=200.0)
    new = replace(with_paces(old, gemm=50.0, copy=0.0), measured_at="2026-11-23T00:00:00+00:00")
    runs = put_right_by([("new", new), ("old", old)])
    held = runs.estimator.ceilings["L4"]
    assert held.gemm_tflops is not None
    assert (50.0, None) == (held.gemm_tflops.value.item(), held.copy_gb_per_s)
    (line,) = runs.said_of_every_card("decode")
    assert ("runs.gemm", "new") == (line.key, line.values["origin"])
    assert {} == put_right_by([("it", replace(old, basis="interpreter"))]).estimator.ceilings


def test_a_bf16_product_says_nothing_of_a_card_without_such_cores(recorded: Recorded) -> None:
    """A T4 multiplies bf16 beside its tensor cores: what it copies counts alone."""
    record = with_paces(recorded("L4", lengths=(), named="T4"), gemm=3.0, copy=250.0)
    assert ["runs.copy"] == [
        line.key for line in put_right_by([("t4", record)]).said_of_every_card("prefill")
    ]


def test_runs_of_our_own_kernels_calibrate_them(recorded: Recorded) -> None:
    """Six runs at a fifth of the borrowed estimate: they are the fastest known, and no longer borrowed."""
    runs = put_right_by([("own", recorded(factor=0.2, implementation="l4guide"))])
    workload = advise("L4", PROMPT).question.workload
    assert "l4guide" == runs.estimator.best_implementation(workload, gpu("L4"))
    assert not runs.estimator.attention_time(workload, gpu("L4"), "l4guide").borrowed
    assert "flash-attn" == put_right({}).estimator.best_implementation(workload, gpu("L4"))


def test_too_few_runs_say_how_many_more(recorded: Recorded) -> None:
    """One run moves the estimate and leaves the interval; three more are asked for."""
    runs = put_right_by([("one", recorded(lengths=(1024,)))])
    (line,) = runs.said(gpu("L4"), "prefill")
    assert ("runs.few", 1, 3) == (line.key, line.values["runs"], line.values["more"])
    workload = advise("L4", PROMPT).question.workload
    plain = put_right({}).estimator.attention_time(workload, gpu("L4"))
    moved = runs.estimator.attention_time(workload, gpu("L4"))
    assert plain.latency_ms < moved.latency_ms
    assert plain.high_ms / plain.low_ms == pytest.approx(moved.high_ms / moved.low_ms, rel=0.05)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"basis": "interpreter"}, "runs.interpreter"),
        ({"named": "Voodoo 2"}, "runs.unknown_card"),
        ({"lengths": ()}, "runs.nothing_timed"),
    ],
)
def test_what_puts_nothing_right_says_so(recorded: Recorded, change: dict[str, object], key: str) -> None:
    """The interpreter's rows never count, whatever they hold; nor do those of a card that nobody knows."""
    runs = put_right_by([("it", recorded(**change))])
    assert ({}, {}) == (runs.estimator.corrections, runs.estimator.measured_ms)
    assert [key] == [line.key for line in runs.said(gpu("L4"), "prefill")]


@pytest.mark.parametrize(("card", "task"), [("H100 SXM", "prefill"), ("L4", "decode")])
def test_a_record_of_something_else_says_that_it_does_nothing(
    recorded: Recorded, file_of: Callable[[Record], str], card: str, task: str
) -> None:
    """Prompts on an L4 say nothing of an H100, nor of steps; who named the file is told."""
    record = recorded()
    prompts = replace(record, rows=tuple(row for row in record.rows if row.task == "prefill"))
    asked = {"task": task, "seqlen": 512, "measured": file_of(prompts)}
    _, found, said = estimate_of(card, asked, "flash-attn")
    assert (0, ["runs.other"]) == (found.runs, [line.key for line in said])
    assert "run0.json" in said[0].say()


def test_a_shape_that_was_run_is_measured(recorded: Recorded, file_of: Callable[[Record], str]) -> None:
    """Its time is the run's, and of that kind; the next shape's is an estimate."""
    measured = file_of(recorded(factor=1.3))
    _, plain, _ = estimate_of("L4", {**PROMPT, "seqlen": 2048}, "flash-attn")
    _, run, _ = estimate_of("L4", {**PROMPT, "seqlen": 2048, "measured": measured}, "flash-attn")
    _, near, _ = estimate_of("L4", {**PROMPT, "measured": measured}, "flash-attn")
    assert 1.3 * plain.latency_ms == pytest.approx(run.latency_ms)
    assert ("measured", "estimated") == (run.kind, near.kind)


def test_records_of_the_guide_are_found_and_can_be_left_out(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record under `data/measurements` counts by itself; tiles beside it do not, and `no_measurements` takes none."""
    folder = tmp_path / "measurements"
    folder.mkdir()
    write(recorded(factor=2.0), folder / "l4.json")
    (folder / "tiles-l4.json").write_text("[]", encoding="utf-8")
    monkeypatch.setattr(records, "folder", lambda: folder)
    _, found, said = estimate_of("L4", PROMPT, "flash-attn")
    assert "l4.json" in said[0].say()
    _, plain, nothing = estimate_of("L4", {**PROMPT, "no_measurements": True}, "flash-attn")
    assert (6, 0, ()) == (found.runs, plain.runs, nothing)
    with pytest.raises(BadInput, match="no-measurements"):
        put_right({"measured": ["x.json"], "no_measurements": True})


def test_a_file_that_was_written_anew_is_read_anew(recorded: Recorded, tmp_path: Path) -> None:
    """A longer session never answers from a record that is gone."""
    path = tmp_path / "run.json"
    times = []
    for factor in (1.2, 2.0):
        write(recorded(factor=factor), path)
        times.append(estimate_of("L4", {**PROMPT, "measured": str(path)}, "flash-attn")[1].latency_ms)
    assert times[0] < times[1]


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    """What is missing, and what is something else, each in a line."""
    with pytest.raises(CannotDo, match="cannot be read"):
        put_right({"measured": str(tmp_path / "none.json")})
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadData, match="schema"):
        put_right({"measured": str(tmp_path / "other.json")})
