"""What does not fit the card's shared memory, and what was tuned for it."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import triton
from l4guide_kernels import Tile, flash_attn_func, shared_bytes, tuned_tiles
from l4guide_kernels.candidates import candidates
from l4guide_kernels.problem import device_arch
from triton.runtime.errors import OutOfResources

pytestmark = pytest.mark.gpu
KERNEL = "backward-dkdv"


@pytest.fixture
def arch(device: torch.device) -> int:
    """The card's, or the interpreter's stand-in."""
    return device_arch(device)


def test_the_flagship_tile_does_not_fit(arch: int, device: torch.device) -> None:
    """128 queries by 128 keys at head_dim 128 is refused at launch, with the bytes and this card's limit.

    On a card of 99 KiB a block that is FlashAttention-1's tile in two stages; a larger card refuses it in four.
    """
    if device.type == "cpu":
        pytest.skip("the interpreter has no shared memory")
    limit = triton.runtime.driver.active.utils.get_device_properties(device.index or 0)["max_shared_mem"]
    tile = Tile(block_m=128, block_n=128, warps=8, stages=2 if limit < 132096 else 4)
    inputs = [
        torch.randn(1, 256, 2, 128, dtype=torch.bfloat16, device=device, requires_grad=True) for _ in range(3)
    ]
    q, k, v = inputs
    out: Any = flash_attn_func(q, k, v, causal=True, tiles={KERNEL: tile})
    with pytest.raises(OutOfResources) as refusal:
        torch.autograd.grad(out, inputs, torch.ones_like(out))
    required, stated = map(int, re.findall(r"Required: (\d+), Hardware limit: (\d+)", str(refusal.value))[0])
    assert limit == stated < required
    formula = shared_bytes(tile, kernel=KERNEL, head_dim=128, dtype="bf16", arch=arch)
    assert formula in (None, required)


def test_every_candidate_of_the_tuner_runs_or_is_refused(
    arch: int, device: torch.device, tmp_path: Path
) -> None:
    """Tuning ends with a tile from the list, and with outputs that are the table's."""
    q, k, v = (torch.randn(1, 128, 2, 64, dtype=torch.float16, device=device) for _ in range(3))
    clock = {"measure": lambda call: (call(), 1.0)[1]} if device.type == "cpu" else {}
    tiles = tuned_tiles(q, k, v, causal=True, kernels=["forward"], folder=tmp_path, **clock)  # type: ignore[arg-type]
    assert tiles["forward"] in candidates("forward", head_dim=64, dtype="fp16", arch=arch)
    assert (tmp_path / "tiles.json").exists()
    found, usual = flash_attn_func(q, k, v, causal=True, tiles=tiles), flash_attn_func(q, k, v, causal=True)
    torch.testing.assert_close(usual, found, atol=2e-3, rtol=2e-3)
