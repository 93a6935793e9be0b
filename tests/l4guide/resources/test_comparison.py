"""What moved from one tile to another."""

from dataclasses import replace

from l4guide.catalogue import gpu
from l4guide.resources import Change, Mix, changes, resources_for

ANSWER = resources_for(gpu("L4"), "forward", 128, "bf16", block_m=64, block_n=64, warps=4, stages=2)
PROVEN = replace(
    ANSWER,
    basis="compiled",
    registers=200,
    spill_bytes=0,
    ctas_per_sm=2,
    warps_per_sm=8,
    instructions=Mix(tensor=20, exp=10, arithmetic=30, memory=20, other=20, mask=0),
)


def by_name(found: tuple[Change, ...]) -> dict[str, Change]:
    """The changes by what they are of."""
    return {change.name: change for change in found}


def test_less_memory_is_better_and_fewer_blocks_worse() -> None:
    """Each quantity is judged by its own direction."""
    now = replace(PROVEN, shared_bytes=PROVEN.shared_bytes - 8192, ctas_per_sm=1, spill_bytes=64)
    found = by_name(changes(PROVEN, now))
    assert (-8192, "better") == (found["shared_bytes"].difference, found["shared_bytes"].verdict)
    assert (-1, "worse") == (found["ctas_per_sm"].difference, found["ctas_per_sm"].verdict)
    assert (64, "worse") == (found["spill_bytes"].difference, found["spill_bytes"].verdict)
    assert (0, "") == (found["registers"].difference, found["registers"].verdict)
    assert 20 == found["tensor_percent"].now


def test_what_nobody_knows_has_not_moved() -> None:
    """Before the compiler has spoken, and before there was anything."""
    unknown = by_name(changes(replace(PROVEN, registers=None, instructions=None), PROVEN))
    assert (None, "") == (unknown["registers"].difference, unknown["registers"].verdict)
    assert unknown["tensor_percent"].difference is None
    assert {None} == {change.before for change in changes(None, PROVEN)}
