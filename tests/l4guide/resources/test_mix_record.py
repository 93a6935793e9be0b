"""Mixes are kept as tables, written whole, and made anew when the kernel changed."""

from pathlib import Path

import pytest

from l4guide.errors import BadData
from l4guide.resources import mix_record
from l4guide.resources.mix import Mix
from l4guide.resources.mix_record import RecordedMix, keep_mixes, read, write
from l4guide.resources.specialisation import Figures, Specialisation, specialise

MIX = Mix(tensor=4, exp=3, arithmetic=2, memory=1, other=0)
WANTED = specialise("forward", head_dim=72, dtype="bf16", arch=89)


class PretendCompiler:
    """Answers with one mix and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Specialisation] = []

    def __enter__(self) -> "PretendCompiler":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def compile(self, wanted: Specialisation) -> Figures:
        """The same figures for everything."""
        self.asked.append(wanted)
        return Figures(basis="compiled", shared_bytes=1, instructions=MIX)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PretendCompiler:
    """A compiler and a folder of the test's own."""
    compiler = PretendCompiler()
    monkeypatch.setattr(mix_record, "Compiler", lambda: compiler)
    monkeypatch.setattr(mix_record, "data_folder", lambda: tmp_path)
    return compiler


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A row keeps what was compiled, its counts, the compiler and the code."""
    rows = {WANTED: RecordedMix(mix=MIX, triton_version="3.7.1", code="abc")}
    write(tmp_path / "mix.csv", rows)
    assert rows == read(tmp_path / "mix.csv")


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    """A cell that is no number is told with its file and line."""
    path = tmp_path / "mix.csv"
    write(path, {WANTED: RecordedMix(mix=MIX, triton_version="3.7.1", code="abc")})
    path.write_text(path.read_text(encoding="utf-8").replace(",4,3,2,", ",4,many,2,"), encoding="utf-8")
    with pytest.raises(BadData, match=r"mix\.csv.*2"):
        read(path)


def test_only_what_is_missing_or_stale_is_compiled(compiler: PretendCompiler) -> None:
    """A second run compiles nothing; a row of other code is compiled again."""
    assert 0 == keep_mixes([WANTED], triton_version="3.7.1")
    assert 0 == keep_mixes([WANTED], triton_version="3.7.1")
    assert [WANTED] == compiler.asked
    path = mix_record.path_for("3.7.1")
    write(path, {WANTED: RecordedMix(mix=MIX, triton_version="3.7.1", code="older")})
    keep_mixes([WANTED], triton_version="3.7.1")
    assert 2 == len(compiler.asked)


def test_tiles_that_are_no_default_any_more_are_dropped(compiler: PretendCompiler) -> None:
    """The record holds what kernels run with now."""
    old = specialise(
        "forward",
        head_dim=72,
        dtype="bf16",
        arch=89,
        tile=WANTED.tile.__class__(block_m=16, block_n=16, warps=1, stages=2),
    )
    keep_mixes([old], triton_version="3.7.1")
    assert {} == read(mix_record.path_for("3.7.1"))
    assert [old] == compiler.asked
