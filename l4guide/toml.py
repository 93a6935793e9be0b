"""TOML files, parsed once: Python keeps what a file says beside it, as it keeps a module's bytecode.

The standard library's parser is written in Python and takes longer over the rules than everything else that a question
needs. `importlib` knows how to keep compiled text in `__pycache__`: when it is stale, where it may be written, which
settings turn it off. So a table is kept as a module would be that is one expression.
"""

import datetime
import os
import sys
from importlib.machinery import SourceFileLoader
from math import inf, nan
from pathlib import Path
from types import CodeType
from typing import Any

#: What the text of a parsed table may name.
NAMES = {"datetime": datetime, "inf": inf, "nan": nan, "__builtins__": {}}


class _Loader(SourceFileLoader):
    """Compiles a TOML file to the expression of what it says."""

    #: What was parsed just now; None where Python had kept it.
    parsed: dict[str, Any] | None = None

    def source_to_code(self, data: bytes, path: str, **_: object) -> CodeType:  # type: ignore[override]
        """The expression of what `data` says; of nothing where it would not be kept, since compiling takes longer."""
        import tomllib  # only a file that is new or has changed needs it

        self.parsed = tomllib.loads(data.decode("utf-8"))
        return compile("None" if sys.dont_write_bytecode else repr(self.parsed), path, "eval")

    def path_stats(self, path: str) -> dict[str, int]:
        """When the file was changed, by the microsecond: a script may change one twice within a second."""
        found = os.stat(path)  # noqa: PTH116 - importlib hands over text
        return {"mtime": found.st_mtime_ns // 1000, "size": found.st_size}


def read_toml(path: Path) -> dict[str, Any]:
    """What the file at `path` says, for the caller to keep and change.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no TOML, or no text.
    """
    loader = _Loader(path.name, str(path))
    code = loader.get_code(path.name)
    found: dict[str, Any] = eval(code, NAMES) if loader.parsed is None else loader.parsed  # type: ignore[arg-type]
    return found
