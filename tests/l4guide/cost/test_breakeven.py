"""Break-even maps: the winner of each cell is the cheapest card that holds it."""

import numpy as np
import pytest

from l4guide.advise import break_even
from l4guide.catalogue import gpu
from l4guide.cost import BreakEven, Question, Terms, by_context, by_head_dim, turning, whole_of
from l4guide.cost.breakeven import NOBODY, with_head_dim
from l4guide.memory import sizes, usable
from l4guide.model import preset
from l4guide.step import Plan
from l4guide.workload import Workload

CARDS = tuple(gpu(name) for name in ("L4", "RTX 4090", "A100-80GB-SXM", "H100 SXM"))


def question(batch: int = 1, context: int = 2048) -> Question:
    """Decode of Llama-3.1-8B."""
    workload = Workload(
        task="decode", head_dim=128, head_dim_v=128, batch=batch, seqlen_q=1, seqlen_kv=context
    )
    return Question(model=preset("Llama-3.1-8B"), plan=Plan(), workload=workload)


@pytest.fixture(scope="module")
def found() -> BreakEven:
    """A map of twelve steps each way."""
    return by_context(question(), CARDS, Terms(), cells=12)


def test_the_winner_is_the_cheapest_of_those_that_hold_it(found: BreakEven) -> None:
    """A cell's winner agrees with the cards priced one by one."""
    for row, column in ((0, 0), (3, 5), (6, 2)):
        batch, context = int(found.batches[row]), int(found.across[column])
        costs = {}
        for card in CARDS:
            whole = whole_of(card, question(batch, context), Terms())
            dollars = whole.usd_per_million_tokens
            if dollars is not None and whole.memory.sizes.bytes.value.item() <= usable(card).bytes:
                costs[card.name] = dollars.value.item()
        winner = found.offers[found.winner[row, column]].gpu.name
        assert costs[winner] == pytest.approx(min(costs.values()), rel=0.05)


def test_a_map_has_as_many_steps_as_it_was_asked_for(found: BreakEven) -> None:
    """Every batch and context once, though small batches lie closer together than whole numbers can."""
    for steps in (found.batches, found.across):
        assert (12, True) == (len(steps), bool((np.diff(steps) > 0).all()))
    assert (1, 256) == (found.batches[0], found.batches[-1])


def test_nobody_wins_where_nothing_holds_it(found: BreakEven) -> None:
    """The largest batch of the longest context fits no card; such a cell has no winner, no price and no doubt."""
    assert NOBODY == found.winner[-1, -1]
    assert not found.uncertain[-1, -1]
    assert not np.isfinite(found.usd.value[-1, -1])
    plan = Plan()
    need = sizes(
        preset("Llama-3.1-8B"), plan, found.batches[-1:].astype(float), found.across[-1:].astype(float)
    ).bytes.value.item()
    assert all(need > usable(card).bytes for card in CARDS)


def test_doubt_is_where_intervals_overlap(found: BreakEven) -> None:
    """Intervals of the winner are in order, and with one card there is nobody to doubt it."""
    held = found.winner != NOBODY
    assert (found.usd.low[held] <= found.usd.value[held]).all()
    assert (found.usd.value[held] <= found.usd.high[held]).all()
    alone = by_context(question(), CARDS[:1], Terms(), cells=6)
    assert not alone.uncertain.any()


def test_a_map_over_widths_of_a_head() -> None:
    """Wider heads make the same model dearer, at every batch."""
    over = by_head_dim(question(), CARDS[:1], Terms(), head_dims=(64, 128, 256), cells=5)
    assert (len(over.batches), 3) == over.winner.shape
    held = np.isfinite(over.usd.value).all(axis=1)
    assert held.any()
    assert (np.diff(over.usd.value[held], axis=1) > 0).all()
    assert (64,) == with_head_dim(preset("Llama-3.1-8B"), 64).head_dims


def test_widths_together_cost_what_each_costs_alone() -> None:
    """Timing all widths in one call of the estimator gives what one call for each gives."""
    together = by_head_dim(question(), CARDS[:1], Terms(), head_dims=(64, 128, 256), cells=4)
    alone = by_head_dim(question(), CARDS[:1], Terms(), head_dims=(128,), cells=4)
    assert together.usd.value[:, 1] == pytest.approx(alone.usd.value[:, 0])


def test_no_price_means_no_map() -> None:
    """Cards that nobody prices are on no map."""
    nothing = by_context(question(), [gpu("L20")], Terms(), cells=4)
    assert {NOBODY} == set(nothing.winner.ravel().tolist())
    assert () == nothing.winners


def test_a_turning_point_is_where_the_map_turns() -> None:
    """Where a longer context outgrows the cheapest card's memory, the next card is named with that context."""
    asked = question(batch=2)
    found = turning(asked, CARDS, Terms())
    assert found is not None
    context, offer = found
    first = by_context(asked, CARDS, Terms()).offers
    assert context > asked.context
    assert offer.gpu.name in {one.gpu.name for one in first}
    need = sizes(asked.model, asked.plan, np.array([2.0]), np.array([float(context)])).bytes.value.item()
    assert need > usable(gpu("RTX 4090")).bytes or offer.gpu.name == "RTX 4090"
    assert turning(question(context=131_072), CARDS, Terms()) is None


def test_json_has_a_row_for_each_batch(found: BreakEven) -> None:
    """Names instead of numbers, null where no card holds it."""
    said = found.to_json()
    rows = said["winner"]
    assert isinstance(rows, list)
    assert len(found.batches) == len(rows)
    assert rows[-1][-1] is None
    assert "kind" in said


def test_a_bare_shape_has_a_map_of_its_attention() -> None:
    """Without a model the map is of one layer of attention."""
    assert "context" == break_even("L4", {"task": "prefill", "head_dim": 128}, cells=4).axis
