"""Files are replaced whole or not at all."""

import os
from pathlib import Path

import pytest

from l4guide.errors import CannotDo
from l4guide.files import write_text


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """The new text is there, and no temporary file."""
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert [path.name] == [entry.name for entry in tmp_path.iterdir()]


def test_a_file_has_the_permissions_that_any_other_would_have(tmp_path: Path) -> None:
    """A report is not private to its writer because of how it was written."""
    write_text(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x", encoding="utf-8")
    assert (tmp_path / "plain").stat().st_mode == (tmp_path / "ours").stat().st_mode


def test_a_failed_replacement_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last step fails the old text stands and nothing lies beside it."""
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(CannotDo, match="No space left"):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [path.name] == [entry.name for entry in tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["missing/report.html", "."])
def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path, name: str) -> None:
    """A missing folder and a folder in the file's place give one line with the path."""
    with pytest.raises(CannotDo) as caught:
        write_text(tmp_path / name, "new")
    assert str(tmp_path / name) in str(caught.value)
