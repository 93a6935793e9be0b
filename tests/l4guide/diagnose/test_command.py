"""`l4guide diagnose`: a file or standard input in, text or JSON out, one line for what cannot be done."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from l4guide.cli import main

MESSAGE = b"OutOfResources: out of resource: shared memory, Required: 131074, Hardware limit: 101376."


def test_a_file_gives_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON stands alone on standard output."""
    path = tmp_path / "log.txt"
    path.write_bytes(MESSAGE)
    assert main(["diagnose", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert ("known", 131_074, 101_376) == (said["status"], said["required_bytes"], said["limit_bytes"])


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_standard_input_is_read(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a file, what is piped in is diagnosed, in the language asked for."""
    stdin = SimpleNamespace(buffer=io.BytesIO(MESSAGE), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["diagnose", *arguments, "--quiet", "--language", "zh"]) == 0
    assert "共享内存" in capsys.readouterr().out


def run_piped(arguments: list[str], content: bytes) -> tuple[int, bytes]:
    """Exit code and standard output of `... | l4guide diagnose ARGUMENTS`."""
    done = subprocess.run(
        [sys.executable, "-m", "l4guide", "diagnose", *arguments],
        input=content,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_pipe_is_passed_on_and_the_finding_added(end: bytes) -> None:
    """Byte for byte as it came, whatever its encoding, then what it means."""
    content = b"loading \xff 100%\r\n" + MESSAGE + end
    code, out = run_piped([], content)
    assert code == 0
    assert out.startswith(content.rstrip(b"\n") + b"\n")
    assert b"131,074 bytes" in out[len(content) :]


@pytest.mark.parametrize("arguments", [["--quiet"], ["--json"]])
def test_nothing_is_passed_on_when_the_finding_is_wanted_alone(arguments: list[str]) -> None:
    """--quiet and --json print the finding only."""
    code, out = run_piped(arguments, b"a line of the log\n" + MESSAGE)
    assert code == 0
    assert b"a line of the log" not in out
    assert b"shared-memory.other" in out or b"131,074" in out


def test_a_file_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who names a file can read it."""
    path = tmp_path / "log.txt"
    path.write_bytes(b"a line of the log\n" + MESSAGE)
    assert main(["diagnose", str(path)]) == 0
    assert "a line of the log" not in capsys.readouterr().out


def test_a_person_at_a_terminal_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Waiting in silence would look like hanging; nothing pasted is bad input."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b""), isatty=lambda: True))
    assert main(["diagnose"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Paste the traceback" in said.err
    assert "nothing to diagnose" in said.err


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named, with exit code 1 and no traceback."""
    assert main(["diagnose", str(tmp_path / "missing.txt")]) == 1
    said = capsys.readouterr().err
    assert "missing.txt" in said
    assert said.count("\n") == 1
