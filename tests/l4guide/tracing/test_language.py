"""The evaluator of recorded expressions: right on what is recorded, and unmoved by whatever a configuration holds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4guide.tracing.language import ARITHMETIC, MOST, Unsaid, Values, holds, number

FIELDS: dict[str, Any] = {"a": 6, "b": 4, "none": None, "half": 0.5, "kinds": ["x", "y", "x"], "yes": True}


def field(path: str) -> Any:
    """A field of a small configuration."""
    if path not in FIELDS:
        raise Unsaid(path)
    return FIELDS[path]


VALUES = Values(field, layer=1, layers=3)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (7, 7),
        ("a", 6),
        (["*", 2, "a", "b"], 48),
        (["//", "a", "b"], 1),
        (["up", "a", "b"], 2),
        (["int", ["*", "a", "half"]], 3),
        (["-", "a", "b"], 2),
        (["if", ["is", "yes", True], "a", "b"], 6),
        (["if", ["is", "none", None], "b", "a"], 4),
        (["else", "none", 9], 9),
        (["count", "kinds", "x"], 2),
        (["at", "kinds", 0], None),
        (["twos"], 2),
    ],
)
def test_an_expression_has_its_value(expression: Any, value: int | None) -> None:
    """What is recorded is evaluated as it reads; an entry that is no number is none."""
    if value is None:
        with pytest.raises(Unsaid):
            number(expression, VALUES)
    else:
        assert value == number(expression, VALUES)


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        (["entry", "kinds", "y"], True),
        (["every", 2, 1], True),
        (["every", "b", 0], False),
        (["before", 1], False),
        (["last", 2], True),
        (["listed", "kinds"], False),
        (["and", ["some", "a"], ["not", ["less", "a", "b"]]], True),
        (["is", "yes", 1], False),
        (["or", ["same", "a", "b"], ["some", "none"]], False),
    ],
)
def test_a_condition_holds_or_not(condition: Any, truth: bool) -> None:
    """Conditions on the configuration and on the second of three layers; one is not true."""
    assert truth is holds(condition, VALUES)


#: Anything that a configuration could hold, absurd numbers among it.
WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", "full"]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
LEAVES = st.sampled_from(["a", "b", "c", "missing"]) | st.integers(-(2**70), 2**70)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(sorted(ARITHMETIC)), inner, inner).map(list),
        st.tuples(st.just("at"), st.sampled_from(["a", "b"])).map(list),
        st.tuples(st.just("if"), st.tuples(st.just("every"), inner, inner).map(list), inner, inner).map(list),
    ),
    max_leaves=20,
)


@given(EXPRESSIONS, st.dictionaries(st.sampled_from(["a", "b", "c"]), WILD))
def test_whatever_stands_in_the_fields_it_ends(expression: Any, fields: dict[str, Any]) -> None:
    """A number within limits, none, or one exception: nothing else, however absurd the fields."""

    def wild(path: str) -> Any:
        if path not in fields:
            raise Unsaid(path)
        return fields[path]

    try:
        found = number(expression, Values(wild, layer=3, layers=7))
    except Unsaid:
        return
    assert found is None or -MOST <= found <= MOST


def test_what_is_nested_too_deeply_is_refused() -> None:
    """No recursion without an end."""
    deep: Any = "a"
    for _ in range(200):
        deep = ["+", deep, 1]
    with pytest.raises(Unsaid):
        number(deep, VALUES)
