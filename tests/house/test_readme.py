"""What README and the pages in docs/ say is what the rules, the records, the commands and the Makefile say."""

import re
import shlex
from pathlib import Path

import pytest

from l4guide import cli
from l4guide.readme import BLOCK, filled, main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MATRIX = (ROOT / "docs" / "support-matrix.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
#: README until here is what somebody sees who has never heard of the project.
BOUNDARY = "\n---\n"


def kinds(text: str) -> list[str]:
    """The generated blocks of a page."""
    return sorted(block[1] for block in BLOCK.findall(text))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("README.md", ["output"]),
        ("docs/support-matrix.md", ["matrix", "matrix"]),
        ("docs/benchmarks.md", ["bars"]),
        ("docs/symptoms.md", ["symptoms"]),
    ],
)
def test_the_pages_say_what_the_rules_say(name: str, wanted: list[str]) -> None:
    """Written anew, each page would be the same; its blocks are there, and `make readme` and `make check` know it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert wanted == kinds(text)
    assert filled(text) == text
    pages = re.search(r"^PAGES := (.+)$", MAKEFILE, flags=re.MULTILINE)
    assert pages is not None
    assert name in pages[1].split()


def test_every_page_with_a_block_is_kept() -> None:
    """No generated table outside the pages that `make readme` writes."""
    found = {path.name for path in ROOT.glob("docs/*.md") if BLOCK.search(path.read_text(encoding="utf-8"))}
    assert {"support-matrix.md", "benchmarks.md", "symptoms.md"} == found


def test_the_matrix_tells_the_history() -> None:
    """Neighbouring releases that give the same answers share a row."""
    assert re.search(r"^\| flash-attn \| 0\.2\.1 – 1\.0\.9 \|", MATRIX, flags=re.MULTILINE)


def test_the_first_screen_is_one_screen() -> None:
    """At most 60 lines answer what it is, one real question, how to start, and what has been tested."""
    assert 1 == README.count(BOUNDARY)
    first = README.split(BOUNDARY, maxsplit=1)[0]
    assert len(first.splitlines()) <= 60
    assert ["output"] == kinds(first)
    assert all(word in first for word in ("make guide", "uvx --from . l4guide", "pip install '.[kernels]'"))


def test_the_shown_command_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The command on README's first screen, run as a user runs it, prints those lines and no other."""
    shown = re.search(r"```console\n\$ l4guide (.+)\n((?:.*\n)+?)```", README)
    assert shown is not None
    assert 0 == cli.main(shlex.split(shown[1]))
    assert shown[2] == capsys.readouterr().out


def test_a_stale_table_is_told_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell that was changed by hand fails the check with the page and the way out, and is put right."""
    stale, true = tmp_path / "stale.md", tmp_path / "true.md"
    changed = re.sub(r"\bunsafe \|", "ok |", MATRIX)
    assert changed != MATRIX
    stale.write_text(changed, encoding="utf-8")
    true.write_text(README, encoding="utf-8")
    assert 1 == main(["--check", str(true), str(stale)])
    said = capsys.readouterr().err
    assert str(stale) in said
    assert str(true) not in said
    assert "make readme" in said
    assert 0 == main([str(stale)])
    assert MATRIX == stale.read_text(encoding="utf-8")
    assert 0 == main(["--check", str(true), str(stale)])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no table here", 1),
        ("<!-- matrix:begin --colour red -->\n<!-- matrix:end -->\n", 2),
        ("<!-- output:begin support --gpu nothing -->\n<!-- output:end -->\n", 2),
    ],
)
def test_a_page_that_cannot_be_kept_true_is_refused(tmp_path: Path, text: str, code: int) -> None:
    """Markers that got lost, or options that do not exist, are no silent success."""
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    assert code == main([str(path)])
    assert text == path.read_text(encoding="utf-8")


def test_bars_without_a_record_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was recorded the table says so for every bar, and which command measures it."""
    monkeypatch.setattr("l4guide.readme.records", tuple)
    written = filled("<!-- bars:begin -->\n<!-- bars:end -->\n")
    rows = [line for line in written.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 20
    assert all(row.endswith("| not measured | not measured |") for row in rows)
    assert "Not measured: H100 SXM, L4. On such a GPU `make bench`" in written


def test_every_command_in_readme_parses() -> None:
    """No option in README that the command line does not have."""
    blocks = "".join(re.findall(r"^ *```(?:sh|console)\n.*? *```$", README, flags=re.MULTILINE | re.DOTALL))
    commands = re.findall(r"^(?:\$ | *uvx --from \. )?l4guide (.+)$", blocks, flags=re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        assert cli.build_parser().parse_args(shlex.split(command, comments=True)).run


def test_every_make_target_in_readme_exists() -> None:
    """`make x` in README is a target of the Makefile."""
    targets = set(re.findall(r"(?:^ *|`)make ([a-z]+)", README, flags=re.MULTILINE))
    assert "guide" in targets
    assert all(re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE) for target in targets)
