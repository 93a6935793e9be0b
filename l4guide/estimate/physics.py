"""Time of an attention call from what the kernel and the card do: steps, bytes, launches.

Times are in microseconds, clocks in GHz. The structure is fixed; its coefficients are fitted for each kernel family
and class of card (`fit.py`). All functions take arrays of calls.
"""

import numpy as np

from l4guide.estimate.chip import Chip
from l4guide.estimate.families import Family, Tiles
from l4guide.estimate.problems import Array, Problems
from l4guide.estimate.schedule import list_schedule, steps_of
from l4guide.frozen import frozen

#: A card keeps its boost clock for about this long before power pulls it down to what a GEMM sustains.
BURST_US = 60.0
#: exp results an SM delivers per clock, and bytes its L2 port does.
EXP_PER_CLOCK = 16.0
L2_BYTES_PER_CLOCK = 64.0
#: Scores of the tile whose mask costs `mask_kclk`.
MASK_SCORES = 8192.0
#: The best part of a GEMM's rate that an attention kernel is known to reach.
BEST_OF_GEMM = 0.95
#: How many pieces a kernel may split the keys into; it takes what is fastest.
WAYS: Array = np.array([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0], [64.0], [128.0]])
#: Query rows of the tile that a generation step multiplies.
STEP_ROWS = 16.0
MIB = 2.0**20


@frozen
class Shared:
    """Coefficients of prompts and generation steps alike.

    `tensor` and `dram` are efficiencies, `exp` is the part of the softmax that nothing hides, `step_kclk` fixed
    thousands of clocks a key step; `launch_us` and `launch_kclk` are the launches; `l2_rate` is of 64 bytes a clock and
    SM, `l2_size` the part of the L2 that holds, `cliff` how sharply it overflows; `overlap` is the exponent that joins
    compute and memory (1 adds, infinity takes the longer); `split_us` and `merge` are the price of splitting keys.
    """

    tensor: float
    exp: float
    step_kclk: float
    launch_us: float
    launch_kclk: float
    dram: float
    l2_rate: float
    l2_size: float
    cliff: float
    overlap: float
    split_us: float
    merge: float


@frozen
class Prompt(Shared):
    """Coefficients of calls with many queries.

    `lone` is what a block alone on an SM loses, `block_kclk` and `mask_kclk` thousands of clocks a block, `tail` the
    part of the longest block that waits at the end, `passes` how often keys and values move, the cache's update
    included, and `update` that update's cost a token.
    """

    lone: float
    block_kclk: float
    mask_kclk: float
    tail: float
    passes: float
    update: float


@frozen
class Step(Shared):
    """Coefficients of generation steps.

    `pipe` is bytes a clock that one block keeps in flight, `step_us` the wait of one key step, `join_us` the joining of
    one split, `fill_us` the filling of the pipes to memory.
    """

    pipe: float
    step_us: float
    join_us: float
    fill_us: float


@frozen
class Live:
    """What runs on the user's own card say of a kernel: factors on compute time, memory time and launches.

    `widen` is the factor on the half-width of the interval, `runs` how many there were, and `seen` whether they are
    enough for an interval of their own.
    """

    compute: float = 1.0
    memory: float = 1.0
    launch: float = 1.0
    widen: float = 1.0
    runs: int = 0
    seen: bool = False


@frozen
class Parts:
    """Where the time goes, in us: compute and memory overlap, so that the parts do not add up to `total`.

    `burst` is the total in the first seconds, before power holds the clock back.
    """

    total: Array
    burst: Array
    compute: Array
    memory: Array
    launch: Array


AS_FITTED = Live()


def _us_per_byte(chip: Chip, footprint: Array, p: Shared, cold: bool) -> Array:
    """From memory, or from the L2 as far as a replayed call of this footprint finds its bytes there."""
    hit = 1 / (1 + (footprint / (p.l2_size * chip.l2_mb * MIB)) ** p.cliff) * (not cold)
    from_memory = (1 - hit) / (chip.bandwidth_gb_per_s * 1e3 * p.dram)
    return np.asarray(from_memory + hit / (p.l2_rate * _l2_bytes_per_us(chip)))


def _l2_bytes_per_us(chip: Chip) -> float:
    return chip.sms * chip.clock_ghz * L2_BYTES_PER_CLOCK * 1e3


def _step_us(chip: Chip, problems: Problems, rows: Array | float, tiles: Tiles, p: Shared) -> Array:
    """One key step of a block of `rows` queries that has an SM to itself."""
    _, tile_n, deep, _ = tiles
    wide = deep / problems.head_dim * problems.wide
    tensor = 2 * rows * tile_n * wide / (chip.peak_tflops * 1e6 / chip.sms)
    softmax = rows * tile_n / (EXP_PER_CLOCK * chip.clock_ghz * 1e3)
    return np.asarray(tensor / p.tensor + p.exp * softmax + p.step_kclk / chip.clock_ghz)


def throttled(chip: Chip, compute: Array, use: Array, gemm_tflops: float | None = None) -> Array:
    """Time after the clock has fallen, as far as the slots are in use, to what power lets a GEMM sustain."""
    held = 1 - min((gemm_tflops or chip.gemm_tflops) / chip.peak_tflops, 1.0)
    return np.asarray(compute / (1 - held * use / (1 + BURST_US / np.maximum(compute, 1e-9))))


def _join(a: Array, b: Array, overlap: float) -> Array:
    """Two times that partly overlap."""
    most = np.maximum(np.maximum(a, b), 1e-12)
    return np.asarray(most * ((a / most) ** overlap + (b / most) ** overlap) ** (1 / overlap))


