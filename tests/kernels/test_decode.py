"""Split-KV decoding against fp64, in the interpreter."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from architectures import each_tiling
from l4guide_kernels import flash_attn_with_kvcache, launch, reference_attention
from l4guide_kernels.decode import split_count

decode: Callable[..., Any] = flash_attn_with_kvcache
HALVES = (torch.float16, torch.bfloat16)
Check = Callable[..., None]


@pytest.fixture
def check(tensor: Callable[..., torch.Tensor], within: Callable[..., None]) -> Check:
    """Decodes once and holds the result against fp64; the cache beyond each length holds NaN."""
    return partial(decode_within, tensor, within)


def decode_within(
    tensor: Callable[..., torch.Tensor],
    within: Callable[..., None],
    dtype: torch.dtype,
    *,
    seqlens: list[int],
    seqlen_q: int = 1,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 64,
    causal: bool = True,
    **options: int,
) -> None:
    """Holds output and log-sum-exp of one call against fp64."""
    cache = max(seqlens) + 3
    q = tensor((len(seqlens), seqlen_q, heads, head_dim), dtype)
    k, v = (tensor((len(seqlens), cache, kv_heads, head_dim), dtype) for _ in range(2))
    for x in (k, v):
        for i, length in enumerate(seqlens):
            x[i, length:] = float("nan")
    lengths = torch.tensor(seqlens, dtype=torch.int32)
    found = decode(q, k, v, cache_seqlens=lengths, causal=causal, return_softmax_lse=True, **options)
    exact, same_dtype = (
        reference_attention(*(x.to(to) for x in (q, k, v)), causal=causal, cache_seqlens=lengths)
        for to in (torch.float64, dtype)
    )
    for mine, theirs, truth in zip(found, same_dtype, exact, strict=True):
        within(mine, theirs, truth, dtype, f"{seqlens} {options}")


@pytest.mark.parametrize("splits", [1, 2, 3, 7])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_any_number_of_splits(splits: int, dtype: torch.dtype, check: Check) -> None:
    """Splitting the keys changes nothing, for lengths that leave splits empty or the whole cache unused."""
    check(dtype, seqlens=[200, 1, 0, 65], num_splits=splits)


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (3, 3), (7, 1), (8, 4), (40, 2)])
def test_groups_are_packed(heads: int, kv_heads: int, check: Check) -> None:
    """Any group of query heads shares its KV head, also one of more rows than a tile has."""
    check(torch.float16, seqlens=[97], heads=heads, kv_heads=kv_heads, head_dim=32, num_splits=2)


@pytest.mark.parametrize("seqlen_q", [2, 5, 17])
@pytest.mark.parametrize("causal", [True, False])
def test_several_new_queries(seqlen_q: int, causal: bool, check: Check) -> None:
    """Queries after the first see one key more each; with fewer keys than queries the first see none."""
    check(
        torch.bfloat16, seqlens=[70, 3], seqlen_q=seqlen_q, heads=3, kv_heads=1, causal=causal, num_splits=3
    )


@pytest.mark.parametrize("head_dim", [1, 16, 40, 72, 96, 128, 192, 256])
def test_any_head_dim(head_dim: int, check: Check) -> None:
    """Columns that pad the head never count."""
    check(torch.float16, seqlens=[75], head_dim=head_dim, heads=2, num_splits=2)


def test_fp32(check: Check) -> None:
    """In fp32 the error stays at fp32's size."""
    check(torch.float32, seqlens=[75, 20], num_splits=2)


@pytest.mark.parametrize(("head_dim", "arch"), each_tiling([128], ("decode",)))
def test_every_architecture_decodes_the_same(head_dim: int, arch: int, check: Check) -> None:
    """Each architecture's tiles pass the same check, whatever machine runs the test."""
    check(torch.float16, seqlens=[130], head_dim=head_dim, arch=arch, num_splits=2)


def test_one_length_for_all(tensor: Callable[..., torch.Tensor]) -> None:
    """A number counts for every sequence, and None takes the whole cache."""
    q, k, v = (tensor((2, n, 2, 16), torch.float32) for n in (1, 50, 50))
    for given, length in ((20, 20), (None, 50)):
        exact, _ = reference_attention(q.double(), k[:, :length].double(), v[:, :length].double())
        found = decode(q, k, v, cache_seqlens=given)
        torch.testing.assert_close(exact.float(), found, atol=1e-5, rtol=1e-5)


def test_splits_follow_each_sequences_own_keys(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cache that is split, a short sequence takes fewer parts, down to one that nothing merges."""
    monkeypatch.setattr(launch, "_side_by_side", lambda *_: 40)
    check(torch.float16, seqlens=[600, 0, 70, 300], heads=2, head_dim=16)


def test_a_merge_leaves_no_trace(tensor: Callable[..., torch.Tensor]) -> None:
    """What counts the parts is 0 again after a launch: the next one gives the same bits."""
    q, k, v = (tensor((2, n, 2, 16), torch.float16) for n in (3, 200, 200))
    first, second = (decode(q, k, v, num_splits=3) for _ in range(2))
    assert torch.equal(first, second)


def test_splits_only_when_the_gpu_is_idle() -> None:
    """Enough programs need no split; few programs get as many as fill the last wave, and never an empty one."""
    assert split_count(programs=47, blocks=100, processors=58) == 1
    assert split_count(programs=29, blocks=100, processors=58) == 2
    assert 1 < split_count(programs=8, blocks=64, processors=116) <= 16


@pytest.mark.parametrize(("blocks", "most"), [(1, 1), (4, 1), (7, 1), (8, 2), (40, 10)])
def test_short_caches_are_not_split_to_pieces(blocks: int, most: int) -> None:
    """A part of fewer than four blocks of keys would cost more to merge than it saves."""
    assert split_count(programs=1, blocks=blocks, processors=116) == most


@pytest.mark.parametrize(("shared", "programs"), [(None, 116), (50 * 1024, 58), (49 * 1024, 116)])
def test_what_runs_side_by_side_fits(
    shared: int | None, programs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two programs share a processor of an L4 where its 100 KiB hold both, and a KiB of the system's for each."""
    monkeypatch.setattr(launch, "interpreted", lambda: False)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(multi_processor_count=58)
    )
    assert launch._side_by_side(torch.device("cuda"), 89, shared) == programs
