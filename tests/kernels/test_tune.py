"""Tuning with a clock that is told: what is tried, what wins, what is kept. Nothing here is timed."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import triton
from l4guide_kernels import flash_attn_func, tune, tuned_tiles
from l4guide_kernels.candidates import LIMIT_BYTES, MOST_CHANGES, candidates
from l4guide_kernels.kept import KeptTiles, default_folder
from l4guide_kernels.tiles import (
    ARCHS,
    KERNELS,
    SPECIALISATIONS,
    Tile,
    UnsupportedError,
    shared_bytes,
    tile_for,
)
from triton.runtime.errors import OutOfResources

TILE = Tile(block_m=64, block_n=32, warps=4, stages=2)


def qkv(seqlen: int = 16, heads: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs small enough to be interpreted for every candidate."""
    q = torch.randn(1, seqlen, heads, 16, dtype=torch.float16)
    return q, torch.randn_like(q[:, :, :1]), torch.randn_like(q[:, :, :1])


class Clock:
    """Gives the times it was told, one a call, and counts; without times each call is slower than the last."""

    def __init__(self, times: Callable[[int], float] = float, run: bool = False) -> None:
        self.times, self.run, self.calls = times, run, 0

    def __call__(self, call: Callable[[], object]) -> float:
        """The next time."""
        if self.run:
            call()
        self.calls += 1
        return self.times(self.calls)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_candidates_are_neighbours_that_fit(kernel: str, arch: int) -> None:
    """The table's comes first; none is there twice, differs in more than two numbers, or is known not to fit."""
    for width in SPECIALISATIONS:
        first, *others = candidates(kernel, head_dim=width, dtype="bf16", arch=arch)
        assert tile_for(kernel, width, "bf16", arch) == first
        assert len({first, *others}) == 1 + len(others)
        for tile in others:
            needed = shared_bytes(tile, kernel=kernel, head_dim=width, dtype="bf16", arch=arch)
            assert needed is None or needed <= LIMIT_BYTES[arch], tile
            names = ("block_m", "block_n", "warps", "stages", "boxes")
            assert 1 <= sum(getattr(first, n) != getattr(tile, n) for n in names) <= MOST_CHANGES
    assert 5 <= len(candidates(kernel, head_dim=64, dtype="bf16", arch=arch)) <= 32


def test_the_fastest_wins_and_is_kept(tmp_path: Path) -> None:
    """The third candidate's time is the shortest; the second call reads it from disk and times nothing."""
    clock = Clock(lambda count: 1.0 if count == 3 else 2.0)
    found = tuned_tiles(*qkv(), kernels=["forward"], folder=tmp_path, measure=clock)
    choice = candidates("forward", head_dim=16, dtype="fp16", arch=89)
    assert {"forward": choice[2]} == found
    assert len(choice) == clock.calls
    assert found == tuned_tiles(*qkv(), kernels=["forward"], folder=tmp_path, measure=clock)
    assert len(choice) == clock.calls


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_kernel_runs_with_its_candidates(
    kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is timed is a call that runs, of every candidate; what comes out can be passed on as `tiles=`."""
    monkeypatch.setattr(tune, "candidates", lambda name, **kind: candidates(name, **kind)[:3])
    clock = Clock(run=True)
    q, k, v = qkv()
    tiles = tuned_tiles(q, k, v, causal=True, kernels=[kernel], folder=tmp_path, measure=clock)
    assert clock.calls == 3
    assert {kernel: tile_for(kernel, 16, "fp16", 89)} == tiles
    assert flash_attn_func(q, k, v, causal=True, tiles=tiles).shape == q.shape  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"causal": True}, True),
        ({"inputs": qkv(17)}, True),
        ({"inputs": qkv(15)}, False),
        ({"inputs": qkv(heads=4)}, True),
        ({"arch": 80}, True),
        ({"code": "another"}, True),
        ({"triton": "9.9"}, True),
    ],
)
def test_a_winner_holds_for_its_kind_alone(
    change: dict[str, object], again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another mask, length bucket, group, architecture, kernel code or Triton is timed anew."""
    clock = Clock()
    asked: dict[str, object] = {"kernels": ["forward"], "folder": tmp_path, "measure": clock}
    tuned_tiles(*qkv(), **asked)  # type: ignore[arg-type]
    first, inputs = clock.calls, change.pop("inputs", qkv())
    if "code" in change:
        monkeypatch.setattr(tune, "digest", lambda kernel: change["code"])
    if "triton" in change:
        monkeypatch.setattr(triton, "__version__", change["triton"])
    public = {name: value for name, value in change.items() if name in ("causal", "arch")}
    tuned_tiles(*inputs, **asked, **public)  # type: ignore[arg-type,misc]
    assert again == (clock.calls > first)


def test_what_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    """A candidate that Triton refuses at launch is no failure, and cannot win."""

    def times(count: int) -> float:
        if count != 4:
            raise OutOfResources(200_000, 101_376, "shared memory")
        return 5.0

    found = tuned_tiles(*qkv(), kernels=["forward"], folder=tmp_path, measure=Clock(times))
    assert candidates("forward", head_dim=16, dtype="fp16", arch=89)[3] == found["forward"]


@pytest.mark.parametrize(
    "failure", [OutOfResources(200_000, 101_376, "shared memory"), RuntimeError("CUDA error: illegal access")]
)
def test_a_failure_of_all_is_told(failure: Exception, tmp_path: Path) -> None:
    """When not even the table's tile runs, its own error comes out, and nothing is kept."""

    def times(count: int) -> float:
        raise failure

    with pytest.raises(type(failure), match=str(failure).split(",", maxsplit=1)[0]):
        tuned_tiles(*qkv(), kernels=["forward"], folder=tmp_path, measure=Clock(times))
    assert [] == [*tmp_path.iterdir()]


def test_without_a_gpu_there_is_nothing_to_time() -> None:
    """The interpreter's times mean nothing, so they are not taken unless a clock is brought."""
    with pytest.raises(UnsupportedError, match="tune on a GPU"):
        tuned_tiles(*qkv())


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"form": 99, "tiles": {}}', '{"form": 1, "tiles": []}', b"\xff\xfe".decode("latin-1")],
)
def test_a_broken_file_is_reported_and_replaced(content: str, tmp_path: Path) -> None:
    """One warning names the file; the next winner is written as if there had been none."""
    kept = KeptTiles(tmp_path)
    kept.path.write_text(content)
    with pytest.warns(RuntimeWarning, match=r"tiles\.json.*continuing without it"):
        assert kept.get("key") is None
    with pytest.warns(RuntimeWarning, match=r"tiles\.json"):
        kept.put("key", TILE, milliseconds=1.0, tried=3)
    assert kept.get("key") == TILE


