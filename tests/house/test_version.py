"""One version, said in two places."""

import re
from pathlib import Path

import l4guide

ROOT = Path(__file__).resolve().parents[2]


def test_the_changelog_has_this_version_newest_of_the_released() -> None:
    """A reader of the changelog finds what they installed, and above it at most what is still to be released."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert l4guide.__version__ == next(heading for heading in headings if heading != "Unreleased")
    assert "Unreleased" not in headings[1:]
