"""The closed form of the schedule against block after block handed out by hand."""

import heapq
import math

import numpy as np
import pytest

from l4guide.estimate.problems import problems_of
from l4guide.estimate.schedule import list_schedule, steps_of
from l4guide.work import work_of
from l4guide.workload import ask


def by_hand(lengths: list[int], slots: int) -> int:
    """When the last block ends, each starting on the slot that is free first."""
    free = [0] * slots
    for length in lengths:
        heapq.heappush(free, heapq.heappop(free) + length)
    return max(free)


@pytest.mark.parametrize("slots", [58, 142])
@pytest.mark.parametrize("columns", [1, 3, 16, 64])
@pytest.mark.parametrize("seqlen", [64, 1000, 4096, 16_384])
def test_the_closed_form_is_near_the_schedule(slots: int, columns: int, seqlen: int) -> None:
    """Causal tiles of 64 x 128, short ones first, on one slot an SM."""
    problems = problems_of([ask({"task": "prefill", "seqlen": seqlen, "heads": columns, "head_dim": 128})[0]])
    tile_m, tile_n = np.array([64.0]), np.array([128.0])
    tiles, longest, total = steps_of(problems, tile_m, tile_n)
    lengths = [math.ceil(min(seqlen, 64 * (i + 1)) / 128) for i in range(int(tiles[0]))]
    assert (max(lengths), pytest.approx(sum(lengths), rel=0.02)) == (longest[0], total[0])
    plan = list_schedule(slots, np.array([1.0]), np.array([float(columns)]), tiles, longest, total, 0.65)
    assert by_hand(lengths * columns, slots) == pytest.approx(plan.steps[0], rel=0.2)
    assert 0 < plan.use[0] <= 1


@pytest.mark.parametrize(
    "options",
    [
        {"task": "prefill", "seqlen": 777},
        {"task": "prefill", "seqlen_q": 100, "seqlen_kv": 900},
        {"task": "prefill", "seqlen_q": 900, "seqlen_kv": 100},
        {"task": "prefill", "seqlen": 777, "window": 50},
        {"task": "prefill", "seqlen": 777, "causal": False},
        {"task": "prefill", "seqlen": 777, "causal": False, "window": 50},
        {"task": "decode", "seqlen": 5000, "kv_heads": 4},
        {"task": "decode", "seqlen": 5000, "window": 256},
    ],
)
def test_the_work_of_arrays_is_that_of_one(options: dict[str, object]) -> None:
    """FLOPs are counted alike for one question and for many; bytes are too where no window skips keys."""
    workload, _ = ask(options)
    problems, work = problems_of([workload, workload]), work_of(workload)
    assert [work.forward_flops] * 2 == pytest.approx(problems.flops.tolist())
    if workload.window is None:
        assert work.forward_bytes == pytest.approx((problems.query_bytes + problems.cache_bytes)[0])
