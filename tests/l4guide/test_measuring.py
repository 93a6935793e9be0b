"""`l4guide measure` from end to end, with a benchmark that answers at once."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_up
import pytest

from l4guide import cli, measuring
from l4guide.errors import CannotDo
from l4guide.measure.measurement import Record, write
from l4guide.measure.probe import Attached
from l4guide.text import LANGUAGES

ROW = made_up.row(section="training", max_error=1e-3, latency_ms=1.5, tflops=40.0)
RECORD = made_up.record(ROW, replace(ROW, implementation="torch/flash", latency_ms=3.0))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Path | None, dict[str, Any]]]:
    """A benchmark that says one line and answers with `RECORD`; where it was asked to write, and how."""
    asked: list[tuple[Path | None, dict[str, Any]]] = []

    def benchmark(out: Path | None, tell: Callable[[dict[str, Any]], None], **options: Any) -> Record:
        asked.append((out, options))
        tell({"kind": "started", "key": "measure.started_gpu", "values": {"gpu": "L4"}})
        return RECORD

    monkeypatch.setattr(measuring, "benchmark", benchmark)
    monkeypatch.setattr(measuring, "attached", tuple)
    monkeypatch.setattr(measuring, "home", lambda: tmp_path)
    return asked


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_is_told_and_drawn(ran: Any, tmp_path: Path, capsys: Any, language: str) -> None:
    """Tables on stdout, progress on stderr, plots beside the record."""
    out = tmp_path / "l4.json"
    assert 0 == cli.main(["measure", "--out", str(out), "--language", language])
    assert [(out, {"suite": "full", "resume": False})] == ran
    said = capsys.readouterr()
    assert "1.5 |" in said.out
    assert str(out) in said.out
    assert "L4" in said.err
    assert "plotly" in (tmp_path / "l4.html").read_text(encoding="utf-8")


def test_json_stands_alone_with_the_bars(ran: Any, tmp_path: Path, capsys: Any) -> None:
    """The record and what the bars come to, and nothing else on stdout."""
    write(RECORD, tmp_path / "earlier.json")
    asked = ["measure", "--quick", "--json", "--against", str(tmp_path / "earlier.json")]
    assert 0 == cli.main(asked)
    assert [(None, {"suite": "quick", "resume": False})] == ran
    said = json.loads(capsys.readouterr().out)
    found = {bar["name"]: bar.get("found") for bar in said["bars"]}
    assert (2.0, None, 1.0) == (found["forward_128_flash"], found["decode_fp8"], found["agreement"])
    assert RECORD.to_json() == {name: value for name, value in said.items() if name != "bars"}


def test_a_record_gets_a_name_of_its_own(ran: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a GPU a record goes among the others when nobody names a file, and a resumed one to its old place."""
    card = Attached(
        **dict.fromkeys(Attached.__dataclass_fields__),  # type: ignore[arg-type]
    )
    monkeypatch.setattr(measuring, "attached", lambda: (replace(card, name="NVIDIA L4"),))
    monkeypatch.setattr(measuring, "new_file", lambda gpu: tmp_path / f"{gpu}.json")
    assert 0 == cli.main(["measure", "--json"])
    (tmp_path / "old.jsonl").write_text("{}")
    assert 0 == cli.main(["measure", "--json", "--resume"])
    assert [tmp_path / "NVIDIA L4.json", tmp_path / "old.json"] == [out for out, _ in ran]


def test_a_record_can_be_read_again(ran: Any, tmp_path: Path, capsys: Any) -> None:
    """Without measuring anything, and with plotly missing a record is still told."""
    write(RECORD, tmp_path / "l4.json")
    assert 0 == cli.main(["measure", "--read", str(tmp_path / "l4.json")])
    assert "2.00× ✓" in capsys.readouterr().out
    assert [] == ran


def test_plots_need_plotly(ran: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    """Where it is not installed the run is none the less told, and why there are no plots."""

    def missing(*_: object) -> None:
        raise ImportError("No module named 'plotly'")

    monkeypatch.setattr("l4guide.plots.bench.write_plots", missing)
    assert 0 == cli.main(["measure", "--out", str(tmp_path / "l4.json")])
    assert "No plots (No module named 'plotly')" in capsys.readouterr().out


def test_tiles_are_tuned_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`--tune` is another run; without a GPU one line says what it needs."""

    def tune(out: Path | None, tell: object) -> None:
        raise CannotDo("error.tune_needs_gpu")

    monkeypatch.setattr(measuring, "tune", tune)
    assert 1 == cli.main(["measure", "--tune"])
    assert "on a GPU" in capsys.readouterr().err
