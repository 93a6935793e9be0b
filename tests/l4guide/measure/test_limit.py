"""Hitting the limit of an attached card, on a stand-in that refuses as Triton does."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from l4guide_kernels.reference import reference_attention
from l4guide_kernels.tiles import Tile, shared_bytes
from triton.runtime.errors import OutOfResources

from l4guide.errors import CannotDo
from l4guide.measure import limit
from l4guide.measure.accuracy import Inputs, draw
from l4guide.measure.limit import KERNEL, show_limit
from l4guide.measure.place import Place
from l4guide.workload import Workload

A100_LIMIT = 166_912
Events = list[dict[str, Any]]


def refusing(workload: Workload) -> Any:
    """Attention that refuses a tile whose bytes exceed an A100's block, and is right otherwise."""

    def attention(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, tiles: Mapping[str, Tile]
    ) -> torch.Tensor:
        needed = shared_bytes(tiles[KERNEL], kernel=KERNEL, head_dim=q.shape[-1], dtype="bf16", arch=80)
        if needed is None or needed > A100_LIMIT:
            raise OutOfResources(needed, A100_LIMIT, "shared memory")
        return reference_attention(q, k, v, causal=workload.causal)[0]

    return attention


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """What `show_limit` says on a machine with an A100, once it has been called."""

    def find_place(chosen: object, *, compiling: bool) -> Place:
        assert compiling
        return Place(basis="gpu", gpu="A100-40GB-SXM", arch=None, shared_limit_bytes=A100_LIMIT)

    def on_cpu(workload: Workload, device: str) -> Inputs:
        assert "cuda" == device
        return draw(workload, "cpu")

    monkeypatch.setattr(limit, "find_place", find_place)
    monkeypatch.setattr(limit, "draw", on_cpu)
    monkeypatch.setattr(limit, "ours", refusing)
    monkeypatch.setattr(limit, "SEQLEN", 32)
    monkeypatch.setattr("l4guide_kernels.problem.device_arch", lambda device: 80)
    monkeypatch.setattr("l4guide_kernels.cross.compile_ahead", lambda kernel, **_: Compiled())
    return []


class Compiled:
    """What the compiler says of the tile that fits."""

    shared_bytes = 74_240


def ask_limit(events: Events, head_dim: int) -> None:
    """Run the request, collecting its events."""
    show_limit(
        {"workload": {"head_dim": head_dim, "dtype": "bf16", "heads": 32}},
        lambda kind, **content: events.append({"kind": kind, **content}),
    )


def test_tile_grows_until_this_card_refuses(events: Events) -> None:
    """An A100 takes the tile that an L4 refuses, so a deeper one is launched; Triton's text is passed on."""
    ask_limit(events, 128)
    too_large, fitting = (event["limit"] for event in events if event["kind"] == "limit")
    assert (128, 128, 3) == (too_large["block_m"], too_large["block_n"], too_large["stages"])
    assert ("measured", False, A100_LIMIT) == (*(too_large[x] for x in ("basis", "fits", "limit_bytes")),)
    assert too_large["text"] == str(OutOfResources(too_large["required_bytes"], A100_LIMIT, "shared memory"))
    assert (True, True, None, 74_240) == (
        *(fitting[name] for name in ("fits", "passed", "text", "required_bytes")),
    )


def test_events_come_in_order(events: Events) -> None:
    """It says what it is about to do before it does it, and ends with its last event."""
    ask_limit(events, 128)
    assert ["started", "progress", "limit", "progress", "limit", "finished"] == [e["kind"] for e in events]
    assert "gpu" == events[0]["mode"]


def test_head_too_narrow_for_any_large_tile(events: Events) -> None:
    """Where no tile of ours can exceed the card this is said, with the way out."""
    with pytest.raises(CannotDo, match="choose a larger head_dim"):
        ask_limit(events, 16)
