"""Symptom files that cannot be right do not load, and the error says where."""

from pathlib import Path

import pytest

from l4guide.catalogue import sources
from l4guide.diagnose.reader import read_symptoms
from l4guide.errors import BadData

GOOD = """
[[symptom]]
code = "SOME"
kind = "shared-memory.other"
library = "triton"
texts = ["out of something, Required: {required_bytes}"]
cause = "symptom.triton_shared"
fixes = { fix_smaller_tile = "cost_tile" }
evidence = "source"
source = "torch-device-info"
"""
KNOWN = {source.key: source for source in sources()}


def read(tmp_path: Path, text: str) -> None:
    """Read `text` as a symptom file."""
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    read_symptoms(path, KNOWN)


def test_a_good_file_loads(tmp_path: Path) -> None:
    """What the next tests break is sound."""
    read(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("{required_bytes}", "{whatever}", "texts"),
        ('["out of something, Required: {required_bytes}"]', '["out {name}"]', "texts"),
        ('["out of something, Required: {required_bytes}"]', "[]", "texts"),
        ("symptom.triton_shared", "symptom.never_written", "cause"),
        ("symptom.triton_shared", "symptom.triton_registers", "cause"),
        ("shared-memory.other", "memory", "kind"),
        ("fix_smaller_tile =", "fix_never_written =", "fix"),
        ('library = "triton"', 'library = "triton"\nran = ["lunch"]', "ran"),
        ('library = "triton"', 'library = "triton"\nfacts = ["sunny"]', "facts"),
        ('library = "triton"', 'library = "triton"\narithmetic = "alchemy"', "arithmetic"),
        ('library = "triton"', 'library = "triton"\nlike = "NOBODY"', "like"),
        ("cost_tile", "never_written", "cost"),
        ('{ fix_smaller_tile = "cost_tile" }', "{}", "fixes"),
        ('"source"', '"heard"', "evidence"),
        ("torch-device-info", "nobody", "source"),
        ('library = "triton"', 'library = "triton"\nrules = ["NO-SUCH-RULE"]', "rules"),
        ('library = "triton"', 'library = "triton"\noperators = "tables"', "operators"),
        ('library = "triton"', 'library = "triton"\nlibary = "triton"', "libary"),
    ],
)
def test_a_broken_entry_is_named(tmp_path: Path, old: str, new: str, key: str) -> None:
    """File, entry and key stand in the error."""
    assert old in GOOD
    with pytest.raises(BadData, match=r"some\.toml, symptom SOME") as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert key in str(caught.value)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    """The file is named, not the parser."""
    with pytest.raises(BadData, match=r"some\.toml"):
        read(tmp_path, "[[symptom")
