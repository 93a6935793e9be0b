"""The forward pass that fetches keys and values in boxes (TMA), against fp64, in the interpreter."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import boxes, flash_attn_func, flash_attn_varlen_func, flash_attn_with_kvcache, launch
from l4guide_kernels.operators import decode_tiles, encode_tiles
from l4guide_kernels.tiles import Tile, can_box, tile_for

attention: Callable[..., Any] = flash_attn_func
Maker = Callable[..., torch.Tensor]
HOPPER: dict[str, Any] = {"arch": 90}


@pytest.fixture
def boxed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the tensors that boxes were made of, so far."""
    shapes: list[tuple[int, ...]] = []

    def noted(x: torch.Tensor, rows: int) -> boxes.Boxes:
        shapes.append(tuple(x.shape))
        return boxes.boxes(x, rows)

    monkeypatch.setattr(launch, "boxes", noted)
    return shapes


@pytest.fixture
def qkv(tensor: Maker) -> Callable[..., dict[str, torch.Tensor]]:
    """Makes q, k and v by name, inside larger tensors full of NaN."""

    def make(
        seqlen_q: int, seqlen_k: int, head_dim: int, *, dtype: torch.dtype = torch.float16, batch: int = 1
    ) -> dict[str, torch.Tensor]:
        key = (batch, seqlen_k, 1, head_dim)
        shapes = {"q": (batch, seqlen_q, 2, head_dim), "k": key, "v": key}
        return {name: tensor(shape, dtype) for name, shape in shapes.items()}

    return make


@pytest.mark.parametrize(
    ("head_dim", "dtype", "options"),
    [
        (64, torch.bfloat16, {"causal": True}),
        (72, torch.float16, {"causal": True}),
        (96, torch.bfloat16, {}),
        (128, torch.float16, {"window_size": (20, 5)}),
        (16, torch.float16, {"causal": True, "softcap": 3.0}),
    ],
)
def test_agrees_with_fp64(
    head_dim: int,
    dtype: torch.dtype,
    options: dict[str, Any],
    qkv: Callable[..., dict[str, torch.Tensor]],
    attends: Callable[..., None],
    boxed: list[tuple[int, ...]],
) -> None:
    """Ragged lengths, groups, masks and heads in two blocks are as accurate as by pointers; poison stays outside."""
    attends(qkv(37, 90, head_dim, dtype=dtype, batch=2), HOPPER, **options)
    assert [(2, 90, 1, -(-head_dim // 8) * 8)] * 2 == boxed


def test_values_of_their_own_width(
    tensor: Maker, attends: Callable[..., None], boxed: list[tuple[int, ...]]
) -> None:
    """Keys of 40 columns and values of 72 have boxes of their own."""
    shapes = {"q": (1, 33, 2, 40), "k": (1, 65, 2, 40), "v": (1, 65, 2, 72)}
    attends({name: tensor(shape, torch.float16) for name, shape in shapes.items()}, HOPPER, causal=True)
    assert [(1, 65, 2, 40), (1, 65, 2, 72)] == boxed


def test_every_feature_as_by_pointers(
    qkv: Callable[..., dict[str, torch.Tensor]], boxed: list[tuple[int, ...]]
) -> None:
    """Window, softcap, ALiBi, sinks and dropout give the bits that the same tile gives by pointers."""
    tensors = qkv(40, 70, 32)
    results: list[torch.Tensor] = []
    for in_boxes in (True, False):
        torch.manual_seed(3)
        tile = Tile(block_m=64, block_n=32, warps=4, stages=2, boxes=in_boxes)
        results.append(
            attention(
                **tensors,
                dropout_p=0.2,
                window_size=(30, 0),
                softcap=2.0,
                alibi_slopes=torch.rand(2, generator=torch.Generator().manual_seed(1)),
                learnable_sink=torch.ones(2),
                tiles={"forward": tile},
                **HOPPER,
            )
        )
    assert 2 == len(boxed)
    assert torch.equal(*results)


def test_unaligned_rows_are_copied_and_boxed(boxed: list[tuple[int, ...]]) -> None:
    """Rows that begin at no multiple of 16 bytes are copied first, as for pointers."""
    packed = torch.randn(2, 20, 3, 147).half()
    q, k, v = (packed[..., 49 * i + 1 : 49 * i + 49] for i in range(3))
    by_boxes = attention(q, k, v, causal=True, **HOPPER)
    assert [(2, 20, 3, 48)] * 2 == boxed
    assert torch.equal(attention(q, k, v, causal=True, arch=89), by_boxes)


@pytest.mark.parametrize("axis", [0, 2])
def test_an_expanded_axis_goes_by_pointers(axis: int, boxed: list[tuple[int, ...]]) -> None:
    """Keys that one entry stands for all of, of a batch or of the heads, are read where they lie."""
    q = torch.randn(2, 20, 2, 32).half()
    k = torch.randn_like(q).narrow(axis, 0, 1).expand_as(q)
    found = attention(q, k, k, causal=True, **HOPPER)
    assert [] == boxed
    assert torch.equal(attention(q, k.contiguous(), k.contiguous(), causal=True, arch=90), found)


def test_what_ends_before_its_tensor_goes_by_pointers(
    qkv: Callable[..., dict[str, torch.Tensor]], boxed: list[tuple[int, ...]]
) -> None:
    """Packed and padded sequences, and empty ones, have no box, since what follows them is not zero."""
    tensors = qkv(20, 20, 32, batch=2)
    rows = [x.flatten(0, 1) for x in tensors.values()]
    ends = torch.tensor([0, 15, 40], dtype=torch.int32)
    flash_attn_varlen_func(rows[0], rows[1], rows[2], ends, ends, 25, 25, **HOPPER)
    lengths = torch.tensor([15, 20], dtype=torch.int32)
    flash_attn_with_kvcache(tensors["q"], tensors["k"], tensors["v"], cache_seqlens=lengths, **HOPPER)
    attention(**qkv(20, 0, 32), **HOPPER)
    assert [] == boxed


def test_boxes_are_for_the_forward_pass_in_16_bits_from_sm_90_on() -> None:
    """Other passes, fp32 and older cards have none; sm_120's tensor cores read registers, and go without."""
    assert [90, 100, 103] == [
        arch for arch in (80, 86, 89, 90, 100, 103, 120) if can_box("forward", "bf16", arch)
    ]
    assert not can_box("backward-dq", "bf16", 90)
    assert not can_box("forward", "fp32", 90)
    assert tile_for("forward", 128, "fp16", 90) != tile_for("forward", 128, "fp16", 90, boxes=False)


def test_a_tile_keeps_its_boxes_through_an_operator() -> None:
    """Tiles with and without boxes come out of a graph's numbers as they went in."""
    tiles = {
        name: Tile(block_m=64, block_n=32, warps=4, stages=2, boxes=in_boxes)
        for name, in_boxes in (("forward", False), ("decode", True))
    }
    assert tiles == decode_tiles(encode_tiles(tiles))
