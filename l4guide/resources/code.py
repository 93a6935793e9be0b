"""A digest of each kernel's code, so that a record can be told from the code it was made with."""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_MODULES = {
    "forward": "forward",
    "backward-dkdv": "backward",
    "backward-dq": "backward",
    "decode": "decode",
}
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
    """Twelve hex digits that change with the code of `kernel` or of what it calls.

    Comments, docstrings and layout do not count. Nothing is imported or compiled.
    """
    from l4guide_kernels import tiles

    others = set(_MODULES.values()) - {_MODULES[kernel]}
    sources = sorted(Path(tiles.__file__).parent.glob("*.py"))
    code = [part for source in sources if source.stem not in others for part in jit_code(source.read_text())]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()[:12]


def jit_code(source: str) -> Iterator[str]:
    """The words of each `@triton.jit` function of a module, in one line each."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and any("jit" in ast.unparse(d) for d in node.decorator_list):
            segment = ast.get_source_segment(source, node) or ""
            documented = ast.get_docstring(node, clean=False) is not None
            yield " ".join(
                _words(segment, ast.get_source_segment(source, node.body[0]) if documented else None)
            )


def _words(segment: str, docstring: str | None) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(segment).readline):
        if token.type not in _LAYOUT and token.string != docstring:
            yield token.string
