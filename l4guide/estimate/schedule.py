"""How many steps the busiest slot of a card runs: tiles, waves and the tail, in closed form."""

import numpy as np

from l4guide.estimate.problems import Array, Problems
from l4guide.frozen import frozen


@frozen
class Plan:
    """One kernel launch: `steps` and `blocks` on the busiest slot, and how far the slots are used (0 to 1)."""

    steps: Array
    blocks: Array
    resident: Array
    use: Array


def steps_of(problems: Problems, tile_m: Array, tile_n: Array) -> tuple[Array, Array, Array]:
    """Query tiles of a head, key steps of its longest tile, and key steps of all its tiles together."""
    tiles = np.maximum(np.ceil(problems.seqlen_q / tile_m), 1)
    # The last tile sees all keys up to the diagonal; a window cuts off all but its own width and the tile's.
    reach = np.minimum(problems.seqlen_kv, problems.window + tile_m)
    causal = problems.causal > 0
    longest = np.ceil(np.where(causal, reach, problems.keys_read) / tile_n)
    offset = np.maximum(problems.seqlen_kv - problems.seqlen_q, 0)
    growing = np.clip(np.ceil((reach - offset) / tile_m), 0, tiles)
    # What rounding each tile's keys up to whole steps adds on average.
    rounding = 0.5 * np.maximum(1 - tile_m / tile_n, 0)
    beyond = np.maximum(offset + tile_m * growing - reach, 0)
    ramp = growing * ((offset + tile_m * (growing + 1) / 2) / tile_n + rounding) - beyond / tile_n
    total = np.minimum(ramp + (tiles - growing) * longest, tiles * longest)
    return tiles, longest, np.where(causal, np.maximum(total, longest), tiles * longest)


def list_schedule(
    sms: float, per_sm: Array, columns: Array, tiles: Array, longest: Array, total: Array, tail: float
) -> Plan:
    """`columns` times `tiles` blocks handed out in order to `per_sm` slots of each SM; a column has `total` steps.

    Blocks of one length end in whole waves. Unequal ones fill the slots but for a tail: the part of the longest block
    that waits at the end. A single column that grows from block to block goes round the slots in turn, so that the
    last slot holds every `slots`-th block.
    """
    blocks = columns * tiles
    resident = np.clip(np.ceil(blocks / sms), 1, per_sm)
    slots = sms * resident
    waves = blocks / slots
    work = columns * total / slots
    equal = total >= 0.999 * tiles * longest
    ragged = np.minimum(longest * waves, work + tail * longest)
    rounds = np.floor(waves)
    chain = longest * ((rounds + 1) - rounds * (rounds + 1) / (2 * np.maximum(waves, 1e-9)))
    ragged = np.where(columns == 1, np.minimum(chain, ragged), ragged)
    # However short its blocks are, some slot runs one of each wave.
    ragged = np.maximum(np.maximum(longest, ragged), np.ceil(waves))
    steps = np.where(equal, np.ceil(waves) * longest, ragged)
    return Plan(
        steps=steps,
        blocks=np.ceil(waves),
        resident=resident,
        use=np.clip(work / steps, 0, 1),
    )
