"""Which cards serve a load, how many, and for how much."""

import math
import time
from functools import cache
from typing import Any

import pytest

from l4guide.advise import model_answer
from l4guide.advise.plan import plan_answer
from l4guide.advise.whole import question_of
from l4guide.catalogue import gpu, gpus
from l4guide.cost import Order, Terms, rank
from l4guide.errors import BadInput
from l4guide.model import preset
from l4guide.plan import PlanAnswer

USUAL: dict[str, object] = {"model": "Llama-3.1-8B", "prompt_tokens": "2000", "output_tokens": "300"}
MODEL: dict[str, object] = {"model": "Llama-3.1-8B", "task": "decode"}
#: Every number of the answer that has an interval.
NUMBERS = (
    *("concurrency", "output_tokens_per_s", "requests_per_s", "ttft_ms", "tpot_ms", "kv_cache_tokens"),
    *("usd_per_million_output_tokens", "usd_per_month", "joules_per_token"),
)


@cache
def planned(card: str = "L4", **said: object) -> PlanAnswer:
    """The plan of the usual requests."""
    return plan_answer(card, {**USUAL, **said})


def told(card: str = "L4", **said: object) -> dict[str, Any]:
    """Its JSON."""
    return planned(card, **said).to_json()


def test_the_keys_of_the_answer() -> None:
    """Every number with both ends in order; dollars, tokens and months agree with each other."""
    said = told(users="20")
    for name in NUMBERS:
        assert said[name]["low"] <= said[name]["value"] <= said[name]["high"]
    for name in ("fits", "gpus", "limited_by", "frontier", "ranking", "launch", "assumed"):
        assert said[name]
    hourly = said["price"]["usd_per_hour"] * said["gpus"]
    assert said["usd_per_month"]["value"] == pytest.approx(hourly * 730)
    tokens = said["output_tokens_per_s"]["value"] * 3600
    assert said["usd_per_million_output_tokens"]["value"] == pytest.approx(hourly / tokens * 1e6)
    assert said["output_tokens_per_s"]["value"] == pytest.approx(300 * said["requests_per_s"]["value"])


def test_twenty_users() -> None:
    """20 users with 2000 and 300 tokens are more than an L4's cache holds, and less than an L40S's."""
    assert told("L4", users="20")["gpus"] == 2
    assert told("A10G", users="20")["gpus"] == 2
    assert told("L40S", users="20")["gpus"] == 1


@pytest.mark.parametrize("load", [{"users": "40"}, {"concurrency": "40"}, {"requests_per_s": "3"}])
def test_targets_are_kept(load: dict[str, str]) -> None:
    """At the load, and at the largest that each card bears, whatever makes the load; fewer ms take more cards."""
    strict, loose = (told("L4", **load, tpot_ms=ms, ttft_ms="3000") for ms in ("90", "200"))
    for said, limit in ((strict, 90), (loose, 200)):
        assert said["tpot_ms"]["value"] <= limit * 1.001
        assert said["ttft_ms"]["value"] <= 3000 * 1.001
        assert said["best"]["tpot_ms"]["value"] <= limit * 1.001
        for item in said["ranking"]:
            if item["place"] != "out":
                assert item["tpot_ms"]["value"] <= limit * 1.001
    assert strict["copies"] > loose["copies"]


def test_each_card_at_its_own_best() -> None:
    """Without a load a large card is not charged for a small one's: it costs less a token than at one request."""
    best, one = (told("H100 SXM", **load) for load in ({}, {"concurrency": "1"}))
    dollars = "usd_per_million_output_tokens"
    assert best[dollars]["value"] < one[dollars]["value"] / 10
    assert best["concurrency"]["value"] > 50
    assert one["best"][dollars]["value"] == pytest.approx(best[dollars]["value"])


