"""How many thread blocks (CTAs) of a kernel live on one multiprocessor at once, and what stops the next one.

The allocation rules are those of `cuda_occupancy.h` in NVIDIA's CUDA Toolkit, for compute capability 8.0 and
later.
"""

from l4guide.catalogue import Gpu
from l4guide.frozen import frozen

THREADS_PER_WARP = 32
#: The system keeps this much shared memory of every block for itself from compute capability 8.0 on.
RESERVED_SHARED_BYTES = 1024
SHARED_GRANULE_BYTES = 128
#: Registers are handed out to whole warps in units of this many.
REGISTER_GRANULE = 256
#: A multiprocessor has four schedulers, each with its own quarter of the register file.
PARTITIONS = 4

LIMITERS = ("shared memory", "registers", "warps", "blocks")


@frozen
class Occupancy:
    """Resident blocks and warps per multiprocessor, and the first of `LIMITERS` that allows no more."""

    ctas_per_sm: int
    warps_per_sm: int
    limiter: str


def _round_up(value: int, granule: int) -> int:
    return -(-value // granule) * granule


def ctas_by_shared_memory(gpu: Gpu, shared_bytes: int) -> int | None:
    """Blocks that fit into one multiprocessor's shared memory; 0 when one alone is over the block's limit."""
    if gpu.shared_kib_per_sm is None or gpu.shared_bytes_per_block is None:
        return None
    if shared_bytes > gpu.shared_bytes_per_block:
        return 0
    one_block = _round_up(shared_bytes + RESERVED_SHARED_BYTES, SHARED_GRANULE_BYTES)
    return gpu.shared_kib_per_sm * 1024 // one_block


def ctas_by_registers(gpu: Gpu, registers: int, warps: int) -> int | None:
    """Blocks of `warps` warps that the register file holds, at `registers` a thread."""
    if gpu.registers_per_sm is None:
        return None
    one_warp = _round_up(max(registers, 1) * THREADS_PER_WARP, REGISTER_GRANULE)
    resident_warps = gpu.registers_per_sm // PARTITIONS // one_warp * PARTITIONS
    return resident_warps // _round_up(warps, PARTITIONS)


def occupancy(gpu: Gpu, *, shared_bytes: int, registers: int | None, warps: int) -> Occupancy | None:
    """Occupancy of a kernel with `warps` warps a block.

    Args:
        gpu: the card; its four limits per multiprocessor are used.
        shared_bytes: shared memory of one block, static and dynamic, without the system's own 1,024 bytes.
        registers: registers per thread, None where nobody has compiled the kernel.
        warps: warps per block.

    Returns:
        None where the registers or the limits of the card are unknown, unless shared memory forbids a block.
    """
    by_shared_memory = ctas_by_shared_memory(gpu, shared_bytes)
    if by_shared_memory == 0:
        return Occupancy(ctas_per_sm=0, warps_per_sm=0, limiter=LIMITERS[0])
    if registers is None or gpu.max_threads_per_sm is None:
        return None
    by_registers = ctas_by_registers(gpu, registers, warps)
    by_warps = gpu.max_threads_per_sm // THREADS_PER_WARP // warps
    allowed = (by_shared_memory, by_registers, by_warps, gpu.max_blocks_per_sm)
    known = [ctas for ctas in allowed if ctas is not None]
    if len(known) < len(LIMITERS):
        return None
    ctas = min(known)
    return Occupancy(ctas_per_sm=ctas, warps_per_sm=ctas * warps, limiter=LIMITERS[known.index(ctas)])
