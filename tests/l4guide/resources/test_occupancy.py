"""Resident blocks per multiprocessor, against figures published or worked out by hand from the CUDA rules."""

from dataclasses import replace

import pytest

from l4guide.catalogue import gpu
from l4guide.resources.occupancy import Occupancy, occupancy

L4 = gpu("L4")


def resident(ctas_per_sm: int, warps_per_sm: int, limiter: str) -> Occupancy:
    """The occupancy to expect."""
    return Occupancy(ctas_per_sm=ctas_per_sm, warps_per_sm=warps_per_sm, limiter=limiter)


def test_flash_attention_2_forward_runs_two_blocks_on_l4() -> None:
    """FlashAttention-2's 48 KiB forward tile runs two blocks on sm_89, as its launch template says."""
    assert resident(2, 8, "shared memory") == occupancy(L4, shared_bytes=49_152, registers=255, warps=4)


def test_the_systems_own_share_counts() -> None:
    """With the system's 1,024 bytes a block, 50,176 bytes run twice on L4 and one byte more runs once."""
    assert resident(2, 8, "shared memory") == occupancy(L4, shared_bytes=50_176, registers=64, warps=4)
    assert resident(1, 4, "shared memory") == occupancy(L4, shared_bytes=50_177, registers=64, warps=4)


def test_eighty_kib_runs_one_block() -> None:
    """FlashAttention-2's 80 KiB backward tile of 8 warps has an L4 multiprocessor for itself."""
    assert resident(1, 8, "shared memory") == occupancy(L4, shared_bytes=81_920, registers=255, warps=8)


@pytest.mark.parametrize(("registers", "ctas"), [(64, 4), (65, 3), (128, 2), (129, 1), (255, 1)])
def test_registers_are_allocated_by_the_warp(registers: int, ctas: int) -> None:
    """Eight warps at 128 registers run twice, at 129 once, since whole warps get units of 256 registers."""
    found = occupancy(L4, shared_bytes=1024, registers=registers, warps=8)
    assert resident(ctas, ctas * 8, "registers") == found


def test_warps_limit_a_light_kernel() -> None:
    """The 48 warps of an L4 multiprocessor hold six blocks of eight."""
    assert resident(6, 48, "warps") == occupancy(L4, shared_bytes=0, registers=32, warps=8)


@pytest.mark.parametrize(("name", "ctas"), [("L4", 24), ("A10G", 16)])
def test_blocks_limit_a_tiny_kernel(name: str, ctas: int) -> None:
    """A kernel of one warp stops at the number of blocks that the card can hold."""
    assert resident(ctas, ctas, "blocks") == occupancy(gpu(name), shared_bytes=0, registers=16, warps=1)


def test_a_block_over_the_limit_does_not_run() -> None:
    """One byte over 101,376 is no block at all on L4, whatever the registers."""
    assert resident(1, 4, "shared memory") == occupancy(L4, shared_bytes=101_376, registers=64, warps=4)
    assert resident(0, 0, "shared memory") == occupancy(L4, shared_bytes=101_377, registers=None, warps=4)


def test_unknown_stays_unknown() -> None:
    """Without registers, or on a card whose register file is not known, there is no occupancy."""
    assert occupancy(L4, shared_bytes=1024, registers=None, warps=4) is None
    assert occupancy(replace(L4, registers_per_sm=None), shared_bytes=1024, registers=64, warps=4) is None
