"""What README says is what the rules and the Makefile say."""

import re
from pathlib import Path

import pytest

from l4guide.catalogue import gpu
from l4guide.cli import build_parser
from l4guide.support import check
from l4guide.workload import ask

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COLUMNS = ((64, 0.0), (128, 0.0), (192, 0.0), (256, 0.0), (256, 0.1))


def rows() -> list[tuple[str, list[str]]]:
    """The lines of the support table: a release and its cells."""
    lines = re.findall(r"^\| (\d[\w.]*) \| (.+) \|$", README, flags=re.MULTILINE)
    return [(version, cells.split(" | ")) for version, cells in lines]


def test_there_is_a_support_table() -> None:
    """An empty table would make the next test vacuous."""
    assert len(rows()) >= 5


@pytest.mark.parametrize(("version", "cells"), rows())
def test_the_support_table_says_what_the_rules_say(version: str, cells: list[str]) -> None:
    """Every cell is the verdict for training on L4."""
    found = []
    for head_dim, dropout in COLUMNS:
        workload, _ = ask({"task": "training", "head_dim": head_dim, "dropout": dropout})
        found.append(check(workload, gpu("L4"), "flash-attn", version).status)
    assert found == cells


def test_every_command_in_readme_parses() -> None:
    """No option in README that the command line does not have."""
    commands = re.findall(r"^\.venv/bin/l4guide (.+)$", README, flags=re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        assert build_parser().parse_args(command.split()).run


def test_every_make_target_in_readme_exists() -> None:
    """`make x` in README is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.MULTILINE))
    assert {"guide", "test", "report"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)
