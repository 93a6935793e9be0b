"""The recorded traces of `data/traces/`: every type of one release of transformers, at its default."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from l4guide import catalogue
from l4guide.errors import BadData
from l4guide.frozen import frozen
from l4guide.model.traced import Trace

TRACES, CONFIGS = "traces.jsonl", "configs.jsonl"
#: The traces of presets, one a line, which begins with the preset's name.
PRESETS = "presets.jsonl"


@frozen
class Recorded:
    """One type: its default configuration and its trace, or why transformers cannot build it from nothing."""

    model_type: str
    config: Mapping[str, Any] | None
    trace: Trace | None
    refused: str


def folder() -> Path:
    """Where the records lie."""
    return catalogue.data_folder() / "traces"


@cache
def recorded() -> Mapping[str, Recorded]:
    """Every recorded type, by its name.

    Raises:
        BadData: a file is missing, or one of its lines is broken.
    """
    configs = {line["model_type"]: line["config"] for line in _lines(CONFIGS)}
    found = {}
    for line in _lines(TRACES):
        name, said = line["type"], line.get("trace")
        found[name] = Recorded(
            model_type=name,
            config=configs.get(name),
            trace=None if said is None else Trace.from_json(said),
            refused=line.get("refused", ""),
        )
    return found


def preset_trace(name: str) -> Trace | None:
    """The recorded trace of a preset; None where its configuration is not known. No other line is parsed.

    Raises:
        BadData: the file is missing, or the preset's line is broken.
    """
    begins = preset_line(name, "").removesuffix('""}')
    try:
        with (folder() / PRESETS).open(encoding="utf-8") as lines:
            line = next((line for line in lines if line.startswith(begins)), None)
        return None if line is None else Trace.from_json(json.loads(line)["trace"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData("error.unreadable_table", file=folder() / PRESETS, reason=error) from None


def preset_line(name: str, trace: object) -> str:
    """A preset's line in the file."""
    return json.dumps({"preset": name, "trace": trace}, separators=(",", ":"), ensure_ascii=False)


def _lines(name: str) -> Iterator[dict[str, Any]]:
    path = folder() / name
    try:
        text = path.read_text(encoding="utf-8")
        yield from (json.loads(line) for line in text.splitlines() if line)
    except (OSError, ValueError) as error:
        raise BadData("error.unreadable_table", file=path, reason=error) from None
