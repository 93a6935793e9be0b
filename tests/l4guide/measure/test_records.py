"""Where records lie: never over another, found by themselves, their journals whole but for a torn end."""

import os
from dataclasses import replace
from pathlib import Path

import made_up
import pytest

from l4guide.errors import BadData, CannotDo
from l4guide.measure import records
from l4guide.measure.measurement import write
from l4guide.measure.records import Journal, read_journal, record_file

RECORD = made_up.record()


def test_a_record_never_replaces_another(tmp_path: Path) -> None:
    """Files are named by card and day; another run of the day, or the journal of one, gets the next a number."""
    names = []
    for ending in (".json", ".jsonl", ".json"):
        path = record_file(tmp_path, "NVIDIA L4", "2026-11-22T10:00:00+00:00")
        path.with_suffix(ending).write_text("{}")
        names.append(path.name)
    assert [
        "nvidia-l4-2026-11-22.json",
        "nvidia-l4-2026-11-22-2.json",
        "nvidia-l4-2026-11-22-3.json",
    ] == names
    assert "tiles-l4-2026-11-22.json" == record_file(tmp_path, "L4", "2026-11-22", prefix="tiles-").name


def test_records_of_gpus_are_found_by_age(tmp_path: Path) -> None:
    """Those of the interpreter and tuned tiles are left out; the oldest comes first."""
    later = replace(RECORD, measured_at="2026-11-23T10:00:00+00:00")
    write(later, tmp_path / "a.json")
    write(RECORD, tmp_path / "b.json")
    write(replace(RECORD, basis="interpreter"), tmp_path / "c.json")
    (tmp_path / "tiles-l4.json").write_text("{}")
    assert (RECORD, later) == records.records(tmp_path)


def test_every_record_that_came_with_l4guide_is_one() -> None:
    """What lies in data/measurements can be read."""
    assert all("gpu" == record.basis for record in records.records())


def test_a_folder_that_cannot_be_written_to_keeps_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where l4guide was installed for all, a record goes to the current folder."""
    assert records.folder() == records.home()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert Path() == records.home()
    assert Path() == records.new_file("L4").parent


def test_the_latest_journal_is_found(tmp_path: Path) -> None:
    """The run that was written to last is the one to go on with."""
    with pytest.raises(CannotDo, match="no unfinished run"):
        records.latest_journal(tmp_path)
    for name, moment in (("b", 200), ("a", 100)):
        (tmp_path / f"{name}.jsonl").write_text("{}")
        os.utime(tmp_path / f"{name}.jsonl", (moment, moment))
    assert tmp_path / "b.json" == records.latest_journal(tmp_path)


def test_a_journal_survives_being_read_and_begun_again(tmp_path: Path) -> None:
    """What was added is there again, a line torn by a full stop is not, and the next begins on a line of its own."""
    path = tmp_path / "run.jsonl"
    journal = Journal(path)
    journal.begin({"gpu": "L4"})
    journal.add("one", [{"a": 1}], [])
    with path.open("a") as file:
        file.write('{"work": "tw')
    again = read_journal(path)
    assert ({"gpu": "L4"}, {"one": {"work": "one", "rows": [{"a": 1}], "paces": []}}) == (
        again.identity,
        again.entries,
    )
    again.begin({"gpu": "L4"})
    again.add("two", [], [])
    assert ["one", "two"] == list(read_journal(path).entries)


@pytest.mark.parametrize(
    ("text", "line"), [("", 1), ("[]\n", 1), ('{"identity": {}}\n{"wo\n{"work": "b"}\n', 2)]
)
def test_what_is_no_journal_is_refused(tmp_path: Path, text: str, line: int) -> None:
    """The file and the line that is broken."""
    (tmp_path / "run.jsonl").write_text(text)
    with pytest.raises(BadData, match=rf"run\.jsonl, line {line}"):
        read_journal(tmp_path / "run.jsonl")
