"""A digest of each kernel's code, so that what was recorded or timed with it can be told from what is there now.

Read from the sources: nothing is imported or compiled, and the standard library is all that it takes.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_MARKS = ("jit", "constexpr_function")
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


@cache
def digest(kernel: str) -> str:
    """Twelve hex digits that change with the code of `kernel` (a name in `tiles.KERNELS`) or of what it calls.

    Comments, docstrings, layout and plain functions do not count.
    """
    package = Path(__file__).parent
    sources = {path.stem: path.read_text(encoding="utf-8") for path in package.glob("*.py")}
    entry = f"{kernel.removeprefix('backward-')}_kernel"
    home = next(module for module, source in sources.items() if f"def {entry}(" in source)
    code = [part for module in sorted(_reached(home, sources)) for part in device_code(sources[module])]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()[:12]


def _reached(home: str, sources: Mapping[str, str]) -> set[str]:
    """A module of this package and those that it imports, directly or through another."""
    reached, waiting = set[str](), {home}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= {name for name in _imports(sources[module]) if name in sources} - reached
    return reached


def _imports(source: str) -> Iterator[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("l4guide_kernels."):
            yield (node.module or "").rpartition(".")[2]


def device_code(source: str) -> Iterator[str]:
    """The words of each function that Triton compiles or evaluates, and of each compile-time constant, a line each."""
    for node in ast.parse(source).body:
        segment = ast.get_source_segment(source, node) or ""
        if isinstance(node, ast.FunctionDef) and any(
            mark in ast.unparse(d) for d in node.decorator_list for mark in _MARKS
        ):
            documented = ast.get_docstring(node, clean=False) is not None
            yield " ".join(
                _words(segment, ast.get_source_segment(source, node.body[0]) if documented else None)
            )
        elif isinstance(node, ast.Assign) and "constexpr" in ast.unparse(node.value):
            yield " ".join(_words(segment, None))


def _words(segment: str, docstring: str | None) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(segment).readline):
        if token.type not in _LAYOUT and token.string != docstring:
            yield token.string