def _split_us(chip: Chip, problems: Problems, splits: Array, p: Shared, join_us: float) -> Array:
    """The second launch, writing fp32 partial outputs and joining them."""
    moved = p.merge * 2 * splits * problems.query_bytes / _l2_bytes_per_us(chip)
    return np.where(splits > 1, p.split_us + moved + join_us * splits, 0.0)


def _fastest(total: Array, burst: Array, compute: Array, memory: Array, launch: Array) -> Parts:
    """The shortest of the ways to split each call: totals and `compute` have one row for each way."""
    best = np.argmin(total, axis=0)[None]
    return Parts(
        total=np.take_along_axis(total, best, axis=0)[0],
        burst=burst.min(axis=0),
        compute=np.take_along_axis(compute, best, axis=0)[0],
        memory=memory,
        launch=launch,
    )


def prompt_time(
    chip: Chip, family: Family, problems: Problems, p: Prompt, *, cold: bool = False, live: Live = AS_FITTED
) -> Parts:
    """Time of calls with many queries; `cold` takes all bytes from memory, else what fits the L2 is found there."""
    tiles = family.tiles(chip, problems.head_dim)
    tile_m, tile_n, _, per_sm = tiles
    rows = problems.group if family.packed else np.ones_like(problems.batch)
    count, longest, total = steps_of(problems, tile_m / rows, tile_n)
    columns = problems.batch * problems.heads / rows
    step = _step_us(chip, problems, tile_m, tiles, p)
    block = (p.block_kclk + p.mask_kclk * problems.causal * tile_m * tile_n / MASK_SCORES) / chip.clock_ghz
    cache = problems.cache_bytes
    per_byte = _us_per_byte(chip, problems.query_bytes + p.passes * cache, p, cold) * live.memory
    memory = (problems.query_bytes + cache) * per_byte
    tokens = problems.batch * problems.seqlen_kv * np.minimum(4, problems.kv_heads * problems.head_dim / 128)
    update = max(p.passes - 1, 0) * cache * per_byte + p.update * tokens / (chip.sms * chip.clock_ghz)
    launch = np.full_like(memory, (p.launch_us + p.launch_kclk / chip.clock_ghz) * live.launch)
    splits = WAYS if family.splits_prompts else WAYS[:1]
    plan = list_schedule(
        chip.sms, per_sm, columns * splits, count, np.ceil(longest / splits), total / splits, p.tail
    )
    busy = np.where(per_sm > 1, np.maximum(plan.resident, p.lone), 1.0)
    at_boost = plan.steps * step * busy + plan.blocks * block
    beside = launch + update + _split_us(chip, problems, splits, p, 0.0)
    compute, first = (
        throttled(chip, at_boost, plan.use, rate) * live.compute
        for rate in (chip.gemm_tflops, chip.burst_tflops)
    )
    total, burst = (beside + _join(one, memory, p.overlap) for one in (compute, first))
    return _fastest(total, burst, compute, memory + update, launch)


def step_time(
    chip: Chip, family: Family, problems: Problems, p: Step, *, cold: bool = False, live: Live = AS_FITTED
) -> Parts:
    """Time of generation steps: few queries, a long cache.

    Whole waves of blocks share the memory; the blocks that are left over wait for their own chain of key steps.
    """
    tiles = family.tiles(chip, problems.head_dim)
    _, tile_n, _, per_sm = tiles
    blocks = problems.batch * problems.kv_heads
    steps = np.ceil(problems.keys_read / tile_n)
    in_flight_us = tile_n * problems.wide * problems.kv_bytes / (p.pipe * chip.clock_ghz * 1e3)
    step = _step_us(chip, problems, STEP_ROWS, tiles, p) * live.compute + p.step_us + in_flight_us
    moved = problems.query_bytes + problems.cache_bytes
    memory = moved * _us_per_byte(chip, moved, p, cold) * live.memory
    launch = np.full_like(memory, (p.launch_us + p.launch_kclk / chip.clock_ghz) * live.launch)
    waves = blocks * WAYS / (chip.sms * per_sm)
    whole = np.floor(waves)
    chain = np.ceil(steps / WAYS) * step
    full = _join(whole * chain, memory * whole / waves, p.overlap)
    rest = np.where(waves > whole, _join(chain, memory * (1 - whole / waves), p.overlap), 0)
    total = (
        launch + full + rest + np.minimum(p.fill_us, memory) + _split_us(chip, problems, WAYS, p, p.join_us)
    )
    whole_only = blocks >= family.split_below * chip.sms
    if family.grouped_only:
        whole_only |= problems.group <= 1
    total = np.where((WAYS > 1) & whole_only, np.inf, total)
    # A step waits for memory, whatever the clock.
    return _fastest(total, total, chain * np.ceil(waves), memory, launch)


def best_us(chip: Chip, problems: Problems, *, cold: bool, gemm_tflops: float | None = None) -> Array:
    """What no kernel is known to beat: nearly a GEMM's rate at the clock that lasts, and the floor of the bytes."""
    arithmetic = problems.flops / (chip.peak_tflops * 1e6)
    lasting = throttled(chip, arithmetic, np.ones_like(arithmetic), gemm_tflops) / BEST_OF_GEMM
    return np.asarray(np.maximum(lasting, floor_us(chip, problems, cold=cold)))


def floor_us(chip: Chip, problems: Problems, *, cold: bool) -> Array:
    """What no kernel beats: the arithmetic at the full clock and, cold, the bytes at the full bandwidth."""
    arithmetic = problems.flops / (max(chip.peak_tflops, chip.gemm_high_tflops) * 1e6)
    moved = problems.query_bytes + problems.cache_bytes
    beyond = moved if cold else np.maximum(moved - 2 * chip.l2_mb * MIB, 0)
    return np.asarray(np.maximum(arithmetic, beyond / (chip.bandwidth_gb_per_s * 1e3)))
