"""A table of questions: each row is answered by itself, and says in its own line what is wrong with it."""

import csv

import pytest

from l4guide.advise import estimate_rows

DEFAULTS = {"gpu": "L4", "implementation": "flash-attn", "task": "prefill"}


def answered(*lines: str) -> list[dict[str, object]]:
    """The rows of a table, answered in English."""
    return estimate_rows(csv.DictReader(lines), DEFAULTS, "en")


def test_a_row_with_too_few_or_too_many_cells_loses_itself_alone() -> None:
    """Nobody guesses which cell belongs where; the row between them is answered."""
    short, good, long = answered("gpu,batch,seqlen", "L4,1", "L4,1,2048", "L4,1,2048,7")
    assert "2 cells" in str(short["problem"])
    assert "4 cells" in str(long["problem"])
    assert ("", "") == (short["latency_ms"], long["latency_ms"])
    assert "" == good["problem"]
    assert None not in long


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (",,-1,,", "price is -1"),
        (",,0,,", "price is 0"),
        (",nowhere.json,,,", "nowhere.json"),
        ("Llama-3.1-8B,,,999999,", "131072"),
        ("Llama-3.1-8B,,,2048,0", "gpus is 0"),
        (",,,abc,", "abc"),
    ],
)
def test_a_bad_row_says_what_is_wrong(row: str, part: str) -> None:
    """Price, configuration, context and number of cards, each in one line beside rows that are answered."""
    good, bad = answered("model,config,price,seqlen,gpus", "Llama-3.1-8B,,0.5,2048,2", row)
    assert ("", "yes") == (good["problem"], good["fits"])
    assert part in str(bad["problem"])
    assert 1 == len(str(bad["problem"]).splitlines())


def test_every_option_of_the_workload_is_a_column() -> None:
    """A window narrows the work; a column that is no option is the reader's own."""
    wide, narrow = answered("batch,seqlen,window,mine", "1,8192,,a", "1,8192,512,b")
    assert float(str(narrow["latency_ms"])) < float(str(wide["latency_ms"]))
    assert ("a", "b") == (wide["mine"], narrow["mine"])