def test_every_card_has_a_place_or_a_reason() -> None:
    """One leads each order; dollars go up; each other says why, in both languages."""
    answer = planned(concurrency="20")
    assert {card.name for card in gpus()} == {item.gpu.name for item in answer.ranking}
    places = [place for item in answer.ranking for place in item.places]
    assert sorted(places) == ["cheapest", "fastest", "thriftiest"]
    known = [
        item["usd_per_million_output_tokens"]["value"]
        for item in told(concurrency="20")["ranking"]
        if "usd_per_million_output_tokens" in item
    ]
    assert known == sorted(known)
    for item in answer.ranking:
        assert item.reason.say("en")
        assert item.reason.say("zh")


def test_a_slower_load_never_needs_more() -> None:
    """Copies go up with the load, and as many per copy stay."""
    copies = [told("L4", concurrency=str(number), tpot_ms="150")["copies"] for number in (1, 4, 16, 64, 256)]
    assert copies == sorted(copies)
    assert copies[0] == 1
    assert copies[-1] > 10


def test_a_rate_that_is_borne_is_written() -> None:
    """As many answers end as requests come."""
    said = told("L4", requests_per_s="0.2")
    assert said["requests_per_s"]["value"] == pytest.approx(0.2)
    assert said["copies"] == 1


def test_what_a_rate_leaves_open() -> None:
    """Far below what a card bears there is no doubt how much is written; with a pause less than without one."""
    said = told("H100 SXM", requests_per_s="0.5")["output_tokens_per_s"]
    assert said["low"] == said["value"] == said["high"]
    paused, always = (
        told("H100 SXM", users="20", **more)["output_tokens_per_s"] for more in ({"think_s": "60"}, {})
    )
    assert paused["high"] / paused["low"] < always["high"] / always["low"]


def test_the_fastest_without_a_load_is_that_of_one_request() -> None:
    """Not the card whose cache holds the fewest."""
    answer = planned()
    fastest = next(item.card for item in answer.ranking if "fastest" in item.places)
    others = [item.card for item in answer.ranking if item.card is not None]
    assert fastest is not None
    assert fastest.frontier.tpot_ms.value[0] == min(card.frontier.tpot_ms.value[0] for card in others)


def test_smaller_weights_and_cache() -> None:
    """fp8 keys hold twice the tokens; int4 weights leave more room and write faster at one request."""
    usual = told(concurrency="1")
    assert told(concurrency="1", kv_dtype="fp8")["kv_cache_tokens"]["value"] == pytest.approx(
        2 * usual["kv_cache_tokens"]["value"], rel=0.01
    )
    small = told(concurrency="1", weights="int4")
    assert small["kv_cache_tokens"]["value"] > 2 * usual["kv_cache_tokens"]["value"]
    assert small["tpot_ms"]["value"] < usual["tpot_ms"]["value"] / 2


def test_an_fp8_cache_runs_where_a_server_has_it() -> None:
    """On an L4 and on no T4, for `cost` as for `plan`: what was asked is not answered with another cache."""
    places = {item.gpu.name: item.place for item in model_answer("L4", {**MODEL, "kv_dtype": "fp8"}).ranking}
    serving = {item.gpu.name: item.serves for item in planned(concurrency="8", kv_dtype="fp8").ranking}
    assert (places["L4"] != "out", serving["L4"]) == (True, True)
    assert (places["T4"] != "out", serving["T4"]) == (False, False)


def test_the_frontier_falls() -> None:
    """Who gets more tokens a second has others pay for it."""
    points = told("L40S")["frontier"]
    users = [point["user_tokens_per_s"]["value"] for point in points]
    dollars = [point["tokens_per_usd"]["value"] for point in points]
    assert users == sorted(users, reverse=True)
    assert dollars == sorted(dollars)
    assert len(points) >= 10


