"""What README says is what the rules, the records and the Makefile say."""

import re
from pathlib import Path

import pytest

from l4guide.cli import build_parser
from l4guide.readme import BLOCK, filled, main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_say_what_the_rules_say() -> None:
    """Written anew, README would be the same; its matrices and the table of bars are there."""
    assert filled(README) == README
    assert ["bars", "matrix", "matrix"] == sorted(block[1] for block in BLOCK.findall(README))
    assert re.search(r"^\| flash-attn \| 0\.2\.1 – 1\.0\.9 \|", README, flags=re.MULTILINE)


def test_a_stale_table_is_told_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell that was changed by hand fails the check with the way out, and is put right."""
    path = tmp_path / "README.md"
    path.write_text(README.replace("☠ unsafe", "✓ ok"), encoding="utf-8")
    assert 1 == main(["--check", str(path)])
    assert "make readme" in capsys.readouterr().err
    assert 0 == main([str(path)])
    assert README == path.read_text(encoding="utf-8")
    assert 0 == main(["--check", str(path)])


@pytest.mark.parametrize(
    ("text", "code"),
    [("no table here", 1), ("<!-- matrix:begin --colour red -->\n<!-- matrix:end -->\n", 2)],
)
def test_a_readme_that_cannot_be_kept_true_is_refused(tmp_path: Path, text: str, code: int) -> None:
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
