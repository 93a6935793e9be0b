"""Batches laid end to end, and caches: paged, shared, padded, appended to and rotated; on the card, against fp64."""

from collections.abc import Callable
from itertools import accumulate, product
from typing import Any

import pytest
import torch
from l4guide_kernels import flash_attn_varlen_func, flash_attn_with_kvcache, reference_attention

pytestmark = pytest.mark.gpu

varlen: Callable[..., Any] = flash_attn_varlen_func
decode: Callable[..., Any] = flash_attn_with_kvcache
Maker = Callable[..., torch.Tensor]
Check = Callable[..., None]
HALVES = (torch.float16, torch.bfloat16)
RAGGED = [(170, 333), (0, 5), (5, 0), (1, 1), (0, 0), (401, 130), (64, 640)]


def ends(lengths: list[int], device: torch.device) -> torch.Tensor:
    """Where each sequence begins, and the last one ends."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"causal": True}, {"window_size": (60, 3), "softcap": 5.0, "softmax_scale": 0.3}],
    ids=str,
)
@pytest.mark.parametrize("widths", [(64, 64), (128, 128), (192, 128)], ids=str)
def test_ragged_batches(
    widths: tuple[int, int],
    options: dict[str, Any],
    dtype: torch.dtype,
    tensor: Maker,
    agrees: Check,
    device: torch.device,
) -> None:
    """Sequences of any lengths, empty ones included, each as if it were alone; gradients too."""
    pairs = [(q // 8, k // 8) for q, k in RAGGED] if device.type == "cpu" else RAGGED
    queries, keys = ([pair[i] for pair in pairs] for i in (0, 1))
    tensors = {
        "q": tensor((sum(queries), 4, widths[0]), dtype),
        "k": tensor((sum(keys), 2, widths[0]), dtype),
        "v": tensor((sum(keys), 2, widths[1]), dtype),
    }

    def found(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out, lse, _ = varlen(
            **leaves,
            cu_seqlens_q=ends(queries, device),
            cu_seqlens_k=ends(keys, device),
            max_seqlen_q=max(queries),
            max_seqlen_k=max(keys),
            return_attn_probs=True,
            **options,
        )
        return out, lse

    def oracle(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        split = zip(*(torch.split(x, at) for x, at in ((q, queries), (k, keys), (v, keys))), strict=True)
        parts = [reference_attention(one[0][None], one[1][None], one[2][None], **options) for one in split]
        return torch.cat([out[0] for out, _ in parts]), torch.cat([lse[0] for _, lse in parts], -1)

    agrees(found, oracle, tensors, f"{pairs} {widths} {options}")


def turned(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, places: torch.Tensor, interleaved: bool
) -> torch.Tensor:
    """The rows of `x` (rows, heads, head_dim) turned by the angles of their places."""
    width = 2 * cos.shape[1]
    c, s = (angle.to(x.dtype)[places][:, None] for angle in (cos, sin))
    first, second = (
        (slice(0, width, 2), slice(1, width, 2))
        if interleaved
        else (slice(width // 2), slice(width // 2, width))
    )
    a, b = x[..., first], x[..., second]
    result = x.clone()
    result[..., first], result[..., second] = a * c - b * s, b * c + a * s
    return result


PAGES = [None, 1, 16, 48, 256]
ASKED: list[dict[str, Any]] = [
    {},
    {"num_splits": 1},
    {"num_splits": 7},
    {"seqlen_q": 5, "causal": True},
    {"seqlen_q": 3, "new": 3, "causal": True},
    {"new": 1, "rotary": True},
    {"seqlen_q": 4, "new": 4, "rotary": True, "interleaved": False, "causal": True},
    {"window_size": (300, 0), "softcap": 4.0},
]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(
    ("asked", "page", "width"),
    [
        *((asked, page, 128) for asked, page in product(ASKED, (None, 48))),
        *(({"seqlen_q": 2, "new": 2, "causal": True}, page, 64) for page in PAGES),
        *(({}, 16, width) for width in (40, 72, 96, 256, 512)),
    ],
    ids=str,
)
def test_caches(
    asked: dict[str, Any],
    page: int | None,
    width: int,
    dtype: torch.dtype,
    long: int,
    tensor: Maker,
    within: Check,
    generator: torch.Generator,
    device: torch.device,
) -> None:
    """One call over sequences of four lengths, and what it left in the cache; no other bit of it changes."""
    options = dict(asked)
    seqlen_q, new = options.pop("seqlen_q", 1), options.pop("new", 0)
    rotary, interleaved = options.pop("rotary", False), options.pop("interleaved", True)
    seqlens, room = [2 * long, 1, 0, long + 37], 2 * long + 16
    blocks = 1 if page is None else -(-room // page)
    cache = [tensor((4 * blocks + 2, room if page is None else page, 2, width), dtype) for _ in range(2)]
    table = torch.randperm(4 * blocks + 2, generator=generator, device=device)[: 4 * blocks].view(4, blocks)
    place = {"block_table" if page else "cache_batch_idx": (table if page else table[:, 0]).to(torch.int32)}
    rows = [(table[b].repeat_interleave(page or room), torch.arange(room, device=device)) for b in range(4)]
    rows = [(block[:room], j % (page or room)) for block, j in rows]
    for b, length in enumerate(seqlens):
        for x in cache:
            x[rows[b][0][length:], rows[b][1][length:]] = torch.nan
    before = [x.clone() for x in cache]
    arguments: dict[str, Any] = {}
    if new:
        arguments = {name: tensor((4, new, 2, width), dtype) for name in "kv"}
    angles = 6 * torch.rand((room + 8, width // 4), generator=generator, device=device)
    if rotary:
        arguments |= {"rotary_cos": angles.cos().to(dtype), "rotary_sin": angles.sin().to(dtype)}
    q = tensor((4, seqlen_q, 8, width), dtype)
    found = decode(
        *(q, *cache),
        **arguments,
        **place,
        rotary_interleaved=interleaved,
        cache_seqlens=torch.tensor(seqlens, dtype=torch.int32, device=device),
        return_softmax_lse=True,
        **options,
    )
    steps = options.get("causal") or max(options.get("window_size", (-1, -1))) >= 0
    options.pop("num_splits", None)

    def rotated(x: torch.Tensor, first: int, step: int) -> torch.Tensor:
        if not rotary:
            return x
        places = first + step * torch.arange(len(x), device=device)
        return turned(x, arguments["rotary_cos"], arguments["rotary_sin"], places, interleaved)

    for b, length in enumerate(seqlens):
        results = []
        for to in (dtype, torch.float64):
            keys, values = (x[rows[b][0][:length], rows[b][1][:length]].to(to) for x in before)
            if new:
                keys = torch.cat([keys, rotated(arguments["k"][b].to(to), length, 1)])
                values = torch.cat([values, arguments["v"][b].to(to)])
            queries = rotated(q[b].to(to), length, int(steps))
            results.append(
                (*reference_attention(queries[None], keys[None], values[None], **options), keys[length:])
            )
        written = cache[0][rows[b][0][length : length + new], rows[b][1][length : length + new]]
        mine = (found[0][b : b + 1], found[1][b : b + 1], written)
        for name, one, theirs, exact in zip(("out", "lse", "k"), mine, *results, strict=True):
            within(one, theirs, exact, dtype, f"{name} of sequence {b}")
        if new:
            at = rows[b][0][length : length + new], rows[b][1][length : length + new]
            assert torch.equal(arguments["v"][b], cache[1][at])
            for was, now in zip(before, cache, strict=True):
                was[at] = now[at]
    for was, now in zip(before, cache, strict=True):
        assert torch.equal(was.contiguous().view(torch.int16), now.contiguous().view(torch.int16))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_splits_and_pages_change_nothing(dtype: torch.dtype, long: int, tensor: Maker, device: Any) -> None:
    """The same keys in another order of pages give the same bits; another number of splits agrees closely."""
    page, blocks = 16, 2 * long // 16
    k, v = (tensor((blocks, page, 2, 128), dtype) for _ in range(2))
    q = tensor((1, 1, 8, 128), dtype)
    order = torch.randperm(blocks, device=device)
    table = torch.arange(blocks, dtype=torch.int32, device=device)[None]
    shuffled = torch.empty_like(table[0]).scatter_(0, order, table[0])[None]
    plain = decode(q, k, v, block_table=table, num_splits=3)
    assert torch.equal(plain, decode(q, k[order], v[order], block_table=shuffled, num_splits=3))
    for splits in (1, 2, 9):
        torch.testing.assert_close(
            plain, decode(q, k, v, block_table=table, num_splits=splits), atol=4e-3, rtol=2e-2
        )
