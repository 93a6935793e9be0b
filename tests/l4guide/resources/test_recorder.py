"""Keeping the record."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from l4guide_kernels import code
from l4guide_kernels.tiles import KERNELS, SPECIALISATIONS

from l4guide.errors import CannotDo
from l4guide.resources import mix_record, record, recorder
from l4guide.resources.defaults import (
    SERVING,
    VALUE_WIDTHS,
    WIDEST_COMMON,
    default_tiles,
    everything,
    flagship,
    mixes,
)
from l4guide.resources.mix import Mix
from l4guide.resources.recorder import keep_record
from l4guide.resources.specialisation import Figures, Specialisation

MIX = Mix(tensor=4, exp=3, mask=0, arithmetic=2, memory=1, other=0)
FIGURES = Figures(
    basis="recorded",
    shared_bytes=1,
    registers=2,
    spill_bytes=0,
    stack_bytes=0,
    triton_version="0.1",
    instructions=MIX,
)


class Asked:
    """A compiler that answers at once and remembers what it was asked."""

    def __init__(self) -> None:
        self.questions: list[Specialisation] = []

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *fault: object) -> None:
        """Nothing to end."""

    def compile(self, wanted: Specialisation) -> Figures:
        """Refuses fp32."""
        self.questions.append(wanted)
        if wanted.dtype == "fp32":
            raise CannotDo("error.needs_compiler", kernel=wanted.kernel, dtype=wanted.dtype)
        return FIGURES


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """The stand-in, with the record in a folder of its own."""
    compiler = Asked()
    monkeypatch.setattr(recorder, "Compiler", lambda: compiler)
    monkeypatch.setattr(record, "path_for", lambda version: tmp_path / f"{version}.csv")
    monkeypatch.setattr(mix_record, "path_for", lambda version: tmp_path / f"mix-{version}.csv")
    return compiler


def test_everything_is_every_default_tile_once() -> None:
    """All kernels and widths in both types on an L4, the usual widths on every architecture, and the flagship."""
    wanted = everything()
    assert len(wanted) == len(set(wanted))
    assert set(flagship()) <= set(wanted)
    square = [one for one in wanted if one.head_parts == one.head_parts_v]
    plain = {(one.arch, one.kernel, one.head_parts, one.dtype) for one in square}
    every = product([89], KERNELS, SPECIALISATIONS.values(), ("fp16", "bf16"))
    common = {parts for width, parts in SPECIALISATIONS.items() if width <= WIDEST_COMMON}
    assert {*every, *product({one.arch for one in wanted}, KERNELS, common, ["bf16"])} <= plain
    latent = {one.kernel for one in wanted if (one.head_dim, one.head_dim_v) == VALUE_WIDTHS[-1]}
    assert set(SERVING) == latent


def test_an_l4_is_first_and_holds_both_masks() -> None:
    """An interrupted run has answered for an L4: each 16-bit tile with and without a mask, fp32 with."""
    wanted = everything()
    on_l4 = [one for one in wanted if one.arch == 89]
    assert on_l4[: len(tuple(default_tiles([89])))] == list(wanted[: len(tuple(default_tiles([89])))])
    half = {one for one in on_l4 if one.dtype != "fp32"}
    assert half == {replace(one, causal=not one.causal) for one in half}
    assert {True} == {one.causal for one in on_l4 if one.dtype == "fp32"}


def test_latent_attention_is_recorded() -> None:
    """As it is trained, and with the projections absorbed."""
    found = {(one.head_dim, one.head_dim_v) for one in default_tiles([89]) if one.head_dim != one.head_dim_v}
    assert set(VALUE_WIDTHS) == found


def test_a_second_run_compiles_only_what_is_missing(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted run goes on where it was, and new code makes all rows stale."""
    wanted = [*default_tiles([89], ["bf16"])][:3]
    assert 0 == keep_record(wanted[:2], triton_version="0.1")
    assert 0 == keep_record(wanted, triton_version="0.1")
    assert wanted == asked.questions
    assert set(wanted) == set(record.read(tmp_path / "0.1.csv"))
    monkeypatch.setattr(code, "digest", lambda kernel: "changed")
    keep_record(wanted, triton_version="0.1")
    assert 2 * wanted == asked.questions


@pytest.mark.slow
@pytest.mark.usefixtures("asked")
def test_runs_side_by_side_lose_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one run writes while another is between reading and writing stays."""
    wanted = [*default_tiles([89], ["bf16"])][:4]
    read = record.read

    def dawdling(path: Path) -> dict[Specialisation, Figures]:
        found = read(path)
        time.sleep(0.3)
        return found

    monkeypatch.setattr(record, "read", dawdling)
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(keep_record, part, triton_version="0.1") for part in (wanted[::2], wanted[1::2])]
    assert [0, 0] == [run.result() for run in runs]
    assert set(wanted) == set(read(tmp_path / "0.1.csv"))


def test_tiles_that_are_no_longer_the_default_are_dropped(asked: Asked, tmp_path: Path) -> None:
    """A changed table leaves no stale evidence behind."""
    (one, *_) = default_tiles([89])
    stale = replace(one, tile=replace(one.tile, block_n=one.tile.block_n * 2))
    record.write(tmp_path / "0.1.csv", {stale: FIGURES})
    keep_record([one], triton_version="0.1")
    assert {one} == set(record.read(tmp_path / "0.1.csv"))


@pytest.mark.usefixtures("asked")
def test_what_an_l4s_loop_issues_is_kept_from_the_same_compilation(tmp_path: Path) -> None:
    """The mix stands in its own file, for the cards whose loops are recorded."""
    (here, *_), (elsewhere, *_) = default_tiles([89]), default_tiles([90])
    keep_record([here, elsewhere], triton_version="0.1")
    assert {here: MIX} == {one: row.mix for one, row in mix_record.read(tmp_path / "mix-0.1.csv").items()}
    assert here in mixes()


def test_a_missing_mix_is_made_though_the_bytes_are_known(asked: Asked, tmp_path: Path) -> None:
    """A row in one file alone is half an answer."""
    (one, *_) = default_tiles([89])
    keep_record([one], triton_version="0.1")
    (tmp_path / "mix-0.1.csv").unlink()
    keep_record([one], triton_version="0.1")
    assert [one, one] == asked.questions


@pytest.mark.usefixtures("asked")
def test_progress_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Each compilation says how many there are, and about how long the rest takes."""
    keep_record([*default_tiles([89])][:2], triton_version="0.1")
    said = capsys.readouterr().err.splitlines()
    assert ["1 of 2", "2 of 2"] == [line.partition(",")[0] for line in said]
    assert "min left: sm_89 forward" in said[0]


@pytest.mark.usefixtures("asked")
def test_a_refused_tile_is_counted_and_the_rest_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One tile that does not compile costs no other its row, and the reason is on stderr."""
    wanted = [next(default_tiles([89], [dtype])) for dtype in ("fp32", "fp16")]
    assert 1 == keep_record(wanted, triton_version="0.1")
    assert wanted[1:] == [*record.read(tmp_path / "0.1.csv")]
    assert "fp32" in capsys.readouterr().err