@pytest.mark.parametrize(
    "entry", [7, {}, {"block_m": "64", "block_n": 32, "warps": 4, "stages": 2}, {"block_m": 64}]
)
def test_a_broken_entry_is_reported(entry: object, tmp_path: Path) -> None:
    """It costs its own tile, not the others."""
    kept = KeptTiles(tmp_path)
    kept.put("whole", TILE, milliseconds=1.0, tried=3)
    content = json.loads(kept.path.read_text())
    content["tiles"]["broken"] = entry
    kept.path.write_text(json.dumps(content))
    with pytest.warns(RuntimeWarning, match="no valid tile under 'broken'"):
        assert kept.get("broken") is None
    assert kept.get("whole") == TILE


def test_two_writers_keep_each_others_tiles(tmp_path: Path) -> None:
    """The file is read again before it is replaced, and is whole at any time."""
    one, other = KeptTiles(tmp_path), KeptTiles(tmp_path)
    one.put("a", TILE, milliseconds=1.0, tried=3)
    other.put("b", TILE, milliseconds=1.0, tried=3)
    one.put("c", TILE, milliseconds=1.0, tried=3)
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            seen.append(set(json.loads(one.path.read_text())["tiles"]))

    reader = threading.Thread(target=read)
    reader.start()
    for count in range(50):
        one.put(f"{count}", TILE, milliseconds=1.0, tried=3)
    stop.set()
    reader.join()
    assert all({"a", "b", "c"} <= keys for keys in seen)
    assert ["tiles.json"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_that_cannot_be_written_costs_only_the_keeping(tmp_path: Path) -> None:
    """The winner is returned all the same, with a warning that it will not be remembered."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.warns(RuntimeWarning, match="continuing without it"):
        found = tuned_tiles(*qkv(), kernels=["forward"], folder=blocked, measure=Clock())
    assert tile_for("forward", 16, "fp16", 89) == found["forward"]


@pytest.fixture
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


@pytest.mark.usefixtures("_home")
@pytest.mark.parametrize(("named", "expected"), [("", "home/.cache"), ("relative", "home/.cache")])
def test_the_folder_is_the_platforms(
    named: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$XDG_CACHE_HOME where it is an absolute path, as its specification says; else ~/.cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert tmp_path / expected / "l4guide" == default_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert tmp_path / "caches" / "l4guide" == default_folder()
