"""The page and its data as a pair of files: both are written, or neither is."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from l4guide.advise import Advice
from l4guide.errors import BadInput, CannotDo
from l4guide.measure.measurement import Record
from l4guide.report.page import render


def write(
    advice: Advice, path: str | Path, language: str = "en", measurements: Sequence[Record] = ()
) -> tuple[Path, Path]:
    """Write the page to `path` and its JSON beside it, with the same stem.

    Returns:
        The paths of the page and of the JSON.

    Raises:
        BadInput: `path` ends in .json, which is the name of the data file.
        CannotDo: the folder does not exist or may not be written to, or `path` is a folder. What was
            there before is left as it was.
    """
    page = Path(path)
    data = page.with_suffix(".json") if page.name else page
    if page.name and page == data:
        raise BadInput("error.report_named_json", path=page)
    text = (
        json.dumps(advice.to_json(language), ensure_ascii=False, indent=1, allow_nan=False, default=str)
        + "\n"
    )
    _write_pair({data: text, page: render(advice, language, measurements)})
    return page, data


def _write_pair(contents: dict[Path, str]) -> None:
    """Write every file beside its place, then move all there; if one move fails, put back what was there."""
    staged: dict[Path, Path] = {}
    before: dict[Path, bytes | None] = {}
    target = next(iter(contents))
    try:
        for target, text in contents.items():
            if target.is_dir():
                raise IsADirectoryError(None, "it is a folder")
            staged[target] = _stage(target, text.encode("utf-8"))
        for target, temporary in staged.items():
            before[target] = target.read_bytes() if target.exists() else None
            temporary.replace(target)
    except OSError as problem:
        before.pop(target, None)
        for moved, content in before.items():
            _put_back(moved, content)
        raise CannotDo(
            "error.report_not_written", path=target, reason=problem.strerror or str(problem)
        ) from problem
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def _stage(target: Path, content: bytes) -> Path:
    """`content` in a temporary file in the folder of `target`, with the rights of an ordinary new file."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _put_back(target: Path, content: bytes | None) -> None:
    if content is None:
        target.unlink(missing_ok=True)
    else:
        _stage(target, content).replace(target)
