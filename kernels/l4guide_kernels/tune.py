"""Opt-in tuning: tiles near the table's, timed on the card at hand. Nothing tunes unless a user calls this.

`tiles = tuned_tiles(q, k, v, causal=True)`, then `flash_attn_func(q, k, v, causal=True, tiles=tiles)`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import triton
from triton.errors import TritonError

from l4guide_kernels.candidates import candidates
from l4guide_kernels.code import digest
from l4guide_kernels.device import on_its_device
from l4guide_kernels.dialect import interpreted
from l4guide_kernels.driver import driver_version
from l4guide_kernels.interface import flash_attn_func
from l4guide_kernels.kept import KeptTiles, default_folder
from l4guide_kernels.kvcache import flash_attn_with_kvcache
from l4guide_kernels.problem import DTYPE_NAMES, device_arch
from l4guide_kernels.tiles import Tile, UnsupportedError

Measure = Callable[[Callable[[], object]], float]

TRAINING = ("forward", "backward-dkdv", "backward-dq")


@on_its_device
def tuned_tiles(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = False,
    kernels: Sequence[str] = TRAINING,
    arch: int | None = None,
    folder: Path | None = None,
    measure: Measure | None = None,
) -> dict[str, Tile]:
    """The fastest tile of each kernel for tensors like these, to be passed on as `tiles=`.

    The first call for a kind of tensors compiles and times some twenty candidates a kernel, which takes up to a
    minute a kernel; the winner is kept on disk, so that later calls answer at once. A kind is the GPU, its driver,
    Triton, the kernel's code, dtype, head dims, heads to a KV head, causal or not, and the lengths up to the next
    power of two.

    Args:
        q: (batch, seqlen_q, heads, head_dim), as for `flash_attn_func`.
        k: (batch, seqlen_k, kv_heads, head_dim); for the kernel "decode" the cache.
        v: Like `k`.
        causal: Whether with a causal mask.
        kernels: Which of `tiles.KERNELS`; by default those of training.
        arch: Start from the tiles of this architecture rather than the device's.
        folder: Where to keep `tiles.json`; $XDG_CACHE_HOME/l4guide or ~/.cache/l4guide when None.
        measure: Milliseconds of a call; Triton's `do_bench`, which empties the L2 cache, when None.

    Raises:
        UnsupportedError: A kernel, head_dim, dtype or architecture is not supported, or there is no GPU to time on.
        TritonError: Not even the table's tile can be launched.
    """
    if measure is None:
        if interpreted():
            raise UnsupportedError("Triton's interpreter measures no time: tune on a GPU, or pass measure=")
        measure = _milliseconds
    arch = device_arch(q.device) if arch is None else arch
    kept = KeptTiles(default_folder() if folder is None else folder)
    tiles = {}
    for kernel in kernels:
        named = {"head_dim": max(q.shape[-1], v.shape[-1]), "dtype": DTYPE_NAMES[q.dtype], "arch": arch}
        choice = candidates(kernel, **named)  # type: ignore[arg-type]
        key = _key(kernel, q, k, v, causal, arch)
        tile = kept.get(key)
        if tile is None:
            times = _times(choice, partial(call, kernel, q, k, v, causal, arch), measure)
            tile = min(times, key=times.__getitem__)
            kept.put(key, tile, milliseconds=times[tile], tried=len(choice))
        tiles[kernel] = tile
    return tiles


def _milliseconds(call: Callable[[], object]) -> float:
    from triton.testing import do_bench

    return float(do_bench(call, return_mode="median"))


@on_its_device
def tile_times(
    kernel: str,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = False,
    arch: int | None = None,
    measure: Measure | None = None,
) -> dict[Tile, float]:
    """Milliseconds of every candidate that runs, the table's tile first; arguments as of `tuned_tiles`.

    Raises:
        UnsupportedError: The kernel, head_dim, dtype or architecture is not supported.
        TritonError: Not one of them can be launched.
    """
    arch = device_arch(q.device) if arch is None else arch
    choice = candidates(kernel, head_dim=max(q.shape[-1], v.shape[-1]), dtype=DTYPE_NAMES[q.dtype], arch=arch)
    return _times(choice, partial(call, kernel, q, k, v, causal, arch), measure or _milliseconds)


def _times(
    choice: Sequence[Tile], call_of: Callable[[Tile], Callable[[], object]], measure: Measure
) -> dict[Tile, float]:
    """Milliseconds by tile; one that does not compile or fit is passed over."""
    times: dict[Tile, float] = {}
    failure: Exception | None = None
    for tile in choice:
        try:
            times[tile] = measure(call_of(tile))
        except TritonError as refusal:
            failure = failure or refusal
        except RuntimeError as refusal:
            # What Triton's compiler passes raise when they give up; any other error is the caller's to see.
            if "PassManager" not in str(refusal):
                raise
            failure = failure or refusal
    if failure is not None and not times:
        raise failure
    return times


def call(
    kernel: str,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    causal: bool,
    arch: int,
    tile: Tile,
) -> Callable[[], object]:
    """A call that runs `kernel` with `tile`; of the two backward kernels the other runs too, as tabled."""
    tiles = {kernel: tile}

    def decode() -> object:
        return flash_attn_with_kvcache(q, k, v, causal=causal, arch=arch, tiles=tiles)

    def forward() -> object:
        with torch.no_grad():
            return flash_attn_func(q, k, v, causal=causal, arch=arch, tiles=tiles)

    saved: list[list[torch.Tensor]] = []

    def backward() -> object:
        if not saved:
            inputs = [x.detach().requires_grad_() for x in (q, k, v)]
            with torch.enable_grad():
                out = flash_attn_func(inputs[0], inputs[1], inputs[2], causal=causal, arch=arch, tiles=tiles)
            assert isinstance(out, torch.Tensor)
            saved.append([out, torch.randn_like(out), *inputs])
        out, dout, *leaves = saved[0]
        return torch.autograd.grad(out, leaves, dout, retain_graph=True)

    return {"forward": forward, "decode": decode}.get(kernel, backward)


def _key(kernel: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool, arch: int) -> str:
    """What a winner holds for, in words."""
    card = "interpreter" if interpreted() else torch.cuda.get_device_name(q.device)
    driver = "none" if interpreted() else driver_version()
    return ", ".join(
        [
            f"{card}, driver {driver}, Triton {triton.__version__}, code {digest(kernel)}",
            f"{kernel}, sm_{arch}, head_dim {q.shape[-1]}/{v.shape[-1]}, {DTYPE_NAMES[q.dtype]}",
            f"{q.shape[2] // k.shape[2]} heads to a KV head, {'causal' if causal else 'full'}",
            f"up to {_bucket(q.shape[1])} queries and {_bucket(k.shape[1])} keys",
        ]
    )


def _bucket(length: int) -> int:
    """The next power of two, from 16 on: shorter lengths are one block."""
    return max(16, 1 << max(length - 1, 0).bit_length())
