"""What a TOML file says, kept by Python beside it."""

import os
import sys
import tomllib
from pathlib import Path

import pytest

from l4guide import toml
from l4guide.catalogue import data_folder
from l4guide.toml import read_toml

EVERYTHING = """
day = 2026-11-30
moment = 2026-11-30T12:00:00+01:00
clock = 07:32:00
numbers = [1, -2.5, inf, nan, 0x1F]
words = { "plain key" = "quote \\" brace { } backslash \\\\", zh = "算子" }
yes = true
[[row]]
name = '''several
lines'''
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose folder may be written."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    found = tmp_path / "facts.toml"
    found.write_text(EVERYTHING, encoding="utf-8")
    return found


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is parsed from here on."""
    texts: list[str] = []
    loads = tomllib.loads

    def heard(text: str) -> dict[str, object]:
        texts.append(text)
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", heard)
    return texts


def test_a_file_is_parsed_once(path: Path, parsed: list[str]) -> None:
    """The second reader gets the same values of the same types, and the parser is not asked."""
    first, second = read_toml(path), read_toml(path)
    assert 1 == len(parsed)
    assert repr(tomllib.loads(EVERYTHING)) == repr(first) == repr(second)
    second["row"].clear()
    assert first["row"] == read_toml(path)["row"]


def test_an_edit_within_the_same_second_is_seen(path: Path, parsed: list[str]) -> None:
    """Even one that leaves the length as it was."""
    path.write_text("width = 64", encoding="utf-8")
    now = path.stat()
    assert {"width": 64} == read_toml(path)
    path.write_text("width = 96", encoding="utf-8")
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns + 2000))
    assert {"width": 96} == read_toml(path)
    assert 2 == len(parsed)


def test_nothing_is_kept_where_python_keeps_nothing(
    path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYTHONDONTWRITEBYTECODE goes for tables too, and each reader parses."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert read_toml(path)["yes"] is read_toml(path)["yes"] is True
    assert 2 == len(parsed)
    assert [path] == list(path.parent.iterdir())


def test_what_was_kept_but_broke_is_parsed_again(path: Path, parsed: list[str]) -> None:
    """A disk that was full leaves half a file."""
    read_toml(path)
    (kept,) = (path.parent / "__pycache__").iterdir()
    kept.write_bytes(kept.read_bytes()[:10])
    assert read_toml(path)["yes"] is True
    assert 2 == len(parsed)


@pytest.mark.parametrize(
    ("content", "error"), [(b"a = ", tomllib.TOMLDecodeError), (b"a = '\xff'", UnicodeDecodeError)]
)
def test_what_is_no_toml_is_said_each_time(path: Path, content: bytes, error: type[Exception]) -> None:
    """A fault is never kept."""
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(error):
            read_toml(path)


def test_a_missing_file_is_said(path: Path) -> None:
    """As the operating system says it."""
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_toml(path)


@pytest.mark.parametrize(
    "file",
    sorted({*data_folder().rglob("*.toml"), *Path(toml.__file__).parent.rglob("*.toml")}),
    ids=lambda file: file.name,
)
def test_our_files_come_back_as_they_are(file: Path, tmp_path: Path, path: Path) -> None:
    """Every file of ours, kept and read again, says what the parser says."""
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    read_toml(copy)
    assert tomllib.loads(file.read_text(encoding="utf-8")) == read_toml(copy)
