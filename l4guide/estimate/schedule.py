"""How many steps the busiest slot of a card runs: tiles, waves and the tail, in closed form."""

from dataclasses import dataclass

import numpy as np

from l4guide.estimate.problems import Array, Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One kernel launch: `steps` and `blocks` on the busiest slot, and how far the slots are used (0 to 1)."""

    steps: Array
    blocks: Array
    resident: Array
    use: Array


def steps_of(problems: Problems, tile_m: Array, tile_n: Array) -> tuple[Array, Array, Array]:
    """Query tiles of a head, key steps of its longest tile, and key steps of all its tiles together."""
    tiles = np.ceil(problems.seqlen_q / tile_m)
    offset = problems.seqlen_kv - problems.seqlen_q
    # The last tile sees all keys up to the diagonal; a window cuts off all but the tile's own width and its own.
    reach = np.minimum(problems.seqlen_kv, problems.window + tile_m)
    longest = np.ceil(np.where(problems.causal > 0, reach, problems.keys_read) / tile_n)
    first = np.clip(offset + tile_m, 1, reach) / tile_n + 0.5
    growing = np.clip((reach - np.maximum(offset, 0)) / tile_m, 1, tiles)
    causal_total = growing * np.minimum((first + longest) / 2, longest) + (tiles - growing) * longest
    causal_total = np.clip(causal_total, longest, tiles * longest)
    return tiles, longest, np.where(problems.causal > 0, causal_total, tiles * longest)


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
    steps = np.where(equal, np.ceil(waves) * longest, np.maximum(longest, ragged))
    return Plan(
        steps=steps,
        blocks=np.ceil(waves),
        resident=resident,
        use=np.clip(work / steps, 0, 1),
    )
