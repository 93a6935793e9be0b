"""The card that is the current one while kernels are launched; `test_foreign` sees where each launch goes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from l4guide_kernels.device import on_its_device
from l4guide_kernels.tune import tuned_tiles


class Cards:
    """Stands in for `torch.cuda.device_of`: keeps what was asked for, and whether it is still current."""

    def __init__(self) -> None:
        self.asked: list[torch.Tensor] = []
        self.depth = 0

    def __call__(self, tensor: torch.Tensor) -> "Cards":
        """As `device_of(tensor)` is asked."""
        self.asked.append(tensor)
        return self

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_failure: object) -> None:
        self.depth -= 1


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Cards:
    """No card is there."""
    stand_in = Cards()
    monkeypatch.setattr(torch.cuda, "device_of", stand_in)
    return stand_in


@on_its_device
def depth_of(_name: str, *_tensors: torch.Tensor, cards: Cards, fails: bool = False, **_more: Any) -> int:
    """How many cards were made current around it."""
    if fails:
        raise ValueError("refused")
    return cards.depth


def test_the_first_tensors_card_is_current_meanwhile(cards: Cards) -> None:
    """Wherever it stands among the arguments, and by name as well."""
    first, second = torch.zeros(2), torch.ones(2)
    assert 1 == depth_of("forward", first, second, cards=cards)
    assert 1 == depth_of("forward", cards=cards, q=first, k=second)
    assert all(one is first for one in cards.asked)
    assert 0 == cards.depth


def test_a_failure_leaves_the_current_card_as_it_was(cards: Cards) -> None:
    """What a launch raises goes through."""
    with pytest.raises(ValueError, match="refused"):
        depth_of("forward", torch.zeros(2), cards=cards, fails=True)
    assert 0 == cards.depth


def test_a_graph_takes_no_guard_in(cards: Cards) -> None:
    """torch.compile guards the kernels of its graphs itself."""

    @on_its_device
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    compiled = torch.compile(doubled, backend="eager", fullgraph=True)
    assert torch.equal(torch.full((2,), 2.0), compiled(torch.ones(2)))
    assert [] == cards.asked


def test_tiles_are_timed_on_the_card_of_their_tensors(cards: Cards, tmp_path: Path) -> None:
    """Events of the current card would time nothing of another's."""
    depths = []

    def measure(call: object) -> float:
        depths.append(cards.depth)
        return 1.0

    q = torch.zeros((1, 20, 1, 16), dtype=torch.float16)
    tuned_tiles(q=q, k=q, v=q, kernels=["forward"], folder=tmp_path, measure=measure)
    assert depths
    assert {1} == set(depths)