def test_a_model_that_needs_several() -> None:
    """As many cards as hold a copy, and the command line says so; or as many as were asked for."""
    said = told("L40S", model="Llama-3.3-70B", concurrency="4", weights="bf16")
    assert said["gpus_per_copy"] == 4
    assert "--tensor-parallel-size 4" in said["launch"]
    assert told("L40S", model="Llama-3.3-70B", concurrency="4", weights="bf16", gpus="8")["gpus"] == 8
    assert told("L4", model="Llama-3.3-70B", concurrency="4", weights="bf16", gpus="1")["fits"] == "no"


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (
            "vllm:0.11",
            ("vllm serve", "--max-model-len 3072", "--gpu-memory-utilization 0.9", "--kv-cache-dtype fp8"),
        ),
        ("sglang", ("sglang.launch_server --model-path", "--context-length 3072", "--mem-fraction-static")),
        ("tensorrt-llm", ("trtllm-serve", "--max_seq_len 3072", "--kv_cache_free_gpu_memory_fraction 0.9")),
    ],
)
def test_the_command_line(engine: str, words: tuple[str, ...]) -> None:
    """Each engine in its own words, with the numbers that were found; a target limits the sequences."""
    said = told("L40S", engine=engine, kv_dtype="fp8", concurrency="8")
    assert all(word in said["launch"] for word in words)
    narrowed = told("L40S", engine=engine, weights="fp8", concurrency="8")
    assert ("--quantization fp8" in narrowed["launch"]) == (engine != "tensorrt-llm")
    limited = told("L40S", engine=engine, tpot_ms="60")
    number = round(limited["best"]["concurrency"]["value"])
    assert f" {number}" in limited["launch"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"concurrency": "0"}, "above 0"),
        ({"users": "1000000000"}, "below 10,000,000"),
        ({"price": "-1"}, "above 0"),
        ({"prompt_tokens": "200000"}, "at most 131072"),
        ({"prompt_tokens": "4000", "max_model_len": "2048"}, "--max-model-len is 2048"),
        ({"tpot_ms": "1"}, "nothing meets 1 ms"),
        ({"ttft_ms": "1"}, "nothing meets 1 ms"),
        ({"users": "5", "concurrency": "5"}, "two loads"),
        ({"think_s": "5"}, "--users"),
        ({"task": "training"}, "cost --task training"),
        ({"percentile": "100"}, "percentile"),
        ({"prefix_share": "1"}, "prefix-share"),
        ({"gpu_memory_utilization": "1.2"}, "gpu-memory-utilization"),
        ({"engine": "tgi"}, "vllm"),
        ({"model": "BERT-base", "prompt_tokens": "100"}, "encoder"),
    ],
)
def test_what_cannot_be_asked(said: dict[str, str], words: str) -> None:
    """One line that names the value and the way out."""
    with pytest.raises(BadInput) as error:
        planned(**said)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_meets_names_the_quickest() -> None:
    """The complaint says which card comes nearest, and what it takes."""
    with pytest.raises(BadInput) as error:
        planned(tpot_ms="1")
    assert any(card.name in str(error.value) for card in gpus())


def test_a_card_that_is_late_says_by_how_much() -> None:
    """An L4 cannot write a token in 30 ms; others can, and the answer names one."""
    answer = planned(tpot_ms="30")
    said = answer.to_json()
    assert said["fits"] == "no"
    assert "30" in str(said["reason"])
    assert answer.cheapest is not None
    assert answer.cheapest.gpu.name in str(said["recommendation"])


def test_headlines_are_short() -> None:
    """At most 90 characters, in both languages."""
    for load in ({}, {"users": "20", "think_s": "12.5"}, {"requests_per_s": "0.25"}):
        for language in ("en", "zh"):
            assert len(planned("RTX PRO 6000 Blackwell Workstation", **load).headline.say(language)) <= 90


def test_a_plan_is_quick() -> None:
    """Warm, over all cards with their frontiers: at most three times the ranking of all cards at one batch."""
    question = question_of(gpu("L4"), preset("Llama-3.1-8B"), {"task": "decode", "batch": 16})
    taken = {"plan": math.inf, "ranking": math.inf}
    from l4guide.advise.able import refusal

    for _ in range(4):
        begin = time.process_time()
        plan_answer("L4", {**USUAL, "concurrency": "16"})
        middle = time.process_time()
        rank(question, gpus(), Terms(), Order(), lambda card: refusal(question, card))
        taken["plan"] = min(taken["plan"], middle - begin)
        taken["ranking"] = min(taken["ranking"], time.process_time() - middle)
    assert taken["plan"] <= 3 * taken["ranking"]
