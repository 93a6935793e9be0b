"""What the answer about a model says of its size: right for public models, and one with memory and time."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from public_configs import (
    DEEPSEEK_V4_FLASH,
    DEEPSEEK_V4_FLASH_BYTES,
    DEEPSEEK_V4_FLASH_CACHE,
    DEEPSEEK_V4_FLASH_TOKENS,
    PUBLIC,
    Public,
)

from l4guide.advise import model_answer, model_lines
from l4guide.cli import main
from l4guide.errors import BadInput
from l4guide.memory import cache_bytes, weight_bytes
from l4guide.model import FULL, LATENT, LINEAR, WINDOW, Architecture, from_config, preset
from l4guide.step import Plan
from l4guide.tracing import describe_model
from l4guide.tracing.record import recorded

KEYS = {
    "parameters",
    "active_parameters",
    "weight_bytes",
    "cache_bytes",
    "state_bytes",
    "model_basis",
    "unread_fields",
    "calls",
}

#: Whose type keeps states alone by default, so that its cache was compared with none.
BY_PARAMETERS = {"ibm-granite/granite-4.0-h-small"}


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.source)
def test_public_models_come_out_right(
    public: Public, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where transformers is not installed: weights within 1 %, the cache of one sequence within 3 %."""
    come_out_right(public, "read", tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.source)
def test_public_models_come_out_right_when_traced(
    public: Public, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it is installed the same, and nothing is in doubt."""
    come_out_right(public, "traced", tmp_path, capsys)


def come_out_right(public: Public, basis: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The weights and the cache of one sequence, though sixteen were asked about."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(public.config), encoding="utf-8")
    asked = ["--task", public.task, "--seqlen", str(public.context), "--batch", "16", "--gpu", "H200"]
    assert 0 == main(["cost", "--config", str(path), *asked, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert set() == KEYS - said.keys()
    compared = basis == "traced" or public.source not in BY_PARAMETERS
    assert (basis, compared) == (said["model_basis"], said["model_compared"])
    assert public.parameters == pytest.approx(said["parameters"], rel=0.01)
    assert (public.weight_bytes or 2 * said["parameters"]) == pytest.approx(said["weight_bytes"], rel=0.01)
    assert public.cache_bytes == pytest.approx(said["cache_bytes"], rel=0.03)


def test_experts_are_kept_in_their_own_type() -> None:
    """DeepSeek V4 Flash: 159.6 GB, less the further layer in memory; two cards hold a million tokens.

    That is what vLLM serves of it on 2 x H20 (vllm-project/vllm #51041).
    """
    options = {"task": "decode", "gpus": 2, "seqlen": DEEPSEEK_V4_FLASH_TOKENS}
    whole = model_answer("H20", {"config": DEEPSEEK_V4_FLASH, **options}).whole
    said = whole.to_json()
    assert DEEPSEEK_V4_FLASH_BYTES == pytest.approx(said["weight_bytes"], rel=0.01)
    assert DEEPSEEK_V4_FLASH_CACHE == pytest.approx(said["cache_bytes"], rel=0.01)
    loaded = 2 * whole.memory.sizes.parts["weights"].value.item()
    assert 43 / 44 == pytest.approx(loaded / DEEPSEEK_V4_FLASH_BYTES, rel=0.01)
    assert "yes" == whole.memory.fits


def test_reading_experts_takes_as_long_as_their_bytes() -> None:
    """With every expert in 8 bits a token of the same model takes longer."""
    plain = {name: value for name, value in DEEPSEEK_V4_FLASH.items() if name != "expert_dtype"}
    options = {"task": "decode", "gpus": 4, "batch": 64}
    kept, wide = (
        model_answer("H20", {"config": config, **options}).whole.step.parts["products"].value.item()
        for config in (DEEPSEEK_V4_FLASH, plain)
    )
    assert kept < 0.7 * wide


def test_a_preset_has_the_same_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Llama-3.1-8B: 16 bits a weight, 128 KiB a token; it was not read from a configuration, so nothing compares it."""
    assert 0 == main(["cost", "--model", "Llama-3.1-8B", "--task", "decode", "--seqlen", "8192", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert set() == KEYS - said.keys()
    assert (2 * said["parameters"], 2**30, 0) == (
        said["weight_bytes"],
        said["cache_bytes"],
        said["state_bytes"],
    )
    assert ("read", [], False) == (said["model_basis"], said["unread_fields"], "model_compared" in said)


def test_weights_in_32_bits_say_as_what_they_are_loaded() -> None:
    """bge-m3's checkpoint has four bytes a weight: 2.27 GB; an answer in 16 bits says so, one in 32 counts them."""
    config = next(public.config for public in PUBLIC if public.source == "BAAI/bge-m3")
    half, whole, asked = (
        model_answer("L4", {"config": config, "task": "prefill", **options})
        for options in ({}, {"weights": "fp32"}, {"dtype": "fp32"})
    )
    (line,) = (line for line in model_lines(half.whole) if line.key == "counted.loaded")
    assert ("2.27", "bf16") == (line.values["gb"], line.values["weights"])
    assert line.say() in half.to_json()["remarks"]  # type: ignore[operator]
    for answer in (whole, asked):
        assert "counted.loaded" not in [line.key for line in model_lines(answer.whole)]
        assert 2 * half.whole.to_json()["weight_bytes"] == answer.whole.to_json()["weight_bytes"]  # type: ignore[operator]


def test_gpt_oss_keeps_its_attention_in_16_bits() -> None:
    """The preset's experts take 4.25 bits a weight, all else 16: 13.8 GB, as its files do, and not 11."""
    found = describe_model(preset("gpt-oss-20b"), context=1)
    assert 13.76e9 == pytest.approx(found.weight_bytes, rel=0.01)


def test_types_that_are_asked_for_count() -> None:
    """An fp8 cache is half as large; 4-bit weights are a little over a quarter of 16-bit ones."""
    usual, asked = (
        model_answer("L4", {"model": "Llama-3.1-8B", "task": "decode", **options}).whole.to_json()
        for options in ({}, {"kv_dtype": "fp8", "weights": "int4"})
    )
    assert 2 * asked["cache_bytes"] == usual["cache_bytes"]  # type: ignore[operator]
    assert usual["weight_bytes"] / 4 < asked["weight_bytes"] < usual["weight_bytes"] / 2  # type: ignore[operator]


def test_the_answer_counts_as_memory_does() -> None:
    """Of every type that is read cache and states are those of memory, and weights but for further layers."""
    kinds = set()
    for one in recorded().values():
        model = None if one.config is None else _read(one.model_type, one.config)
        if model is None:
            continue
        plan = Plan(weights=model.weight_dtype or "bf16")
        told = describe_model(model, context=1000)
        kept = cache_bytes(model, plan, np.array([1.0]), np.array([1000.0])).item() if model.causal else 0
        assert kept == (told.cache_bytes or 0) + (told.trace.state_bytes or 0), one.model_type
        once = replace(model, stored=replace(model.kept_in(plan.weights), further=0))
        assert weight_bytes(model, plan) == describe_model(once, context=1).weight_bytes, one.model_type
        assert model.parameters == sum(model.modules.values()), one.model_type
        kinds |= {group.mixer.kind for group in model.layers}
    assert {FULL, WINDOW, LATENT, LINEAR} <= kinds


def _read(model_type: str, config: Mapping[str, object]) -> Architecture | None:
    try:
        return from_config({**config, "model_type": model_type}, model_type)
    except BadInput:
        return None
