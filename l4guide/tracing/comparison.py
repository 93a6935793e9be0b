"""The light reader held to the traces: for each type whether it finds the same parameters, cache and calls."""

import csv
from collections.abc import Mapping
from functools import cache
from typing import Any

from l4guide.errors import BadData, BadInput
from l4guide.model import from_config
from l4guide.model.traced import Trace
from l4guide.text import Sentence
from l4guide.tracing.reading import as_trace, language_calls
from l4guide.tracing.record import folder

#: Outcomes by type, at its default and at another configuration; written by `l4guide.tracing.recorder`.
READER = "reader.csv"
COLUMNS = ("model_type", "default", "second")
WITHIN, REFUSED = "within", "refused"
TOLERANCE = 0.01
CONTEXT = 4096


@cache
def outcomes() -> Mapping[str, tuple[str, str]]:
    """By type, what became of the comparison at its default and at another configuration.

    Raises:
        BadData: the file is missing or lacks a column.
    """
    path = folder() / READER
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["model_type"]: (row["default"], row["second"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, csv.Error) as error:
        raise BadData("error.unreadable_table", file=path, reason=error) from None


def is_held(model_type: str) -> bool:
    """Whether the reader was found to count a type as its modules do, at both configurations."""
    return outcomes().get(model_type) == (WITHIN, WITHIN)


def not_compared(model_type: str) -> Sentence | None:
    """That a type was never found right, with the way out; None where it was."""
    if model_type == "-":
        return Sentence("model_trace.no_type")
    return None if is_held(model_type) else Sentence("model_trace.not_compared", {"model_type": model_type})


def outcome(config: Mapping[str, Any], traced: Trace) -> str:
    """What the reader makes of a configuration beside its trace: within, refused, or what is further off than that."""
    try:
        read = as_trace(from_config(config, traced.model_type))
    except BadInput:
        return REFUSED
    off = [
        f"{name} {ratio:.3f}"
        for name, ratio in (("parameters", _parameters(read, traced)), ("cache", _cache(read, traced)))
        if ratio is not None and abs(ratio - 1) > TOLERANCE
    ]
    if traced.kept is not None and language_calls(read) != language_calls(traced):
        off.append("calls")
    return "; ".join(off) or WITHIN


def _parameters(read: Trace, traced: Trace) -> float:
    return read.parameters / traced.parameters


def _cache(read: Trace, traced: Trace) -> float | None:
    """The cache read by the cache traced; None where no forward pass told it."""
    found, wanted = read.cache_elements(CONTEXT), traced.cache_elements(CONTEXT)
    if wanted is None:
        return None
    if not wanted:
        return float("inf") if found else 1.0
    return (found or 0) / wanted
