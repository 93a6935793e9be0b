"""Our kernels taken apart: each step with its formula and the very lines of the source that do it.

The lines are read from the installed package, never copied. `data/anatomy.toml` names the statements between which
a step lies; an edit of a kernel that loses one of them is an error rather than the wrong lines.
"""

import ast
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from l4guide.catalogue import data_folder
from l4guide.errors import BadData
from l4guide.frozen import frozen
from l4guide.toml import read_toml

FILE = "anatomy.toml"


@frozen
class Piece:
    """Consecutive lines of a function: `code`, without the indentation they share, from `first_line` of `file` on."""

    file: str
    function: str
    first_line: int
    code: str


@frozen
class Step:
    """One step of a kernel: `maths` in LaTeX, and the pieces of source that do it.

    Its title and its reason are the sentences `title_key` and `why_key`.
    """

    kernel: str
    key: str
    maths: str
    pieces: tuple[Piece, ...]

    @property
    def title_key(self) -> str:
        """The key of its title."""
        kernel = self.kernel.replace("-", "_")
        return f"anatomy.{kernel}_{self.key}"

    @property
    def why_key(self) -> str:
        """The key of the sentence that says why it is done so."""
        kernel = self.kernel.replace("-", "_")
        return f"anatomy_why.{kernel}_{self.key}"


def steps(kernel: str) -> tuple[Step, ...]:
    """The steps of one of our kernels, in the order in which it takes them.

    Raises:
        BadData: a statement that a step begins or ends with is no longer in the source, or is there twice.
    """
    sources = source_folder()
    rows = [row for row in read_toml(data_folder() / FILE)["step"] if row["kernel"] == kernel]
    return tuple(
        Step(
            kernel=kernel,
            key=row["key"],
            maths=row["maths"],
            pieces=tuple(cut(sources, piece) for piece in row["pieces"]),
        )
        for row in rows
    )


def source_folder() -> Path:
    """Where the sources of the installed kernels lie; nothing is imported.

    Raises:
        BadData: the kernels are not installed.
    """
    found = find_spec("l4guide_kernels")
    if found is None or not found.submodule_search_locations:
        raise BadData("error.no_kernel_sources")
    return Path(found.submodule_search_locations[0])


def cut(sources: Path, wanted: Mapping[str, str]) -> Piece:
    """The lines that `wanted` names by `file`, `function`, `first` and, where another statement ends them, `last`.

    Raises:
        BadData: the function or a statement is not to be found, or not alone.
    """
    source = (sources / wanted["file"]).read_text(encoding="utf-8")
    inside = list(_statements(ast.parse(source), wanted))
    first = _only(inside, wanted["first"], wanted)
    last = _only(inside, wanted.get("last", wanted["first"]), wanted)
    lines = source.splitlines()[first.lineno - 1 : last.end_lineno]
    if not lines:
        raise BadData("error.anatomy_order", file=wanted["file"], first=wanted["first"], last=wanted["last"])
    margin = min(len(line) - len(line.lstrip()) for line in lines if line)
    return Piece(
        file=wanted["file"],
        function=wanted["function"],
        first_line=first.lineno,
        code="\n".join(line[margin:] for line in lines),
    )


def _statements(module: ast.Module, wanted: Mapping[str, str]) -> Iterator[ast.stmt]:
    """Every statement of the function, the nested ones too."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == wanted["function"]:
            for inner in ast.walk(node):
                if isinstance(inner, ast.stmt) and inner is not node:
                    yield inner


def _only(statements: list[ast.stmt], beginning: str, wanted: Mapping[str, str]) -> ast.stmt:
    found = [statement for statement in statements if ast.unparse(statement).startswith(beginning)]
    if len(found) != 1:
        place = {"file": wanted["file"], "function": wanted["function"]}
        raise BadData("error.anatomy_lost", **place, statement=beginning, number=len(found))
    return found[0]
