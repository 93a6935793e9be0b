"""Keeping the record."""

from dataclasses import replace
from pathlib import Path

import pytest
from l4guide_kernels.tiles import KERNELS, SPECIALISATIONS

from l4guide.errors import CannotDo
from l4guide.resources import recorder
from l4guide.resources.record import read, write
from l4guide.resources.recorder import default_tiles, everything, flagship, keep_record
from l4guide.resources.specialisation import Figures, Specialisation

FIGURES = Figures(
    basis="recorded", shared_bytes=1, registers=2, spill_bytes=0, stack_bytes=0, triton_version="0.1"
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
    monkeypatch.setattr(recorder, "path_for", lambda version: tmp_path / f"{version}.csv")
    return compiler


def test_everything_is_every_default_tile_once() -> None:
    """Full and masked heads for all kernels, types and architectures, and the flagship, without repetition."""
    wanted = everything()
    assert len(wanted) == len(set(wanted))
    assert 2 * len(SPECIALISATIONS) * len(KERNELS) * 3 * 7 + len(tuple(flagship())) == len(wanted)


def test_a_second_run_compiles_only_what_is_missing(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted run goes on where it was, and new code makes all rows stale."""
    wanted = [*default_tiles([89], ["bf16"])][:3]
    assert 0 == keep_record(wanted[:2], triton_version="0.1")
    assert 0 == keep_record(wanted, triton_version="0.1")
    assert wanted == asked.questions
    assert set(wanted) == set(read(tmp_path / "0.1.csv"))
    monkeypatch.setattr(recorder, "digest", lambda kernel: "changed")
    keep_record(wanted, triton_version="0.1")
    assert 2 * wanted == asked.questions


def test_tiles_that_are_no_longer_the_default_are_dropped(asked: Asked, tmp_path: Path) -> None:
    """A changed table leaves no stale evidence behind."""
    (one, *_) = default_tiles([89])
    stale = replace(one, tile=replace(one.tile, block_n=one.tile.block_n * 2))
    write(tmp_path / "0.1.csv", {stale: FIGURES})
    keep_record([one], triton_version="0.1")
    assert {one} == set(read(tmp_path / "0.1.csv"))


@pytest.mark.usefixtures("asked")
def test_a_refused_tile_is_counted_and_the_rest_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One tile that does not compile costs no other its row, and the reason is on stderr."""
    wanted = [next(default_tiles([89], [dtype])) for dtype in ("fp32", "fp16")]
    assert 1 == keep_record(wanted, triton_version="0.1")
    assert wanted[1:] == [*read(tmp_path / "0.1.csv")]
    assert "fp32" in capsys.readouterr().err
