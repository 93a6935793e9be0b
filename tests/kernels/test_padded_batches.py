"""Lengths and indices that a GPU's caller cannot look at: nothing outside of a cache is written.

CUDA graphs are captured for a fixed batch and filled up with sequences of length -1 that have no page, as transformers'
continuous batching does. Here the GPU's way is taken in the interpreter: nothing is read before a launch.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import checks, flash_attn_with_kvcache, kvcache
from l4guide_kernels.problem import Plan, Problem

decode: Callable[..., Any] = flash_attn_with_kvcache
Maker = Callable[..., torch.Tensor]

ENTRIES, ROWS, GUARD = 6, 8, 2
#: Sequences of a batch: how many keys each has, and its pages or its entry of the cache. None: it only pads.
REAL = {1: (3, (4, 1)), 3: (12, (0, 5)), 4: (0, (2, -1))}
BATCH = 6


@pytest.fixture(autouse=True)
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a GPU to look at lengths and indices."""
    for module in (checks, kvcache):
        monkeypatch.setattr(module, "readable", lambda _: False)


def bits(x: torch.Tensor) -> torch.Tensor:
    """`x` as integers, so that NaN equals itself."""
    return x.view(torch.int16)


def memory(tensor: Maker) -> torch.Tensor:
    """Keys or values of a cache between neighbours, which are NaN."""
    x = tensor((ENTRIES + 2 * GUARD, ROWS, 1, 32), torch.float16)
    x[:GUARD] = x[-GUARD:] = torch.nan
    return x


def batch_of(kind: str, sequences: list[int], new: int, padding: int) -> dict[str, torch.Tensor]:
    """Lengths and indices of the sequences that are named; those that only pad have `padding` keys and no place."""
    entries = [REAL.get(i, (padding, (-1, -1))) for i in sequences]
    lengths = torch.tensor([length for length, _ in entries], dtype=torch.int32)
    places = torch.tensor([pages for _, pages in entries], dtype=torch.int32)
    if kind == "pages":
        return {"cache_seqlens": lengths, "block_table": places}
    lengths = lengths.clamp(max=ROWS - new)
    if kind == "entries":
        return {"cache_seqlens": lengths, "cache_batch_idx": places[:, 0].contiguous()}
    return {"cache_seqlens": lengths}


@pytest.mark.parametrize("rotary", [False, True], ids=["plain", "rotary"])
@pytest.mark.parametrize(
    ("new", "padding", "queries"), [(1, -1, 1), (2, -2, 3), (3, -7, 70), (1, -(2**31), 1)]
)
@pytest.mark.parametrize("kind", ["pages", "entries"])
def test_sequences_that_only_pad_are_as_if_they_were_not_there(
    kind: str, new: int, padding: int, queries: int, rotary: bool, tensor: Maker
) -> None:
    """The others, the cache and its neighbours are bit for bit as without them, and their own output is 0."""
    q = tensor((BATCH, queries, 2, 32), torch.float16)
    k, v = (tensor((BATCH, new, 1, 32), torch.float16) for _ in range(2))
    cos, sin = (tensor((99, 1, 16), torch.float16)[:, 0] for _ in range(2))
    angles = {"rotary_cos": cos, "rotary_sin": sin}
    padded, alone = ([x.clone() for x in pair] for pair in [[memory(tensor), memory(tensor)]] * 2)
    results = []
    for memories, sequences in ((padded, list(range(BATCH))), (alone, sorted(REAL))):
        caches = [x[GUARD:-GUARD] for x in memories]
        results.append(
            decode(
                *(q[sequences], *caches, k[sequences], v[sequences]),
                **batch_of(kind, sequences, new, padding),
                **(angles if rotary else {}),
                causal=True,
                num_splits=1,
                return_softmax_lse=True,
            )
        )
    for with_padding, without in zip(padded, alone, strict=True):
        assert torch.equal(bits(without), bits(with_padding))
    (out, lse), (expected, expected_lse) = results
    real = torch.tensor([i in REAL for i in range(BATCH)])
    assert torch.equal(expected, out[real])
    assert torch.equal(expected_lse, lse[real])
    assert not out[~real].any()
    assert bool((lse[~real] == -torch.inf).all())


@pytest.mark.parametrize("splits", [0, 1, 3])
def test_a_batch_that_lies_in_the_caches_order(splits: int, tensor: Maker) -> None:
    """Without indices the row before the first sequence's first is the neighbour's."""
    memories = [memory(tensor) for _ in range(2)]
    q, k, v = (tensor((ENTRIES, 1, heads, 32), torch.float16) for heads in (2, 1, 1))
    lengths = torch.tensor([-1, 0, 3, -1, 7, -1], dtype=torch.int32)
    before = [x.clone() for x in memories]
    out = decode(q, *(x[GUARD:-GUARD] for x in memories), k, v, cache_seqlens=lengths, num_splits=splits)
    for was, now, new in zip(before, memories, (k, v), strict=True):
        for entry, row in ((1, 0), (2, 3), (4, 7)):
            was[GUARD + entry, row] = new[entry, 0]
        assert torch.equal(bits(was), bits(now))
    assert [False, True, True, False, True, False] == out.flatten(1).any(1).tolist()
    assert bool(out.isfinite().all())


@pytest.mark.parametrize("length", [-2, -1, 0, 6, 7, 8, 2**31 - 1])
def test_only_rows_inside_are_written(length: int, tensor: Maker) -> None:
    """Of three new keys those are kept that lie from row 0 to the cache's last, and no other row changes."""
    memories = [memory(tensor) for _ in range(2)]
    q, k, v = (tensor((ENTRIES, 3, 1, 32), torch.float16) for _ in range(3))
    before = memories[0].clone()
    lengths = torch.full((ENTRIES,), length, dtype=torch.int32)
    decode(q, *(x[GUARD:-GUARD] for x in memories), k, v, cache_seqlens=lengths)
    for row in range(3):
        if 0 <= length + row < ROWS:
            before[GUARD:-GUARD, length + row] = k[:, row]
    assert torch.equal(bits(before), bits(memories[0]))


@pytest.mark.parametrize("place", [-1, -3, ENTRIES, ENTRIES + 1, 2**30])
@pytest.mark.parametrize("kind", ["block_table", "cache_batch_idx"])
def test_a_place_that_the_cache_does_not_have_is_not_written(kind: str, place: int, tensor: Maker) -> None:
    """The key whose page or entry is none is left out; the one before it is kept."""
    cache = memory(tensor)
    k = tensor((2, 2, 1, 32), torch.float16)
    lengths = torch.tensor([ROWS - 1, 2], dtype=torch.int32)
    if kind == "block_table":
        index = torch.tensor([[3, place], [1, 0]], dtype=torch.int32)
        kept = [(3, ROWS - 1, k[0, 0]), (1, 2, k[1, 0]), (1, 3, k[1, 1])]
    else:
        index = torch.tensor([place, 1], dtype=torch.int32)
        kept = [(1, 2, k[1, 0]), (1, 3, k[1, 1])]
    name = {"block_table": "pages", "cache_batch_idx": "slots"}[kind]
    # An append alone: to read such a place back would be another matter.
    problem = Problem(plan=Plan(arch=89), scale=1.0, **{name: index})  # type: ignore[arg-type]
    before = cache.clone()
    kvcache._append(problem, cache[GUARD:-GUARD], k, lengths, None, True)
    for entry, row, key in kept:
        before[GUARD + entry, row] = key
    assert torch.equal(bits(before), bits(cache))
