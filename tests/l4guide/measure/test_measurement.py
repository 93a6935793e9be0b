"""Records survive the way to disk and back, are written wholly or not at all, and are checked when read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_up
import pytest

from l4guide.errors import BadData, CannotDo
from l4guide.measure.measurement import check_writable, read, write

ROW = made_up.row(
    version=None,
    kv_heads=8,
    max_error=1e-3,
    torch_error=9e-4,
    bound=3e-3,
    worst_tensor="out",
    latency_ms=1.5,
    low_ms=1.4,
    high_ms=1.7,
    warm_ms=1.45,
    tflops=44.0,
)
PACE = made_up.pace("gemm", 57.0, "TFLOP/s", low=56.0, high=58.0, power_w=72.0)
RECORD = made_up.record(
    ROW,
    gpu_reported_name="NVIDIA L4",
    capability="8.9",
    driver="580.95.05",
    memory_total_mib=22888,
    power_limit_w=72.0,
    max_sm_clock_mhz=2040,
    libraries={"torch": "2.13.0"},
    paces=(PACE,),
)


def test_record_survives_the_round_trip(tmp_path: Path) -> None:
    """What is written is what is read."""
    write(RECORD, tmp_path / "l4.json")
    assert RECORD == read(tmp_path / "l4.json")
    assert ["l4.json"] == [path.name for path in tmp_path.iterdir()]


def test_unknown_values_are_absent(tmp_path: Path) -> None:
    """A value that is not known has no key in the file."""
    write(replace(RECORD, driver=None), tmp_path / "l4.json")
    assert "driver" not in json.loads((tmp_path / "l4.json").read_text())
    assert read(tmp_path / "l4.json").driver is None


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last step fails the record of before is still whole and no part is left beside it."""
    path = tmp_path / "l4.json"
    write(RECORD, path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CannotDo, match="No space left on device"):
        write(replace(RECORD, complete=False), path)
    assert RECORD == read(path)
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("check", [check_writable, lambda path: write(RECORD, path)])
def test_unwritable_place_is_named(tmp_path: Path, check: Any) -> None:
    """A folder that does not exist is refused with the path and the reason, and nothing is created."""
    with pytest.raises(CannotDo, match=r"missing.l4\.json.*No such file"):
        check(tmp_path / "missing" / "l4.json")
    assert [] == list(tmp_path.iterdir())


def test_folder_as_target_is_refused(tmp_path: Path) -> None:
    """A folder given as the file is found out before the run."""
    with pytest.raises(CannotDo, match="directory"):
        check_writable(tmp_path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("batch", "one"),
        ("batch", True),
        ("latency_ms", "fast"),
        ("status", "splendid"),
        ("basis", "guess"),
        ("attention_pass", "sideways"),
        ("heads", None),
        ("speed", 3),
    ],
)
def test_broken_row_is_named(tmp_path: Path, column: str, value: object) -> None:
    """A value of the wrong type, outside its choices, missing or unknown is named by row and column."""
    content = RECORD.to_json()
    content["rows"] = [ROW.to_json(), {**ROW.to_json(), column: value}]
    (tmp_path / "l4.json").write_text(json.dumps(content))
    with pytest.raises(BadData, match=rf"row 2.*{column}"):
        read(tmp_path / "l4.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 1}, "schema 1.*measure again"),
        ({"paces": [{**PACE.to_json(), "stretch": "last"}]}, "stretch"),
        ({"measured_at": "yesterday"}, "measured_at"),
        ({"gpu": 4}, "gpu"),
    ],
)
def test_broken_head_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """A record of another schema, or with a broken value above its rows, is refused with what is wrong."""
    (tmp_path / "l4.json").write_text(json.dumps({**RECORD.to_json(), **change}))
    with pytest.raises(BadData, match=message):
        read(tmp_path / "l4.json")


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"schema": 2}', '{"schema": 2, "rows": []}'])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    """Anything but a record is refused, never half read."""
    (tmp_path / "l4.json").write_text(text)
    with pytest.raises(BadData):
        read(tmp_path / "l4.json")
    with pytest.raises(CannotDo):
        read(tmp_path / "absent.json")


def test_passed_needs_an_error_and_a_bound() -> None:
    """A row passes within its bound, fails beyond it, and says nothing when it was not checked."""
    assert ROW.passed is True
    assert replace(ROW, max_error=1.0).passed is False
    assert replace(ROW, bound=None).passed is None


def test_a_ceiling_is_found_by_name() -> None:
    """The sustained rate of one thing; what was not measured is None."""
    assert 57.0 == RECORD.pace("gemm")
    assert RECORD.pace("gemm", "first") is None
