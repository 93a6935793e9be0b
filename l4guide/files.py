"""Writing files so that a reader sees the old one or the new one, never half of one."""

import os
from pathlib import Path

from l4guide.errors import CannotDo


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step.

    Raises:
        CannotDo: the folder is missing or may not be written, the disk is full, or `path` is a folder.
    """
    import tempfile  # only who writes needs it, and what it imports

    temporary: str | None = None
    try:
        if path.is_dir():
            raise IsADirectoryError(21, os.strerror(21))
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise CannotDo("error.cannot_write", path=path, problem=error.strerror or error) from error


def _umask() -> int:
    """The mask that a plain `open` would have applied; a temporary file is private otherwise."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
