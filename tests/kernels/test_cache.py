"""Caches that are paged, shared, left-padded, appended to and rotated, against fp64 one sequence at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from architectures import each_tiling
from hypothesis import HealthCheck, given, settings
from l4guide_kernels import flash_attn_with_kvcache, reference_attention
from sweeps import crossed

decode: Callable[..., Any] = flash_attn_with_kvcache
Maker = Callable[..., torch.Tensor]
Check = Callable[..., None]
HALVES = (torch.float16, torch.bfloat16)
few = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call: how many keys each sequence has before it, and what is asked for."""

    seqlens: tuple[int, ...] = (70, 1, 0, 37)
    seqlen_q: int = 1
    new: int = 0
    heads: tuple[int, int] = (2, 1)
    head_dim: int = 32
    v_dim: int | None = None
    dtype: torch.dtype = torch.float16
    page: int | None = None
    shared: bool = False
    leftpad: tuple[int, ...] | None = None
    rotary_dim: int = 0
    interleaved: bool = True
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Keys and values, where each key of each sequence lies in them, and the arguments that say so."""

    k: torch.Tensor
    v: torch.Tensor
    rows: list[list[tuple[int, int]]]
    arguments: dict[str, torch.Tensor]


def build_cache(case: Case, tensor: Maker, generator: torch.Generator) -> Cache:
    """A cache with room for what is appended, NaN wherever a sequence has no key."""
    batch, room = len(case.seqlens), max(case.seqlens) + case.new + 2
    arguments = {}
    if case.page is not None:
        blocks = -(-room // case.page)
        table = torch.randperm(batch * blocks + 2, generator=generator)[: batch * blocks].view(batch, blocks)
        arguments["block_table"] = table.to(torch.int32)
        outer, page = batch * blocks + 2, case.page
        rows = [[(int(place), j) for place in table[b] for j in range(page)] for b in range(batch)]
    else:
        outer, page, order = batch, room, list(range(batch))
        if case.shared:
            outer = batch + 2
            order = torch.randperm(outer, generator=generator)[:batch].tolist()
            arguments["cache_batch_idx"] = torch.tensor(order, dtype=torch.int32)
        rows = [[(b, j) for j in range(room)] for b in order]
    if case.leftpad is not None:
        arguments["cache_leftpad"] = torch.tensor(case.leftpad, dtype=torch.int32)
    k, v = (
        tensor((outer, page, case.heads[1], dim), case.dtype)
        for dim in (case.head_dim, case.v_dim or case.head_dim)
    )
    real = torch.zeros((outer, page), dtype=torch.bool)
    for b, length in enumerate(case.seqlens):
        for row in rows[b][case.leftpad[b] if case.leftpad else 0 : length]:
            real[row] = True
    for x in (k, v):
        x.masked_fill_(~real[..., None, None], torch.nan)
    return Cache(k=k, v=v, rows=rows, arguments=arguments)


def rotated(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, places: torch.Tensor, interleaved: bool
) -> torch.Tensor:
    """The rows of `x` (rows, heads, head_dim) turned by the angles of their places, in the dtype of `x`."""
    width = 2 * cos.shape[1]
    c, s = (angle.to(x.dtype)[places][:, None] for angle in (cos, sin))
    first, second = (
        (slice(0, width, 2), slice(1, width, 2))
        if interleaved
        else (slice(0, width // 2), slice(width // 2, width))
    )
    a, b = x[..., first], x[..., second]
    turned = x.clone()
    turned[..., first], turned[..., second] = a * c - b * s, b * c + a * s
    return turned


def bits(x: torch.Tensor) -> torch.Tensor:
    """`x` as integers, so that NaN equals itself."""
    return x.contiguous().view(torch.int16 if x.element_size() == 2 else torch.int32)


@pytest.fixture
def check(tensor: Maker, within: Check, generator: torch.Generator) -> Check:
    """Makes one call and holds its results, and what it left in the cache, against the oracle."""

    def hold(case: Case, **launch: Any) -> None:
        batch, dtype = len(case.seqlens), case.dtype
        cache = build_cache(case, tensor, generator)
        q = tensor((batch, case.seqlen_q, case.heads[0], case.head_dim), dtype)
        arguments: dict[str, Any] = dict(cache.arguments)
        if case.new:
            arguments["k"] = tensor((batch, case.new, case.heads[1], case.head_dim), dtype)
            arguments["v"] = tensor((batch, case.new, *cache.v.shape[2:]), dtype)
        if case.rotary_dim:
            angles = torch.rand((len(cache.rows[0]) + 3, case.rotary_dim // 2), generator=generator)
            arguments |= {
                "rotary_cos": torch.cos(6 * angles).to(dtype),
                "rotary_sin": torch.sin(6 * angles).to(dtype),
                "rotary_interleaved": case.interleaved,
            }
        before = (cache.k.clone(), cache.v.clone())
        found = decode(
            *(q, cache.k, cache.v),
            **arguments,
            cache_seqlens=torch.tensor(case.seqlens, dtype=torch.int32),
            return_softmax_lse=True,
            **case.options,
            **launch,
        )
        exact, theirs = (
            expected(case, q, before, cache.rows, arguments, to) for to in (torch.float64, dtype)
        )
        for name, mine, other, truth in zip(("out", "lse"), found, theirs, exact, strict=True):
            within(mine, other, truth, dtype, f"{name} of {case} {launch}")
        check_cache(case, cache, before, arguments, within)

    return hold


def expected(
    case: Case,
    q: torch.Tensor,
    before: tuple[torch.Tensor, torch.Tensor],
    rows: list[list[tuple[int, int]]],
    arguments: dict[str, Any],
    to: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The oracle's output and log-sum-exp, computed in `to`."""
    options = dict(case.options)
    slopes = options.pop("alibi_slopes", None)
    turns = options.get("causal") or max(options.get("window_size", (-1, -1))) >= 0
    parts = []
    for b, length in enumerate(case.seqlens):
        first = case.leftpad[b] if case.leftpad else 0
        at = torch.tensor(rows[b][first:length], dtype=torch.int64).view(-1, 2)
        queries, keys, values = (q[b].to(to), *(x[at[:, 0], at[:, 1]].to(to) for x in before))
        if case.rotary_dim:
            places = length + torch.arange(case.seqlen_q) * (1 if turns else 0)
            queries = rotated(queries, *turning(arguments), places, case.interleaved)
        if case.new:
            keys = torch.cat([keys, appended(case, b, arguments, to)])
            values = torch.cat([values, arguments["v"][b].to(to)])
        own = slopes[b] if slopes is not None and slopes.dim() > 1 else slopes
        parts.append(
            reference_attention(queries[None], keys[None], values[None], alibi_slopes=own, **options)
        )
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def turning(arguments: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The cosines and sines of a call."""
    return arguments["rotary_cos"], arguments["rotary_sin"]


def appended(case: Case, b: int, arguments: dict[str, Any], to: torch.dtype) -> torch.Tensor:
    """The keys that sequence `b` gets, rotated in the dtype `to`."""
    keys: torch.Tensor = arguments["k"][b].to(to)
    if not case.rotary_dim:
        return keys
    return rotated(keys, *turning(arguments), case.seqlens[b] + torch.arange(case.new), case.interleaved)


def check_cache(
    case: Case,
    cache: Cache,
    before: tuple[torch.Tensor, torch.Tensor],
    arguments: dict[str, Any],
    within: Check,
) -> None:
    """New keys and values are in their rows, and no other bit of the cache has changed."""
    written = torch.zeros(cache.k.shape[:2], dtype=torch.bool)
    for b, length in enumerate(case.seqlens):
        for j in range(case.new):
            row = cache.rows[b][length + j]
            written[row] = True
            assert torch.equal(arguments["v"][b, j], cache.v[row])
            exact, theirs = (appended(case, b, arguments, to)[j] for to in (torch.float64, case.dtype))
            within(cache.k[row], theirs, exact, case.dtype, f"key {j} of {case}")
            if not case.rotary_dim:
                assert torch.equal(arguments["k"][b, j], cache.k[row])
    for was, now in zip(before, (cache.k, cache.v), strict=True):
        assert torch.equal(bits(was[~written]), bits(now[~written]))


@pytest.mark.parametrize("page", [1, 3, 7, 16, 64, 256])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_pages_of_any_size(page: int, dtype: torch.dtype, check: Check) -> None:
    """Keys scattered over pages are found; pages of others and what lies behind a length stay unread."""
    check(Case(dtype=dtype, page=page), num_splits=2)


@pytest.mark.parametrize("page", [None, 1, 5, 16], ids=str)
@pytest.mark.parametrize("dtype", [*HALVES, torch.float32], ids=str)
def test_appending(page: int | None, dtype: torch.dtype, check: Check) -> None:
    """New keys and values land behind each length, in place, and are seen."""
    check(Case(dtype=dtype, page=page, new=3, seqlen_q=3, options={"causal": True}), num_splits=2)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("seqlen_q", "new"), [(1, 1), (5, 2), (2, 5), (1, 40)])
def test_appending_more_or_fewer_than_queries(seqlen_q: int, new: int, causal: bool, check: Check) -> None:
    """As many keys may come in as one likes; the mask is aligned to the last of them."""
    check(Case(seqlen_q=seqlen_q, new=new, options={"causal": causal}))


@pytest.mark.parametrize("head_dim", [1, 33, 40, 72, 96, 200, 320])
def test_appending_heads_of_any_width(head_dim: int, check: Check) -> None:
    """The cache itself is written, whatever its head_dim, and not a padded copy."""
    check(Case(seqlens=(20, 0), new=2, seqlen_q=2, head_dim=head_dim, options={"causal": True}))


@pytest.mark.parametrize(
    ("rotary_dim", "interleaved", "options"),
    crossed(
        product([16, 32, 48, 64], [True, False]),
        [{"causal": True}, {}, {"window_size": (9, 2)}],
        whole=[(48, True), (48, False)],
    ),
    ids=str,
)
def test_rotary(rotary_dim: int, interleaved: bool, options: dict[str, Any], check: Check) -> None:
    """Pairs, or halves, of the first columns are turned; queries by their places only under a mask."""
    check(
        Case(
            new=3,
            seqlen_q=3,
            head_dim=64,
            rotary_dim=rotary_dim,
            interleaved=interleaved,
            options=options,
        )
    )


@pytest.mark.parametrize(
    ("head_dim", "interleaved", "dtype"),
    crossed(product([80, 96, 192], [True, False]), [*HALVES, torch.float32], whole=[(96, False)]),
    ids=str,
)
def test_rotary_of_split_heads(head_dim: int, interleaved: bool, dtype: torch.dtype, check: Check) -> None:
    """Heads that are cut into column blocks are turned as a whole, in pages too."""
    case = Case(
        seqlens=(20, 3),
        new=1,
        dtype=dtype,
        head_dim=head_dim,
        page=7,
        rotary_dim=head_dim // 16 * 16,
        interleaved=interleaved,
        options={"causal": True},
    )
    check(case)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("new", [0, 2])
def test_sequences_kept_elsewhere(new: int, dtype: torch.dtype, check: Check) -> None:
    """`cache_batch_idx` says which sequence of a larger cache is whose, for reading and for writing."""
    check(Case(dtype=dtype, shared=True, new=new, seqlen_q=2, options={"causal": True}), num_splits=3)


@pytest.mark.parametrize("leftpad", [(3, 0, 0, 36), (69, 1, 0, 1), (16, 0, 0, 37)], ids=str)
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"window_size": (50, 0)}], ids=str)
def test_left_padding(leftpad: tuple[int, ...], options: dict[str, Any], check: Check) -> None:
    """Keys before the first valid one are not there, and may be NaN."""
    check(Case(leftpad=leftpad, seqlen_q=2, options=options), num_splits=2)


def test_left_padding_does_not_move_places(slopes: Maker, check: Check) -> None:
    """New keys land behind the length, turned by their place in the cache; distances stay."""
    options = {"causal": True, "alibi_slopes": slopes(2)}
    check(Case(leftpad=(3, 1, 0, 30), shared=True, new=2, seqlen_q=2, rotary_dim=32, options=options))


@pytest.mark.parametrize("splits", [0, 1, 3])
@pytest.mark.parametrize("window_size", [(0, 0), (5, 2), (33, -1), (-1, 0)], ids=str)
def test_windows(window_size: tuple[int, int], splits: int, check: Check) -> None:
    """Windows are aligned to each sequence's last key, however the keys are split."""
    check(Case(seqlen_q=4, options={"window_size": window_size}), num_splits=splits)


@pytest.mark.parametrize("splits", [1, 4])
@pytest.mark.parametrize("dtype", [*HALVES, torch.float32], ids=str)
@pytest.mark.parametrize("page", [None, 7], ids=str)
def test_every_feature_at_once(
    page: int | None, dtype: torch.dtype, splits: int, slopes: Maker, check: Check
) -> None:
    """Softcap, ALiBi by sequence, sinks, a window and v's own width hold across splits and pages."""
    options = {
        "softcap": 4.0,
        "alibi_slopes": slopes(4, 2),
        "learnable_sink": torch.tensor([0.0, 3.0]),
        "window_size": (40, 1),
        "softmax_scale": 0.25,
    }
    case = Case(dtype=dtype, page=page, new=2, seqlen_q=3, head_dim=40, v_dim=24, options=options)
    check(case, num_splits=splits)


@pytest.mark.parametrize("splits", [1, 3])
def test_sinks_of_sequences_without_keys(splits: int, check: Check) -> None:
    """A sink counts once, not once per split, and alone where there is no key."""
    options = {"learnable_sink": torch.tensor([5.0, -5.0])}
    check(Case(options=options), num_splits=splits)


@pytest.mark.parametrize("dims", [(192, 128), (576, 512)], ids=str)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_latent_attention(dims: tuple[int, int], dtype: torch.dtype, check: Check) -> None:
    """Heads of 192 with values of 128, and 16 heads that share one latent head of 576 with values of 512."""
    case = Case(
        seqlens=(35, 9),
        heads=(16, 1),
        head_dim=dims[0],
        v_dim=dims[1],
        page=16,
        dtype=dtype,
    )
    check(case, num_splits=2)


@pytest.mark.parametrize(("head_dim", "arch"), each_tiling([64, 192, 320], ("decode",)))
def test_every_architectures_tiles(head_dim: int, arch: int, slopes: Maker, check: Check) -> None:
    """Each architecture's tiles give the same, whatever machine runs the test."""
    options = {"causal": True, "alibi_slopes": slopes(2), "learnable_sink": torch.zeros(2)}
    case = Case(
        seqlens=(130, 5),
        new=1,
        seqlen_q=2,
        head_dim=head_dim,
        page=48,
        rotary_dim=32,
        options=options,
    )
    check(case, num_splits=2, arch=arch)


cases = st.builds(
    Case,
    seqlens=st.lists(st.sampled_from([0, 1, 2, 31, 53, 64]), min_size=1, max_size=3).map(tuple),
    seqlen_q=st.integers(1, 6),
    new=st.integers(0, 6),
    heads=st.sampled_from([(1, 1), (2, 2), (3, 1)]),
    head_dim=st.integers(1, 72),
    v_dim=st.one_of(st.none(), st.integers(1, 72)),
    dtype=st.sampled_from([*HALVES, torch.float32]),
    page=st.sampled_from([None, 1, 3, 7, 16, 64, 256]),
    options=st.fixed_dictionaries(
        {"causal": st.booleans(), "window_size": st.sampled_from([(-1, -1), (13, 0), (2, 2)])}
    ),
)


@few
@given(case=cases, splits=st.integers(0, 4))
def test_any_call_agrees_with_fp64(check: Check, case: Case, splits: int) -> None:
    """Whatever lies in a cache, and whatever comes in, results stay within twice PyTorch's own error."""
    check(case, num_splits=splits)


def test_one_number_of_keys(tensor: Maker) -> None:
    """`cache_seqlens` may be a number for all sequences, with keys appended behind it."""
    q, k, v = (tensor((2, 2, 2, 16), torch.float32) for _ in range(3))
    caches = [tensor((2, 20, 2, 16), torch.float32) for _ in range(2)]
    copies = [cache.clone() for cache in caches]
    found = decode(q, *caches, k, v, cache_seqlens=11, causal=True)
    lengths = torch.full((2,), 11, dtype=torch.int32)
    assert torch.equal(decode(q, *copies, k, v, cache_seqlens=lengths, causal=True), found)
    for cache, copy in zip(caches, copies, strict=True):
        assert torch.equal(bits(copy), bits(cache))
