"""The shape of the house: short files, short functions, thin notebooks, and nothing of one machine."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 400
MOST_FUNCTION_LINES = 80
#: A jit function cannot be cut up freely: what it keeps in registers is one scope.
MOST_JIT_LINES = 120
MOST_CELL_LINES = 10
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
SOURCE_ROOTS = ("kernels", "data", "tests", "notebooks")
MACHINE_PATH = re.compile(r"(?<![\w.~}])/(?:work|opt|home|Users|root)/[\w.]")


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows or would add, by pathspec."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [path for name in sorted(set(filter(None, names))) if (path := ROOT / name).is_file()]


def name_of(path: Path) -> str:
    """A file's name as seen from the root."""
    return str(path.relative_to(ROOT))


def functions() -> Iterator[tuple[str, int, int]]:
    """Every function: where it is, its length without its docstring, and the length that it may have."""
    for path in tracked("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                is_jit = any("jit" in ast.unparse(decorator) for decorator in node.decorator_list)
                assert node.end_lineno is not None
                documented = node.body[0] if ast.get_docstring(node) else None
                length = node.end_lineno - node.lineno + 1 - _lines(documented)
                yield (
                    f"{name_of(path)} {node.name}",
                    length,
                    MOST_JIT_LINES if is_jit else MOST_FUNCTION_LINES,
                )


def _lines(node: ast.stmt | None) -> int:
    if node is None:
        return 0
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def cells() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every code cell of every notebook."""
    for path in tracked("notebooks/*.ipynb"):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "code":
                yield f"{name_of(path)} cell {number}", cell


def test_no_file_is_long() -> None:
    """A file is read in one sitting."""
    files = tracked("*.py", "l4guide/**/*.js", "l4guide/**/*.css", "l4guide/**/*.html", "l4guide/**/*.j2")
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {} == {name: length for name, length in lengths.items() if length > MOST_LINES}


def test_no_function_is_long() -> None:
    """A function is seen at once."""
    assert [] == [f"{where}: {length}" for where, length, most in functions() if length > most]


def test_no_module_is_named_after_nothing() -> None:
    """A module is named by what it holds."""
    assert [] == [name_of(path) for path in tracked("*.py") if path.stem.strip("_") in VAGUE_NAMES]


@pytest.mark.parametrize("folder", SOURCE_ROOTS)
def test_a_source_root_is_no_package(folder: str) -> None:
    """An `__init__.py` here would shadow somebody else's `kernels`, `data` or `tests`."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_no_test_folder_is_a_package() -> None:
    """Tests are collected by path; two of the same name do not meet."""
    assert [] == [name_of(path) for path in tracked("tests/**/__init__.py")]


def test_notebooks_are_thin() -> None:
    """A cell shows something; what it shows is made, and tested, in the package."""
    thick = [
        where
        for where, cell in cells()
        if len("".join(cell["source"]).splitlines()) > MOST_CELL_LINES
        or re.search(r"^\s*(def|class)\s|sys\.path", "".join(cell["source"]), re.MULTILINE)
    ]
    assert [] == thick


def test_the_guide_is_stripped() -> None:
    """Saved widget views reopen as errors, so the guide is committed with no output and no widget state."""
    guide = json.loads((ROOT / "notebooks" / "guide.ipynb").read_text(encoding="utf-8"))
    assert "widgets" not in guide["metadata"]
    assert [] == [cell for cell in guide["cells"] if cell.get("outputs") or cell.get("execution_count")]


def test_nothing_names_a_path_of_one_machine() -> None:
    """What works here works in any folder of any machine."""
    found = [
        f"{name_of(path)}:{number}"
        for path in tracked(
            "*.py", "*.md", "*.toml", "*.csv", "*.yml", "*.txt", "*.ipynb", "Makefile", ".ci/run"
        )
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert [] == found


@pytest.mark.parametrize("path", ["work/project", "opt/wheels", "home/me"])
def test_a_path_of_one_machine_would_be_seen(path: str) -> None:
    """The check above can fail."""
    assert MACHINE_PATH.search(f"see /{path}")


def test_no_data_file_is_large() -> None:
    """A clone stays small; recorded runs are summarised before they are kept."""
    assert [] == [name_of(path) for path in tracked() if path.stat().st_size > 500_000]
