"""The bars from a made-up run, by hand; and how they are told."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import made_up
import pytest

from l4guide.measure.bars import Bar, agreement, bars, disagreeing
from l4guide.measure.listing import bars_table, record_table
from l4guide.measure.measurement import Measurement, Record
from l4guide.text import LANGUAGES

BLANK = made_up.row(section="training", max_error=1e-3)


def times(section: str, by_name: dict[str, float], **shape: Any) -> Iterator[Measurement]:
    """A row for each implementation on one shape, with a tenth of spread either way."""
    for name, ms in by_name.items():
        row = replace(
            BLANK, section=section, implementation=name, latency_ms=ms, low_ms=0.9 * ms, high_ms=1.1 * ms
        )
        yield replace(row, **shape)


ROWS = (
    *times("training", {"l4guide": 1.0, "torch/flash": 2.0, "torch/cudnn": 0.5}),
    *times("training", {"l4guide": 1.0, "torch/flash": 0.5, "torch/efficient": 4.0}, causal=False),
    *times("training", {"l4guide": 2.0, "torch/flash": 2.2}, attention_pass="backward"),
    # A shape that the other did not run counts for nothing.
    *times("training", {"l4guide": 9.0}, seqlen_kv=512),
    *times("padded", {"l4guide": 1.0, "l4guide/padded": 1.5}, head_dim=80),
    *times(
        "decode",
        {
            "l4guide": 1.0,
            "l4guide/paged": 1.25,
            "l4guide/kv-fp8": 0.5,
            "torch/flash": 3.0,
            "flashinfer": 0.8,
        },
        task="decode",
        copy_share=0.9,
    ),
    *times("quantized", {"l4guide/int8-fp8": 1.0}, task="prefill", cosine=0.9995),
    *times("quantized", {"l4guide/int8-fp8": 1.0}, task="prefill", cosine=0.9980, causal=False),
    replace(BLANK, implementation="torch/math", status="not_reached"),
    replace(BLANK, implementation="xformers", status="failed", reason="illegal address"),
)
RECORD = made_up.record(
    *ROWS,
    complete=False,
    gpu="H100 SXM",
    capability="9.0",
    driver="580",
    libraries={"torch": "2.11.0", "triton": "3.6.0"},
    paces=(made_up.pace("gemm", 800, "TFLOP/s", stretch="first", low=790, high=810),),
)


def by_name(record: Record | None) -> dict[str, Bar]:
    """The bars by their names."""
    return {bar.name: bar for bar in bars(record)}


@pytest.mark.parametrize(
    ("name", "found", "passed"),
    [
        ("forward_128_flash", (2.0 * 0.5) ** 0.5, False),
        ("forward_128_fastest", (0.5 * 0.5) ** 0.5, False),
        ("backward_128_flash", 1.1, True),
        ("padded_80_forward", 1.5, True),
        ("decode_copy", 0.9, True),
        ("decode_peers", 0.8, False),
        ("decode_paged", 0.8, False),
        ("decode_fp8", 2.0, True),
        ("cosine_fp8", 0.998, False),
    ],
)
def test_each_bar_is_what_it_says(name: str, found: float, passed: bool) -> None:
    """Geometric means over the shapes that both ran, shares and worst cases, by hand."""
    bar = by_name(RECORD)[name]
    assert found == pytest.approx(bar.found)
    assert passed is bar.passed


def test_the_spread_is_that_of_the_times() -> None:
    """The ends of a ratio are those of both times; the worst peer is named."""
    bar = by_name(RECORD)["backward_128_flash"]
    assert [1.1 * 0.9 / 1.1, 1.1 * 1.1 / 0.9] == pytest.approx([bar.low, bar.high])
    assert "flashinfer" == by_name(RECORD)["decode_peers"].against
    assert 2 == by_name(RECORD)["forward_128_flash"].rows


def test_what_was_not_measured_is_none() -> None:
    """No record, or none of the rows: nothing is found and nothing is passed."""
    assert {None} == {bar.found for bar in bars(None)} == {bar.passed for bar in bars(None)}
    assert by_name(RECORD)["forward_64_flash"].found is None
    assert "found" not in by_name(None)["decode_fp8"].to_json()


def test_two_runs_agree_within_their_spread() -> None:
    """The same run agrees with itself; one whose backward took twice as long does not, and the ratio is named."""
    assert (1.0, True) == (agreement(RECORD, RECORD).found, agreement(RECORD, RECORD).passed)

    def slower(row: Measurement) -> Measurement:
        if row.attention_pass == "forward" or row.implementation != "l4guide":
            return row
        return replace(row, latency_ms=4.0, low_ms=3.6, high_ms=4.4)

    other = replace(RECORD, rows=tuple(slower(row) for row in RECORD.rows))
    assert ("backward_128_flash",) == disagreeing(other, RECORD)
    assert agreement(other, RECORD).passed is False
    assert agreement(replace(RECORD, rows=()), RECORD).found is None


def test_cards_stand_side_by_side() -> None:
    """The newest full run of each card; "not measured" where there is none; agreement from the two newest."""
    quick = replace(RECORD, suite="quick", rows=(), measured_at="2026-11-24T10:00:00+00:00")
    table = bars_table([RECORD, replace(RECORD, measured_at="2026-11-23T10:00:00+00:00"), quick])
    lines = {line.split(" | ")[0]: line for line in table.splitlines()}
    assert "| decode: fp8 cache against bf16 | 1.60× | 2.00× ✓ | not measured |" in table
    assert lines["| two runs: ratios that agree within their spread"].endswith("| 100 % ✓ | not measured |")
    assert "H100 SXM: measured on 2026-11-23, full suite, torch 2.11.0, Triton 3.6.0, driver 580." in table
    assert "Not measured: L4." in table


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_is_told_whole(language: str) -> None:
    """Ceilings, rows, bars, and by name whatever has no result; every sentence finds its values."""
    table = record_table(RECORD, language, RECORD)
    assert "illegal address" in table
    assert "torch/math" in table
    assert "2.2" in table
