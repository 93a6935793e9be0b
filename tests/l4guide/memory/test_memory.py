"""Memory by part: never negative, never falling with work, and what fits is what fits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide.catalogue import gpu, gpus
from l4guide.memory import (
    cache_bytes,
    fit,
    gpus_needed,
    sizes,
    usable,
    weight_bytes,
    working_bytes,
)
from l4guide.memory.activations import kept_bytes
from l4guide.model import Architecture, preset
from l4guide.step import Plan
from l4guide.step.recipe import FIELDS, RECOMPUTES, Recipe

GIB = 2**30
MODELS = ("Llama-3.1-8B", "Qwen3-30B-A3B", "DeepSeek-V3", "Gemma-3-4B", "HunyuanOCR", "GPT-2 (124M)")


def planned(**fields: object) -> Plan:
    """A plan with some fields set, those of its recipe among them."""
    recipe = {name: fields.pop(name) for name in FIELDS.values() if name in fields}
    return replace(Plan(**fields), recipe=Recipe(**recipe))  # type: ignore[arg-type]


def need(name: str, batch: float, context: float, **plan: object) -> float:
    """GiB on each card."""
    found = sizes(preset(name), planned(**plan), np.array([batch]), np.array([context]))
    return float(found.bytes.value.item()) / GIB


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(MODELS),
    task=st.sampled_from(["prefill", "decode", "training"]),
    method=st.sampled_from(["full", "lora", "qlora", "dora"]),
    recompute=st.sampled_from(RECOMPUTES),
    flash=st.booleans(),
    cards=st.sampled_from([1, 2, 8, 64]),
    batch=st.integers(1, 512),
    context=st.integers(1, 262144),
)
def test_no_part_is_negative_and_more_never_takes_less(
    name: str,
    task: str,
    method: str,
    recompute: str,
    flash: bool,
    cards: int,
    batch: int,
    context: int,
) -> None:
    """Every part is at least zero with its interval in order; another sequence or token never frees memory."""
    plan = planned(
        task=task,
        method=method,
        weights="nf4" if method == "qlora" and task == "training" else "bf16",
        recompute=recompute,
        flash=flash,
        gpus=cards,
    )
    model = preset(name)
    found = sizes(
        model, plan, np.array([batch, batch + 1.0, batch]), np.array([context, context, context + 1.0])
    )
    for part in found.parts.values():
        assert (part.low >= 0).all()
        assert (part.low <= part.value).all()
        assert (part.value <= part.high).all()
    for end in (found.bytes.low, found.bytes.value, found.bytes.high):
        now, wider, longer = end
        assert now <= wider
        assert now <= longer


def test_a_known_total() -> None:
    """Llama-3.1-8B in 16 bits weighs 14.96 GiB; 8192 tokens of cache take one GiB."""
    model, plan = preset("Llama-3.1-8B"), Plan()
    assert 14.96 == pytest.approx(weight_bytes(model, plan) / GIB, rel=1e-3)
    assert 1.0 == cache_bytes(model, plan, np.array([1.0]), np.array([8192.0])).item() / GIB


def test_types_halve_the_weights_and_the_cache() -> None:
    """fp8 halves the layers and int4 quarters them, a little more for its scales; an fp8 cache is half as large."""
    model = preset("Llama-3.1-8B")
    wide, half, quarter = (weight_bytes(model, Plan(weights=w)) for w in ("bf16", "fp8", "int4"))
    assert wide / 2 < half < wide
    assert wide / 4 < quarter < half
    one, other = (
        cache_bytes(model, Plan(kv_dtype=t), np.array([1.0]), np.array([1e4])) for t in ("bf16", "fp8")
    )
    assert one == 2 * other


def test_windows_and_latents_keep_less() -> None:
    """Windowed layers stop growing at their window; a latent cache holds 576 values a layer and token."""
    gemma, plan = preset("Gemma-3-27B"), Plan()
    short, long = (
        cache_bytes(gemma, plan, np.array([1.0]), np.array([n])).item() for n in (1024.0, 131072.0)
    )
    assert long < 128 * short / 4
    deepseek = cache_bytes(preset("DeepSeek-V3"), plan, np.array([1.0]), np.array([1.0])).item()
    assert 61 * 576 * 2 == deepseek


def test_adapters_and_recompute_are_what_fits_24_gb() -> None:
    """QLoRA needs less than LoRA, LoRA far less than full training; recompute keeps less than every tensor."""
    qlora = need("Llama-3.1-8B", 1, 2048, task="training", method="qlora", weights="nf4")
    lora = need("Llama-3.1-8B", 1, 2048, task="training", method="lora")
    full = need("Llama-3.1-8B", 1, 2048, task="training")
    assert qlora < lora < 22.3 < 100 < full
    model = preset("Llama-3.1-8B")
    kept, again = (
        kept_bytes(
            model, planned(task="training", recompute=r), np.array([1.0]), np.array([2048.0])
        ).value.item()
        for r in ("none", "full")
    )
    assert again < kept / 2


def scores_of(model: Architecture, tokens: float) -> float:
    """Bytes of scores that eager attention keeps of a sequence."""
    asked = (np.array([1.0]), np.array([tokens]))
    kinds = (planned(task="training", recompute="none", flash=flash) for flash in (False, True))
    eager, fused = (kept_bytes(model, plan, *asked).value.item() for plan in kinds)
    return float(eager - fused)


def test_eager_attention_writes_its_scores() -> None:
    """Without FlashAttention the scores grow with the square of the length."""
    model = preset("Llama-3.1-8B")
    one, two = (scores_of(model, n) for n in (2048.0, 4096.0))
    assert 4 * one == two
    working = working_bytes(model, Plan(task="prefill", flash=False), np.array([1.0]), np.array([8192.0]))
    assert working.item() > 8 * GIB


def test_usable_is_less_than_sold() -> None:
    """An L4 has 22,888 MiB as published; every other card has a little less than its name says."""
    assert (22_888 * 2**20, "published") == (usable(gpu("L4")).bytes, usable(gpu("L4")).kind)
    assert all(0.8 < usable(card).bytes / (card.memory_gb * GIB) < 1.0 for card in gpus())


def test_the_largest_that_fits_is_the_largest() -> None:
    """The largest batch and context fit, one more does not."""
    model, plan, card = preset("Llama-3.1-8B"), Plan(), gpu("L4")
    found = fit(model, plan, card, 2, 4096)
    room = usable(card).bytes / GIB
    batch, context = found.largest_batch, found.largest_context
    assert "yes" == found.fits
    assert need(model.name, batch.value, 4096) <= room < need(model.name, batch.value + 1, 4096)
    assert need(model.name, 2, context.value) <= room < need(model.name, 2, context.value + 1)
    assert 0 < batch.low < batch.value < batch.high
    assert 0 < context.low < context.value < context.high
    # Its low end surely fits, its high end may.
    assert "yes" == fit(model, plan, card, batch.low, 4096).fits
    assert "tight" == fit(model, plan, card, batch.high, 4096).fits
    assert "no" == fit(model, plan, card, batch.high + 1, 4096).fits


def test_what_does_not_fit_says_how_many_cards_do() -> None:
    """70 billion weights need 8 L4s; a batch of none is the largest on one."""
    model, card = preset("Llama-3.3-70B"), gpu("L4")
    found = fit(model, Plan(), card, 1, 4096)
    assert ("no", 0, 8) == (found.fits, found.largest_batch.high, found.gpus_needed)
    assert (
        need(model.name, 1, 4096, gpus=8) * GIB
        <= usable(card).bytes
        < need(model.name, 1, 4096, gpus=4) * GIB
    )
    assert gpus_needed(model, Plan(), replace(card, pcie_gen=None), 1, 4096) is None
