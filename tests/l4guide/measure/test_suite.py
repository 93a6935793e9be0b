"""What the benchmark runs: the shapes that were promised, in an order that any beginning of is of use."""

from collections import Counter

import pytest

from l4guide.estimate import FEWEST_RUNS
from l4guide.measure import suite
from l4guide.measure.arithmetic import kv_bytes
from l4guide.measure.bench import PEERS
from l4guide.measure.suite import Item

MIB = 2**20
#: An H100's and an L4's caches and memories.
H100 = {"l2_bytes": 50 * MIB, "memory_bytes": 80 * 10**9}
L4 = {"l2_bytes": 48 * MIB, "memory_bytes": 23 * 10**9}


@pytest.fixture(scope="module")
def full() -> tuple[Item, ...]:
    """The full suite on an H100."""
    return suite.plan("full", **H100)


def test_the_shapes_are_those_of_the_bars(full: tuple[Item, ...]) -> None:
    """16k tokens a batch, 512 to 16k in a sequence, causal and full, at every width, in bf16."""
    square = [item.workload for item in full if item.section == "training"]
    assert {16_384} == {w.tokens for w in square}
    asked = {(w.seqlen_kv, w.causal, w.head_dim) for w in square}
    lengths = (512, 1024, 2048, 4096, 8192, 16_384)
    assert {(s, c, d) for s in lengths for c in (True, False) for d in (64, 128, 256)} == asked
    assert {72, 80, 96, 192} == {item.workload.head_dim for item in full if item.section == "padded"}
    assert {"bf16"} == {item.workload.dtype for item in full}


@pytest.mark.parametrize("card", [H100, L4])
def test_no_cache_fits_the_l2_or_fills_the_memory(card: dict[str, int]) -> None:
    """Every cache to decode from is read from memory and leaves room for copies of it."""
    caches = [item.workload for item in suite.plan("full", **card) if item.section == "decode"]
    assert all(2 * card["l2_bytes"] < kv_bytes(w) < card["memory_bytes"] / 5 for w in caches)
    assert {1, 4, 8} == {w.heads // w.kv_heads for w in caches}
    assert {4096, 131_072} <= {w.seqlen_kv for w in caches}
    assert {1, 64} <= {w.batch for w in caches}


def test_any_beginning_has_some_of_everything(full: tuple[Item, ...]) -> None:
    """The quick suite begins with the first item of each section; half of the full one is half of each section."""
    quick = suite.plan("quick", **H100)
    assert [item.key for item in full[:4]] == [item.key for item in quick[:4]]
    whole = Counter(item.section for item in full)
    half = Counter(item.section for item in full[: len(full) // 2])
    assert all(abs(half[name] - count / 2) <= 2 for name, count in whole.items())
    assert len({item.key for item in full}) == len(full)


@pytest.mark.parametrize("name", ["l4guide", "torch/flash"])
@pytest.mark.parametrize("card", [H100, L4])
def test_a_quick_run_is_enough_to_put_estimates_right(card: dict[str, int], name: str) -> None:
    """It times so many distinct prompts and generation steps that one may be refused and intervals still follow."""
    items = suite.plan("quick", **card)
    run = Counter(
        "decode" if i.workload.task == "decode" else "prompt" for i in items if name in i.implementations
    )
    assert all(run[kind] > FEWEST_RUNS for kind in ("decode", "prompt"))
    assert len({item.key for item in items}) == len(items)
    assert all(("l4guide", "torch/flash") == item.implementations for item in items[4:])


def test_everybody_is_measured_somewhere(full: tuple[Item, ...]) -> None:
    """Every implementation that can be called is in the suite, and every one in the suite can be called."""
    assert set(PEERS) == {name for item in full for name in item.implementations}
    assert {name for item in suite.interpreted() for name in item.implementations} < set(PEERS)


def test_the_digest_tells_suites_apart(full: tuple[Item, ...]) -> None:
    """Another order, or one item less, is another suite."""
    assert suite.digest(full) == suite.digest(list(full))
    assert suite.digest(full) != suite.digest(full[1:])
    assert suite.digest(full) != suite.digest(tuple(reversed(full)))
