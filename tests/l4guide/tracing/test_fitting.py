"""Expressions are found for numbers that follow from fields, and none where nothing tells."""

import random
from typing import Any

import pytest

from l4guide.tracing.fitting.rows import Rows
from l4guide.tracing.fitting.search import FEWEST
from l4guide.tracing.fitting.solve import Solver
from l4guide.tracing.language import Values, holds, number

PATHS = ["hidden", "heads", "kv_heads", "wide", "layers", "tied", "rank", "kinds"]


def configurations(seed: int, count: int = 14) -> list[dict[str, Any]]:
    """Configurations as trials make them: every number by chance, some fields null."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        layers = chance.randint(3, 7)
        found.append(
            {
                "hidden": 768 * chance.randint(1, 3),
                "heads": chance.choice((8, 16, 32)),
                "kv_heads": chance.choice((2, 4, 8)),
                "wide": 1000 * chance.randint(1, 6),
                "layers": layers,
                "tied": chance.random() < 0.4,
                "rank": None if chance.random() < 0.4 else 64 * chance.randint(1, 5),
                "kinds": [chance.choice(("full", "window")) for _ in range(layers)],
            }
        )
    return found


def rows_of(seen: list[dict[str, Any]]) -> Rows:
    """One row a configuration."""
    return Rows([Values(one.__getitem__) for one in seen], PATHS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "follows",
    [
        lambda f: f["hidden"],
        lambda f: 3 * f["hidden"] * f["wide"],
        lambda f: f["hidden"] // f["heads"],
        lambda f: f["heads"] * (f["wide"] + 64),
        lambda f: 2 * f["wide"] + 2 * f["heads"] * f["kv_heads"] + f["layers"],
        lambda f: f["hidden"] if f["tied"] else 2 * f["wide"],
        lambda f: f["rank"],
        lambda f: f["kinds"].count("full") * f["wide"],
    ],
)
def test_what_follows_from_fields_is_found_and_holds_elsewhere(seed: int, follows: Any) -> None:
    """Fitted to some configurations, it has the right numbers at others."""
    seen, others = configurations(seed), configurations(seed + 100)
    expression = Solver(rows_of(seen)).solve([follows(one) for one in seen], "")
    assert [follows(one) for one in others] == [number(expression, Values(one.__getitem__)) for one in others]


def test_a_number_that_nothing_tells_is_not_explained() -> None:
    """Chance has no expression."""
    seen = configurations(0)
    chance = random.Random(9)
    with pytest.raises(LookupError):
        Solver(rows_of(seen)).solve([chance.randint(10**5, 10**6) for _ in seen], "")


def test_too_few_rows_say_nothing() -> None:
    """A large constant seen once or twice may be anything."""
    seen = configurations(0, FEWEST - 1)
    with pytest.raises(LookupError):
        Solver(rows_of(seen)).solve([777_777] * len(seen), "")


@pytest.mark.parametrize(
    "present",
    [
        lambda f, i: f["kinds"][i] == "full",
        lambda f, i: (i + 1) % 2 == 0,
        lambda f, i: not f["tied"] and f["kinds"][i] == "window",
        lambda f, i: i > 0,
        lambda f, i: (f["layers"] - 1 - i) % 4 == 0,
    ],
)
def test_the_layers_that_hold_something_are_told_apart(present: Any) -> None:
    """By kind, by place, and together with a field of the whole."""

    def pairs(seen: list[dict[str, Any]]) -> list[tuple[Values, bool]]:
        return [
            (Values(one.__getitem__, layer=i, layers=one["layers"]), present(one, i))
            for one in seen
            for i in range(one["layers"])
        ]

    known = pairs(configurations(1))
    solver = Solver(Rows([values for values, _ in known], PATHS, layered=True))
    condition = solver.separate({place: truth for place, (_, truth) in enumerate(known)}, "")
    assert all(truth is holds(condition, values) for values, truth in pairs(configurations(2)))
