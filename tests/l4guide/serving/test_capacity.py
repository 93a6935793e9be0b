"""What a server grants its cache, against what engines printed."""

from dataclasses import replace

import numpy as np
import pytest

from l4guide.catalogue import gpu
from l4guide.interval import Interval
from l4guide.model import preset
from l4guide.serving.capacity import Granted, Request, granted
from l4guide.serving.engine import GIB, engine_of
from l4guide.serving.measured import Served, architecture, served
from l4guide.step import Plan

LINES = [row for row in served() if row.kind == "capacity"]


def of_line(row: Served) -> Granted:
    """What is granted of a line in a log."""
    asked = Request(
        utilization=row.utilization,
        max_model_len=row.max_model_len,
        batched_tokens=row.batched_tokens,
        sequences=row.seqs,
        eager=row.eager,
    )
    plan = Plan(weights=row.weights, kv_dtype=row.kv_dtype, gpus=row.gpus)
    return granted(
        gpu(row.gpu), architecture(row.model), plan, engine_of(f"{row.engine}:{row.release}"), asked
    )


def on(card: str = "L4", model: str = "Llama-3.1-8B", release: str = "vllm", **said: object) -> Granted:
    """What is granted a preset on one card."""
    asked = Request(**{"max_model_len": 4096, **said})  # type: ignore[arg-type]
    return granted(gpu(card), preset(model), Plan(), engine_of(release), asked)


def test_lines_of_logs() -> None:
    """Over all lines the median error is at most 10 %, and four fifths lie inside their interval."""
    errors, inside = [], []
    for row in LINES:
        found = of_line(row)
        if row.kv_cache_tokens is not None:
            said, printed = found.tokens(), float(row.kv_cache_tokens)
        else:
            assert row.kv_cache_gib is not None
            said, printed = found.cache.times(1 / GIB), row.kv_cache_gib
        low, value, high = said.ends()
        errors.append(abs(value / printed - 1))
        inside.append(low <= printed <= high)
    assert len(LINES) >= 10
    assert np.median(errors) <= 0.10
    assert np.mean(inside) >= 0.8


@pytest.mark.parametrize("card", ["L4", "A10G", "H100 SXM"])
def test_more_is_granted_of_more(card: str) -> None:
    """A larger share leaves a larger cache, larger steps a smaller one, and fp8 keys twice the tokens."""
    usual = on(card).tokens().value.item()
    assert on(card, utilization=0.8).tokens().value.item() < usual
    assert on(card, batched_tokens=65_536).tokens().value.item() < usual
    half = granted(
        gpu(card),
        preset("Llama-3.1-8B"),
        Plan(kv_dtype="fp8"),
        engine_of("vllm"),
        Request(max_model_len=4096),
    )
    assert half.tokens().value.item() == pytest.approx(2 * usual, rel=0.001)


def test_what_does_not_fit_holds_nothing() -> None:
    """Weights larger than the card leave no token and no sequence, and no number below zero."""
    found = on("L4", "Qwen3-32B")
    assert found.cache.value.item() < 0
    assert found.tokens().ends() == (0.0, 0.0, 0.0)
    assert found.sequences(1000.0).value.item() == 0


def test_hybrid_pages() -> None:
    """Of 9.1 GiB an L4 holds 267,842 tokens of Qwen3.5-4B in pages of 528, as vLLM 0.29 printed."""
    row = next(row for row in LINES if row.model == "Qwen3.5-4B")
    found = replace(of_line(row), cache=Interval.exactly(9.1 * GIB))
    assert found.pages.tokens == pytest.approx(528, abs=16)
    assert found.tokens().value.item() == pytest.approx(267_842, rel=0.02)


def test_windows_are_kept_whole_before_hybrid_pages() -> None:
    """A release before 0.10 keeps all tokens of layers with a window, a later one the window alone."""
    old, new = (
        on("H100 SXM", "Gemma-3-12B", release, max_model_len=32_768) for release in ("vllm:0.8", "vllm")
    )
    assert new.sequences(32_768.0).value.item() > 2 * old.sequences(32_768.0).value.item()


def test_a_shared_prefix_is_kept_once() -> None:
    """Sequences that have most of their prompt in common fit in larger numbers."""
    found = on("L40S")
    alone, shared = found.sequences(2100.0), found.sequences(600.0, 1500.0)
    assert shared.value.item() > 2 * alone.value.item()
