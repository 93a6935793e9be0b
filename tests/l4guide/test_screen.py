"""What a command prints for a reader: one screen, the question with every input, and the rest on request."""

import json

import pytest

from l4guide.catalogue import gpus
from l4guide.cli import main


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that answers prints."""
    assert 0 == main(list(arguments))
    said = capsys.readouterr()
    assert "" == said.err
    return said.out


COMMANDS = (
    ("advise", "--model", "Llama-3.1-8B", "--task", "decode"),
    ("advise", "--model", "Llama-3.3-70B", "--task", "decode"),
    ("cost", "--model", "Llama-3.1-8B", "--task", "decode"),
    ("advise",),
    ("advise", "--gpu", "MI300X"),
    ("advise", "--head-dim", "256", "--dropout", "0.1"),
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_answer_is_one_screen(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], language: str
) -> None:
    """The answer and the question, what to install, at most eight lines of why, six cards; `--all` has every card."""
    out = printed(capsys, *command, "--language", language)
    top, *parts, table, more = out.strip().split("\n\n")
    install = [part for part in parts if part.startswith(("Install", "安装"))]
    (why,) = (part.splitlines() for part in parts if part not in install)
    assert (2, 7) == (len(top.splitlines()), len(table.splitlines()))
    assert len(top.splitlines()[0]) <= 90
    assert 1 <= len(why) <= 8
    assert "--all" in more
    everything = printed(capsys, *command, "--language", language, "--all")
    assert len(gpus()) + 1 == len(everything.strip().split("\n\n")[-1].splitlines())
    assert "--all" not in everything


def test_the_question_line_names_what_moved_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """In the text of every command that answers a question, and in its JSON."""
    asked = ("--model", "Llama-3.1-8B", "--task", "decode", "--weights", "fp8", "--batch", "3")
    for command in ("advise", "cost", "estimate"):
        line = printed(capsys, command, *asked).splitlines()[1]
        assert all(value in line for value in ("Llama-3.1-8B", "decode", "fp8 weights", "batch 3", "2048"))
        assert line == json.loads(printed(capsys, command, *asked, "--json"))["question"]["line"]
    line = printed(capsys, "support", "--head-dim", "192", "--dropout", "0.2").splitlines()[1]
    assert line.startswith("Asked: L4, head_dim 192, dropout 0.2.")


@pytest.mark.parametrize("card", ["L4", "RTX 3090", "MI300X"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_card_stands_under_why_not(capsys: pytest.CaptureFixture[str], card: str, language: str) -> None:
    """The recommended card is in the table like any other; no heading says why not the others."""
    out = printed(capsys, "advise", "--gpu", card, "--model", "Llama-3.1-8B", "--all", "--language", language)
    assert not [line for line in out.splitlines() if line.startswith(("Why not", "其他显卡落选"))]


@pytest.mark.parametrize(
    ("asked", "since"),
    [
        (("--gpu", "L4", "--version", "1.0.9", "--head-dim", "128"), "flash-attn >= 2.0.0 (2023-07-17)."),
        (("--gpu", "T4", "--head-dim", "64"), "flash-attn 0.2.1 to 1.0.9 (not 2.8.3.post2)."),
    ],
    ids=["refused before", "refused since"],
)
def test_releases_that_run_it_end_where_newer_ones_refuse(
    capsys: pytest.CaptureFixture[str], asked: tuple[str, ...], since: str
) -> None:
    """flash-attn gave up Turing with 2.0.0: of a T4 no later release is said to run anything."""
    assert 0 == main(["support", *asked, "--task", "training"])
    assert capsys.readouterr().out.rstrip().endswith(since)
