"""What each choice of a training recipe does to memory: never more than without it, and what the arithmetic says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide.catalogue import gpu
from l4guide.memory import fit, sizes
from l4guide.memory.sizes import GIB
from l4guide.memory.terms import terms
from l4guide.memory.training import bytes_per_weight, host_bytes
from l4guide.model import preset
from l4guide.step import Plan, Recipe
from l4guide.step.matrices import trained_weights
from l4guide.step.recipe import LOSSES, OPTIMIZERS, RECOMPUTES, targets_of

MODELS = (
    "Llama-3.2-1B",
    "Llama-3.1-8B",
    "Qwen3-30B-A3B",
    "DeepSeek-V3",
    "Gemma-3-4B",
    "GPT-2 (124M)",
    "BERT-base",
)
#: Choices from what needs most to what needs least; 8-bit optimizers keep a copy only if told to.
CHAINS: dict[str, tuple[object, ...]] = {
    "optimizer": ("adamw", "adamw-8bit", "paged-adamw-8bit", "none"),
    "master_weights": (True, False),
    "fused_step": (False, True),
    "loss": ("full", "chunked"),
    "recompute": ("none", "selective", "full", "offload"),
    "zero": (0, 1, 2, 3),
    "rank": (64, 16, 1),
}


@st.composite
def trainings(draw: st.DrawFn) -> tuple[str, Plan, int, int]:
    """A model, how it is trained, its batch and its context."""
    method = draw(st.sampled_from(["full", "lora", "qlora", "dora"]))
    accumulation = draw(st.sampled_from([1, 1, 4]))
    recipe = Recipe(
        method=method,
        rank=draw(st.sampled_from([1, 16, 64])),
        targets=targets_of(draw(st.sampled_from(["all", "attention", "mlp"]))),
        optimizer=draw(st.sampled_from(OPTIMIZERS)),
        master_weights=draw(st.booleans()),
        fused_step=draw(st.booleans()) and accumulation == 1,
        loss=draw(st.sampled_from(LOSSES)),
        recompute=draw(st.sampled_from(RECOMPUTES)),
        zero=draw(st.integers(0, 3)),
        accumulation=accumulation,
    )
    weights = "nf4" if method == "qlora" else draw(st.sampled_from(["bf16", "fp32"]))
    plan = Plan(
        task="training",
        weights=weights,
        gpus=draw(st.sampled_from([1, 2, 8])),
        flash=draw(st.booleans()),
        recipe=recipe,
    )
    return draw(st.sampled_from(MODELS)), plan, draw(st.integers(1, 32)), draw(st.integers(1, 32768))


def need(name: str, plan: Plan, batch: int, context: int) -> np.ndarray[Any, Any]:
    """Low, middle and high of the bytes on each card."""
    asked = (np.array([float(batch)]), np.array([float(context)]))
    return np.array(sizes(preset(name), plan, *asked).bytes.ends())


@settings(max_examples=150, deadline=None)
@given(case=trainings(), choice=st.sampled_from(sorted(CHAINS)), data=st.data())
def test_no_saving_choice_needs_more(
    case: tuple[str, Plan, int, int], choice: str, data: st.DataObject
) -> None:
    """Each step of a chain needs at most what the one before needs, at every end; so does a smaller rank."""
    name, plan, batch, context = case
    chain = CHAINS[choice]
    place = data.draw(st.integers(0, len(chain) - 2))
    if choice == "fused_step" and plan.recipe.accumulation > 1:
        return
    before, after = (
        need(name, replace(plan, recipe=replace(plan.recipe, **{choice: value})), batch, context)  # type: ignore[arg-type]
        for value in chain[place : place + 2]
    )
    assert (after <= before * (1 + 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(case=trainings())
def test_parts_are_whole_and_in_order(case: tuple[str, Plan, int, int]) -> None:
    """Parts are never negative, their ends in order; the terms are the parts, and what saves one saves as much."""
    name, plan, batch, context = case
    found = fit(preset(name), plan, gpu("H100 SXM"), batch, context)
    for part in found.sizes.parts.values():
        low, value, high = part.ends()
        assert 0 <= low <= value <= high
    told = terms(found)
    total = found.sizes.bytes.value.item()
    assert sum(term.bytes.value.item() for term in told) == pytest.approx(total)
    for term in told:
        assert term.saved_by is None or 0 < term.saved_by.bytes < total


def test_the_usual_recipe_keeps_sixteen_bytes_a_weight() -> None:
    """Weight 2, gradient 2, fp32 copy 4, two moments 8; pure 16 bits halve that, 8-bit states and a fused step more."""
    model = preset("Llama-3.1-8B")

    def each(weights: str = "bf16", **recipe: object) -> float:
        return bytes_per_weight(model, Plan(task="training", weights=weights, recipe=Recipe(**recipe)))  # type: ignore[arg-type]

    assert 16 == each()
    assert 8 == each(master_weights=False)
    assert 16 == each(weights="fp32")
    assert each(optimizer="adamw-8bit", master_weights=False) == pytest.approx(6.03, abs=0.01)
    assert each(optimizer="adamw-8bit", master_weights=False, fused_step=True) < 4.3
    assert each(optimizer="sgd", master_weights=False) == 4
    assert each(optimizer="lion") == 12


def test_the_logits_of_4096_tokens_take_4_9_gib() -> None:
    """128,256 logits a token in 16 and 32 bits with their gradient; a chunked loss saves most of that."""
    plan = Plan(task="training", recipe=Recipe(method="lora"))
    found = fit(preset("Llama-3.1-8B"), plan, gpu("RTX 4090"), 2, 2048)
    logits = next(term for term in terms(found) if term.name == "logits")
    assert logits.bytes.value.item() / GIB == pytest.approx(4.9, abs=0.02)
    assert "4096 tokens" in logits.of.say()
    assert logits.saved_by is not None
    assert ("--loss chunked", True) == (logits.saved_by.flag, logits.saved_by.bytes > 3.5 * GIB)


def test_adapters_are_counted_by_their_targets() -> None:
    """Rank 8 beside queries and values of Llama-3.1-8B trains 3.4 million weights, beside all matrices 21 million."""
    model = preset("Llama-3.1-8B")
    recipe = Recipe(method="lora", rank=8, targets=targets_of("q_proj,v_proj"))
    assert 32 * 8 * (8192 + 5120) == trained_weights(model, recipe)
    assert 20_971_520 == trained_weights(model, replace(recipe, targets=targets_of("all")))
    assert trained_weights(model, replace(recipe, targets=targets_of("all-linear"))) == trained_weights(
        model, replace(recipe, targets=targets_of(["attention", "mlp"]))
    )


def test_zero_divides_what_its_stage_says() -> None:
    """Stage 1 divides the states, 2 the gradients too, 3 the weights too; stage 0 nothing."""
    model = preset("Llama-3.1-8B")

    def parts(stage: int) -> dict[str, float]:
        plan = Plan(task="training", gpus=4, recipe=Recipe(zero=stage))
        found = sizes(model, plan, np.array([1.0]), np.array([512.0]))
        return {name: part.value.item() for name, part in found.parts.items()}

    whole = parts(0)
    for stage, divided in ((1, ["optimizer"]), (2, ["optimizer", "gradients"])):
        found = parts(stage)
        for name in ("weights", "gradients", "optimizer"):
            assert found[name] == whole[name] / (4 if name in divided else 1)
    assert parts(3)["weights"] == whole["weights"] / 4
    assert "gathered_layer" in parts(3)


def test_what_waits_in_host_memory_is_said() -> None:
    """Paged 8-bit states of 8 billion weights take 15 GiB there, offloaded inputs of layers the rest."""
    model = preset("Llama-3.1-8B")
    paged = Plan(task="training", recipe=Recipe(optimizer="paged-adamw-8bit", master_weights=False))
    assert host_bytes(model, paged, 1, 2048) / GIB == pytest.approx(15.2, abs=0.1)
    away = Plan(task="training", recipe=Recipe(recompute="offload"))
    assert 2 * 2048 * 32 * 4096 == host_bytes(model, away, 1, 2048)
    assert 0 == host_bytes(model, Plan(task="training"), 1, 2048)
