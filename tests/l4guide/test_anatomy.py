"""The kernels taken apart: every step is found in the source, and a lost one is told."""

from pathlib import Path

import pytest

from l4guide import anatomy
from l4guide.errors import BadData
from l4guide.text import LANGUAGES, sentences

KERNELS = ("forward", "backward-dkdv", "backward-dq", "decode")
SOURCE = '''
def walk(x):
    """Says what it does."""
    for i in x:
        # Why it is so.
        if i:
            y = i
        z = i + 1
    return z
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sources with one function."""
    (tmp_path / "walk.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_step_is_found_in_the_installed_source(kernel: str) -> None:
    """Each piece is the very text of the file at its lines."""
    found = anatomy.steps(kernel)
    assert len(found) >= 4
    for step in found:
        assert step.maths
        for piece in step.pieces:
            lines = (anatomy.source_folder() / piece.file).read_text(encoding="utf-8").splitlines()
            shown = piece.code.splitlines()
            there = lines[piece.first_line - 1 : piece.first_line - 1 + len(shown)]
            assert [line.strip() for line in shown] == [line.strip() for line in there]


def test_the_forward_kernel_is_read_in_its_order() -> None:
    """From the load of the queries to the store of the output."""
    order = ["load", "blocks", "scores", "mask", "softmax", "values", "end"]
    assert order == [step.key for step in anatomy.steps("forward")]
    by_key = {step.key: "\n".join(piece.code for piece in step.pieces) for step in anatomy.steps("forward")}
    assert "tl.exp2(m_i - pivot)" in by_key["softmax"]
    assert "dot_rows(" in by_key["values"]
    assert "store_rows(o_ptr" in by_key["end"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_step_is_told_and_nothing_else(language: str) -> None:
    """A title and a reason for each step of each kernel."""
    known = sentences(language)
    steps = [step for kernel in KERNELS for step in anatomy.steps(kernel)]
    assert {step.title_key for step in steps} == {key for key in known if key.startswith("anatomy.")}
    assert {step.why_key for step in steps} == {key for key in known if key.startswith("anatomy_why.")}


def test_lines_lose_the_indentation_they_share(folder: Path) -> None:
    """A nested stretch is shown from the margin on, comments and all."""
    wanted = {"file": "walk.py", "function": "walk", "first": "if i:", "last": "z = i + 1"}
    piece = anatomy.cut(folder, wanted)
    assert "if i:\n    y = i\nz = i + 1" == piece.code
    assert 6 == piece.first_line


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"first": "y = j"}, "error.anatomy_lost"),
        ({"function": "run"}, "error.anatomy_lost"),
        ({"last": "for i"}, "error.anatomy_order"),
    ],
)
def test_a_lost_anchor_is_an_error(folder: Path, change: dict[str, str], key: str) -> None:
    """An edit of a kernel cannot make the page show other lines."""
    wanted = {"file": "walk.py", "function": "walk", "first": "z = i + 1", "last": "z = i + 1"} | change
    if change.get("last"):
        wanted["first"] = "return z"
        wanted["last"] = "y = i"
    with pytest.raises(BadData) as caught:
        anatomy.cut(folder, wanted)
    assert key == caught.value.sentence.key


def test_a_statement_that_is_there_twice_is_an_error(folder: Path) -> None:
    """Which of the two was meant, nobody could say."""
    (folder / "walk.py").write_text(SOURCE.replace("y = i", "z = i + 1"), encoding="utf-8")
    with pytest.raises(BadData, match="2 statements"):
        anatomy.cut(folder, {"file": "walk.py", "function": "walk", "first": "z = i + 1"})
