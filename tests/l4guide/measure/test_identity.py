"""Who a run is: what is compared before one is continued, and what PyTorch says of the card."""

from types import SimpleNamespace

import pytest
import torch

from l4guide.measure import identity, suite
from l4guide.measure.identity import Device, device, differences
from l4guide.measure.place import Place
from l4guide.measure.probe import Attached

PLACE = Place(basis="gpu", gpu="L4", arch=None, shared_limit_bytes=101_376)


def attached(name: str, catalogue_name: str | None) -> Attached:
    """A card of which nothing else is known."""
    known = {"name": name, "catalogue_name": catalogue_name, "driver": f"driver of {name}"}
    return Attached(**{**dict.fromkeys(Attached.__dataclass_fields__), **known})  # type: ignore[arg-type]


def test_the_card_is_the_one_that_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its catalogue's name or its own; the first where it cannot be told, none without a driver."""
    cards = (attached("NVIDIA A10G", "A10G"), attached("NVIDIA L4", "L4"))
    monkeypatch.setattr(identity, "attached", lambda: cards)
    assert [cards[1], cards[0], cards[0]] == [
        identity.card_named(name) for name in ("L4", "NVIDIA A10G", None)
    ]
    assert "driver of NVIDIA L4" == identity.identity(PLACE, suite.interpreted())["driver"]
    monkeypatch.setattr(identity, "attached", tuple)
    assert identity.card_named("L4") is None
    assert "-" == identity.identity(PLACE, suite.interpreted())["driver"]


def test_differences_are_named_with_both_values() -> None:
    """What changed, came or went; nothing where all is the same."""
    before = {"driver": "580", "torch": "2.11.0", "xformers": "0.0.35"}
    now = {"driver": "590", "torch": "2.11.0", "flash-attn": "2.8.3"}
    assert ["driver 580 → 590", "flash-attn - → 2.8.3", "xformers 0.0.35 → -"] == differences(before, now)
    assert [] == differences(before, before)


def test_the_device_is_told_by_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """L2, memory and multiprocessors come from the driver that the kernels run on, NVML or not."""
    found = SimpleNamespace(
        name="NVIDIA L4", major=8, minor=9, total_memory=23, L2_cache_size=48, multi_processor_count=58
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: found)
    expected = Device(name="NVIDIA L4", capability="8.9", memory_bytes=23, l2_bytes=48, sm_count=58)
    assert expected == device()
