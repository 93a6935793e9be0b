"""Mixes are kept as tables; `test_recorder.py` makes them."""

from pathlib import Path

import pytest

from l4guide.errors import BadData
from l4guide.resources.mix import Mix
from l4guide.resources.mix_record import RecordedMix, read, write
from l4guide.resources.specialisation import specialise

MIX = Mix(tensor=4, exp=3, mask=5, arithmetic=2, memory=1, other=0)
WANTED = specialise("forward", head_dim=72, dtype="bf16", arch=89)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A row keeps what was compiled, its counts, the compiler and the code."""
    rows = {WANTED: RecordedMix(mix=MIX, triton_version="3.7.1", code="abc")}
    write(tmp_path / "mix.csv", rows)
    assert rows == read(tmp_path / "mix.csv")


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    """A cell that is no number is told with its file and line."""
    path = tmp_path / "mix.csv"
    write(path, {WANTED: RecordedMix(mix=MIX, triton_version="3.7.1", code="abc")})
    path.write_text(path.read_text(encoding="utf-8").replace(",4,3,5,2,", ",4,3,many,2,"), encoding="utf-8")
    with pytest.raises(BadData, match=r"mix\.csv.*2"):
        read(path)
