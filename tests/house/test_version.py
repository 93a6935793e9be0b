"""One version, said in two places."""

import re
from pathlib import Path

import l4guide

ROOT = Path(__file__).resolve().parents[2]


def test_the_changelog_starts_with_this_version() -> None:
    """A reader of the changelog finds what they installed."""
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert l4guide.__version__ == newest.group(1)
