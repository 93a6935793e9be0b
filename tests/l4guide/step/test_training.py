"""The time of a training step by its recipe: what each choice adds, and what it spares."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide.catalogue import gpu
from l4guide.errors import BadInput, CannotDo
from l4guide.model import preset
from l4guide.step import Plan, Recipe, Step, plan_of, step
from l4guide.step.recipe import LOSSES, METHODS, OPTIMIZERS, RECOMPUTES, recipe_of, targets_of
from l4guide.workload import Workload

WORKLOAD = Workload(task="training", head_dim=128, head_dim_v=128)


def trained(
    card: str = "RTX 4090",
    model: str = "Llama-3.1-8B",
    *,
    gpus: int = 1,
    weights: str = "bf16",
    batch: float = 2,
    context: float = 2048,
    **recipe: object,
) -> Step:
    """One step."""
    plan = Plan(task="training", gpus=gpus, weights=weights, recipe=Recipe(**recipe))  # type: ignore[arg-type]
    return step(gpu(card), preset(model), plan, WORKLOAD, batch, context)


def seconds(found: Step, part: str | None = None) -> float:
    """The middle of the step, or of a part of it."""
    return float((found.seconds if part is None else found.parts[part]).value.item())


def test_recomputation_costs_what_it_runs_again() -> None:
    """Nothing, cheap operations, or the whole forward; offloading adds what its transfers cannot hide."""
    times = {kind: seconds(trained(recompute=kind)) for kind in RECOMPUTES}
    assert times["none"] < times["selective"] < times["full"] <= times["offload"]
    assert times["selective"] < 1.1 * times["none"]
    assert times["full"] < 1.45 * times["none"]
    assert seconds(trained(recompute="offload"), "host") > 0


def test_optimizers_cost_what_they_move() -> None:
    """Fewer and narrower states take less; Muon multiplies matrices; none takes nothing."""
    times = {name: seconds(trained("H100 SXM", optimizer=name), "optimizer") for name in OPTIMIZERS}
    assert 0 == times["none"] < times["sgd"] < times["lion"] < times["adamw"] < times["muon"]
    assert times["adamw-8bit"] < times["adamw"]
    plain = seconds(trained("H100 SXM", master_weights=False), "optimizer")
    assert plain < times["adamw"]


def test_paged_states_travel_where_they_have_no_room() -> None:
    """Beside 8 billion weights they do not fit 24 GB; on 80 GB nothing travels."""
    recipe: dict[str, Any] = {"optimizer": "paged-adamw-8bit", "master_weights": False}
    assert seconds(trained(**recipe), "host") > 0
    assert 0 == seconds(trained("H100 SXM", **recipe), "host")


def test_qlora_pays_for_widening() -> None:
    """Frozen weights of four bits are widened for each product, so QLoRA takes longer than LoRA; DoRA longer too."""
    lora = seconds(trained(method="lora"))
    assert lora < seconds(trained(method="qlora", weights="nf4")) < 1.6 * lora
    assert lora < seconds(trained(method="dora")) < 1.6 * lora
    assert "widening" not in trained(method="lora").parts


def test_zero_moves_what_its_stage_says() -> None:
    """Gathering weights costs more than summing gradients; adapters send little unless the weights are divided."""
    full = [seconds(trained("L4", gpus=4, zero=stage), "links") for stage in (0, 2, 3)]
    assert full[0] == full[1] < full[2]
    lora = [seconds(trained("L4", gpus=4, zero=stage, method="lora"), "links") for stage in (2, 3)]
    assert lora[0] < lora[1] / 10


def test_accumulation_spares_updates() -> None:
    """Four batches take less than four steps, with as many tokens."""
    one, four = (trained(accumulation=number) for number in (1, 4))
    assert 4 * one.tokens == four.tokens
    assert seconds(four) < 4 * seconds(one)


def test_published_speeds_lie_near() -> None:
    """By torchtune on an RTX 4090, Llama-3.1-8B, 2 x 2048: 3083 tokens/s by LoRA, 2413 by QLoRA, 1650 in full."""
    chunked: dict[str, Any] = {"loss": "chunked"}
    full: dict[str, Any] = {"optimizer": "paged-adamw-8bit", "master_weights": False, "fused_step": True}
    for published, found in (
        (3083, trained(method="lora", **chunked)),
        (2413, trained(method="qlora", weights="nf4", **chunked)),
        (1650, trained(**full, **chunked)),
    ):
        assert found.tokens_per_s.value.item() == pytest.approx(published, rel=0.2)


def test_a_card_whose_host_link_is_unknown_is_declined_by_name() -> None:
    """Transfers to host memory cannot be timed there."""
    island = replace(gpu("L4"), name="an island", pcie_gen=None)
    plan = Plan(task="training", recipe=Recipe(recompute="offload"))
    with pytest.raises(CannotDo, match="an island"):
        step(island, preset("Llama-3.2-1B"), plan, WORKLOAD, 1, 128)


@settings(max_examples=40, deadline=None)
@given(
    recipe=st.builds(
        Recipe,
        method=st.sampled_from(METHODS),
        optimizer=st.sampled_from(OPTIMIZERS),
        master_weights=st.booleans(),
        loss=st.sampled_from(LOSSES),
        recompute=st.sampled_from(RECOMPUTES),
        zero=st.integers(0, 3),
    ),
    gpus=st.sampled_from([1, 2, 8]),
    batch=st.integers(1, 16),
    context=st.integers(16, 4096),
)
def test_any_recipe_has_an_ordered_time(recipe: Recipe, gpus: int, batch: int, context: int) -> None:
    """Its interval is in order, and twice the batch never takes less."""
    weights = "nf4" if recipe.method == "qlora" else "bf16"
    plan = Plan(task="training", weights=weights, gpus=gpus, recipe=recipe)
    once, twice = (
        step(gpu("A100-80GB-SXM"), preset("Llama-3.2-1B"), plan, WORKLOAD, number, context)
        for number in (batch, 2 * batch)
    )
    low, value, high = once.seconds.ends()
    assert 0 < low <= value <= high
    assert value <= twice.seconds.value.item() * 1.001


def test_a_recipe_is_validated() -> None:
    """Unknown words are bad input that names the choices; yes and no stand for full and none."""
    for wrong in (
        {"optimizer": "adam9"},
        {"loss": "half"},
        {"recompute": "some"},
        {"zero": "4"},
        {"lora_targets": "x_proj"},
        {"accumulation": 0},
        {"fused_step": True, "accumulation": 2},
        {"lora_rank": "many"},
    ):
        with pytest.raises(BadInput):
            recipe_of(wrong)
    assert ["full", "none", "full", "none"] == [
        recipe_of({"recompute": word}).recompute for word in (True, False, "yes", "none")
    ]
    assert ("q_proj", "k_proj", "v_proj", "down_proj") == targets_of("qkv_proj, model.layers.0.mlp.down_proj")
    assert not recipe_of({"optimizer": "adamw-8bit"}).master_weights
    assert recipe_of({"optimizer": "adamw-8bit", "method": "lora"}).master_weights


def test_qlora_keeps_four_bits_or_says_why_not() -> None:
    """A checkpoint of four bits is trained over as it is; other weights are quantised; fp8 asked for is refused."""
    fixed = {"task": "training", "dtype": "bf16"}
    kept = [
        plan_of({"method": "qlora"}, stored=stored, **fixed).weights
        for stored in (None, "bf16", "fp8", "int4", "mxfp4-experts")
    ]
    assert ["nf4", "nf4", "nf4", "int4", "mxfp4-experts"] == kept
    with pytest.raises(BadInput, match="fp8"):
        plan_of({"method": "qlora", "weights": "fp8"}, stored=None, **fixed)
