"""The closed forms of a server under load, against a simulation request by request."""

from dataclasses import replace

import numpy as np
import pytest
from serving_simulation import Seen, at_a_rate, in_flight, users

from l4guide.catalogue import gpu
from l4guide.model import preset
from l4guide.serving.batch import Shape, step_times
from l4guide.serving.calibration import factors
from l4guide.serving.load import Latencies, closed, normal_quantile, open_, thinking
from l4guide.serving.steady import Server, balance
from l4guide.step import Plan
from l4guide.workload import Workload

WORKLOAD = Workload(task="decode", head_dim=128, head_dim_v=128, seqlen_q=1)
LATE = 0.95


def server(card: str, prompt: int, output: int, slots: float, room: int = 2048, share: float = 0.0) -> Server:
    """A server that puts nothing off, since the simulation does not."""
    shape = Shape(prompt_tokens=prompt, output_tokens=output, prefix_share=share)
    return Server(
        times=step_times(gpu(card), preset("Llama-3.1-8B"), Plan(), WORKLOAD, shape),
        shape=shape,
        factors=factors("vllm"),
        slots=slots,
        sequences_at_most=256,
        batched_tokens=room,
        puts_off=False,
    )


SERVERS = {
    "long prompts on an L4": server("L4", 2000, 300, 15),
    "short prompts on an A10G": server("A10G", 200, 400, 60),
    "an H100": server("H100 SXM", 2000, 300, 200, 8192),
}


def compare_means(said: Latencies, seen: Seen, first: float) -> None:
    """Rates and seconds a token agree closely, first tokens within a share: they wait for others."""
    assert said.requests_per_s.item() == pytest.approx(seen.requests_per_s, rel=0.06)
    assert said.tpot.item() == pytest.approx(seen.tpot, rel=0.08)
    assert said.tpot_late.item() == pytest.approx(seen.tpot_late, rel=0.25)
    assert said.ttft.item() == pytest.approx(seen.ttft, rel=first)


def compare(said: Latencies, seen: Seen) -> None:
    """The same, and the percentile of the first token."""
    compare_means(said, seen, first=0.45)
    assert said.ttft_late.item() == pytest.approx(seen.ttft_late, rel=0.45)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("share", [0.3, 1.0, 2.0])
def test_always_in_flight(name: str, share: float) -> None:
    """Half empty, full, twice as many as fit. Answers of one length never meet by chance, so percentiles lie above."""
    one = SERVERS[name]
    number = max(1, round(share * one.slots))
    seen = in_flight(one, number, max(250, 4 * number), LATE)
    said = closed(balance(one), np.array([float(number)]), LATE)
    compare_means(said, seen, first=0.2)
    assert 0.95 <= said.ttft_late.item() / seen.ttft_late <= 5


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("busy", [0.3, 0.7])
def test_at_a_rate(name: str, busy: float) -> None:
    """At a third and at most of what it bears."""
    one = SERVERS[name]
    state = balance(one)
    rate = busy * float(state.requests_per_s[-1])
    compare(open_(state, np.array([rate]), LATE), at_a_rate(one, rate, 1500, LATE))


@pytest.mark.parametrize(
    ("name", "number", "think"),
    [
        ("long prompts on an L4", 20, 60.0),
        ("long prompts on an L4", 40, 30.0),
        ("an H100", 300, 20.0),
    ],
)
def test_users_who_think(name: str, number: int, think: float) -> None:
    """Few users, more than are served without waiting, and many on a large card."""
    one = SERVERS[name]
    said = thinking(balance(one), np.array([float(number)]), think, LATE)
    compare(said, users(one, number, think, 1200, LATE))


def test_users_who_do_not_think_are_always_in_flight() -> None:
    """Without a pause both questions are one."""
    state = balance(SERVERS["an H100"])
    number = np.array([40.0])
    assert closed(state, number).requests_per_s == thinking(state, number, 0.0).requests_per_s


@pytest.mark.parametrize("name", SERVERS)
def test_more_load_is_never_quicker(name: str) -> None:
    """With more requests each takes longer, and as many tokens are written in all."""
    state = balance(SERVERS[name])
    found = closed(state, np.geomspace(1, 500, 40), LATE)
    for values in (found.requests_per_s, found.tpot, found.ttft, found.ttft_late, found.tpot_late):
        assert (np.diff(values) >= -1e-9 * values[:-1]).all()
    assert found.full[-1]


def test_a_full_cache_reads_prompts_again() -> None:
    """An engine that puts answers off writes less with more than fit; one that makes room beforehand does not."""
    puts_off = balance(replace(SERVERS["long prompts on an L4"], puts_off=True))
    rates = closed(puts_off, np.array([15.0, 60.0])).requests_per_s
    assert rates[1] < 0.95 * rates[0]
    calm = closed(balance(SERVERS["long prompts on an L4"]), np.array([15.0, 60.0])).requests_per_s
    assert calm[1] == pytest.approx(calm[0], rel=0.05)


def test_a_shared_prefix_is_read_once() -> None:
    """First tokens come sooner and more requests end where most of a prompt is known."""
    cold, warm = (balance(server("L4", 2000, 300, 15, share=share)) for share in (0.0, 0.9))
    ten = np.array([10.0])
    assert closed(warm, ten).ttft < closed(cold, ten).ttft / 3
    assert closed(warm, ten).requests_per_s > closed(cold, ten).requests_per_s


def test_without_graphs_the_host_decides() -> None:
    """On a fast card each layer takes as long as its launches; on an L4 the weights take longer."""
    ratios = {}
    for name in ("an H100", "long prompts on an L4"):
        one = SERVERS[name]
        eager = closed(balance(replace(one, eager=True)), np.ones(1)).tpot.item()
        ratios[name] = eager / closed(balance(one), np.ones(1)).tpot.item()
    assert ratios["an H100"] > 2
    assert ratios["long prompts on an L4"] == pytest.approx(1.0, abs=0.02)


def test_the_normal_quantile() -> None:
    """Known ones."""
    assert [0.0, 1.645, -1.282] == pytest.approx([normal_quantile(p) for p in (0.5, 0.95, 0.1)], abs=1e-3)
