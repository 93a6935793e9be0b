"""How published kernels divide the shared memory of a block: one function a library, after its source.

Letters in the formulas: M = block_m queries, N = block_n keys, d = head_dim rounded up to the tile's, W = warps.
Elements of 16 bits take 2 B; B stands for bytes.
"""

from l4guide.frozen import frozen
from l4guide.tiles import PublishedTile

HALF, SINGLE = 2, 4


@frozen
class Part:
    """One buffer: `name` is a key of the text section `ledger_part`, `formula` gives its bytes in the letters above."""

    name: str
    shared_bytes: int
    formula: str


def parts_of(tile: PublishedTile) -> tuple[Part, ...] | None:
    """The buffers of a published tile, or None where only their sum is known."""
    if tile.library == "flash-attn" and tile.covers("1.0.9"):
        return _first_backward(tile) if tile.pass_name == "backward" else None
    if tile.library == "flash-attn":
        return _second_backward(tile) if tile.pass_name == "backward" else _forward(tile)
    if tile.library == "flash-attn-4" and tile.pass_name == "forward":
        return _forward(tile)
    return None


def source_of(tile: PublishedTile) -> str:
    """The catalogue key of the file that `parts_of` follows."""
    if tile.library != "flash-attn":
        return tile.source
    first = tile.covers("1.0.9")
    return "flash-attention-v1.0.9-backward" if first else "flash-attention-v2.8.3-traits"


def _first_backward(tile: PublishedTile) -> tuple[Part, ...]:
    """FlashAttention-1: `smem_size_q * 2 + smem_size_v * (V_IN_REGS ? 1 : 2) + smem_size_dq + smem_size_s * 2`.

    A tile of Q has two buffers (fmha/kernel_traits.h), dO is stored like Q, and K like V; with V in registers the
    two share one buffer. Each warp leaves its share of dQ in fp32, to be added up.
    """
    m, n, d, warps = tile.block_m, tile.block_n, tile.head_dim_high, tile.warps
    keys = [Part(name="k", shared_bytes=n * d * HALF, formula="N·d·2 B")]
    if not tile.v_in_registers:
        keys.append(Part(name="v", shared_bytes=n * d * HALF, formula="N·d·2 B"))
    return (
        Part(name="q", shared_bytes=2 * m * d * HALF, formula="2·M·d·2 B"),
        Part(name="do", shared_bytes=2 * m * d * HALF, formula="2·M·d·2 B"),
        *keys,
        Part(name="p_ds", shared_bytes=2 * m * n * HALF, formula="2·M·N·2 B"),
        Part(name="dq", shared_bytes=m * d * SINGLE * warps, formula="W·M·d·4 B"),
    )


def _forward(tile: PublishedTile) -> tuple[Part, ...]:
    """FlashAttention-2 (`kSmemSize`; no released tile shares Q's memory with K) and -4 (one stage): Q, K and V."""
    m, n, d = tile.block_m, tile.block_n, tile.head_dim_high
    return (
        Part(name="q", shared_bytes=m * d * HALF, formula="M·d·2 B"),
        Part(name="k", shared_bytes=n * d * HALF, formula="N·d·2 B"),
        Part(name="v", shared_bytes=n * d * HALF, formula="N·d·2 B"),
    )


def _second_backward(tile: PublishedTile) -> tuple[Part, ...]:
    """FlashAttention-2: `kSmemSize1colblock`.

    With V in registers, V passes through the memory that P and dS use afterwards.
    """
    m, n, d, stages = tile.block_m, tile.block_n, tile.head_dim_high, tile.q_stages or 2
    exchange, values = 2 * m * n * HALF, n * d * HALF
    if tile.v_in_registers:
        rest = [
            Part(name="v_then_p_ds", shared_bytes=max(values, exchange), formula="max(N·d·2 B, 2·M·N·2 B)")
        ]
    else:
        rest = [
            Part(name="v", shared_bytes=values, formula="N·d·2 B"),
            Part(name="p_ds", shared_bytes=exchange, formula="2·M·N·2 B"),
        ]
    doubled = "2·" if stages == 2 else ""
    return (
        Part(name="q", shared_bytes=stages * m * d * HALF, formula=f"{doubled}M·d·2 B"),
        Part(name="do", shared_bytes=m * d * HALF, formula="M·d·2 B"),
        Part(name="k", shared_bytes=n * d * HALF, formula="N·d·2 B"),
        *rest,
    )
