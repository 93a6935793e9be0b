"""The light reader held to the traces: for each type whether it finds the same parameters, cache and calls."""

import csv
from collections.abc import Mapping
from functools import cache
from typing import Any

from l4guide.errors import BadData, BadInput
from l4guide.model import from_config
from l4guide.model.traced import Trace
from l4guide.text import Sentence
from l4guide.tracing.expressions import expressed
from l4guide.tracing.reading import as_trace, language_calls
from l4guide.tracing.record import folder

#: Outcomes by type: at its default and at another configuration as a user without transformers gets it, by expressions
#: where they apply; and of the configuration read by its structure alone. Written by `l4guide.tracing.recorder`.
READER = "reader.csv"
COLUMNS = ("model_type", "default", "second", "structure")
WITHIN, REFUSED = "within", "refused"
#: Within by parameters; no forward pass told the cache and the calls.
BY_PARAMETERS = "parameters within"
HELD = (WITHIN, BY_PARAMETERS)
TOLERANCE = 0.01
CONTEXT = 4096


@cache
def outcomes() -> Mapping[str, tuple[str, str, str]]:
    """By type, what became of the comparison at its default and at another configuration, and of its structure alone.

    Raises:
        BadData: the file is missing or lacks a column.
    """
    path = folder() / READER
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                row["model_type"]: (row["default"], row["second"], row["structure"])
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, csv.Error) as error:
        raise BadData("error.unreadable_table", file=path, reason=error) from None


def is_held(model_type: str) -> bool:
    """Whether a type was found counted as its modules are, at both configurations, as far as they told."""
    return all(one in HELD for one in outcomes().get(model_type, ("",))[:2])


def not_compared(model_type: str, trace: Trace | None = None) -> Sentence | None:
    """What of a type was never found right, with the way out; None where all was, or where it was run.

    Args:
        model_type: the type that a configuration names; "-" where it names none.
        trace: what its counts are taken from; None where the configuration was read by its structure.
    """
    if trace is not None and (trace.was_run or trace.kept is not None):
        return None
    if model_type == "-":
        return Sentence("model_trace.no_type")
    structure = outcomes().get(model_type, ("", "", ""))[2]
    if trace is not None or structure == BY_PARAMETERS:
        return Sentence("model_trace.by_parameters", {"model_type": model_type})
    return None if structure == WITHIN else Sentence("model_trace.not_compared", {"model_type": model_type})


def outcome(config: Mapping[str, Any], traced: Trace) -> str:
    """What a user without transformers gets for a configuration beside its trace.

    Within, within by parameters alone where it was not run, refused, or what is further off than that.
    """
    read = expressed(config)
    return structure(config, traced) if read is None else _beside(read, traced)


def at_default(config: Mapping[str, Any], traced: Trace) -> str:
    """The same of a type where nothing is said; where its structure is read, of all that its default says."""
    silent = {"model_type": traced.model_type}
    return structure(config, traced) if expressed(silent) is None else outcome(silent, traced)


def contradicted(config: Mapping[str, Any], traced: Trace) -> bool:
    """Whether the expressions of a type answer for a configuration, and wrongly."""
    read = expressed(config)
    return read is not None and _beside(read, traced) not in HELD


def structure(config: Mapping[str, Any], traced: Trace) -> str:
    """The same of a configuration that is read by its structure."""
    try:
        read = as_trace(from_config(config, traced.model_type))
    except BadInput:
        return REFUSED
    return _beside(read, traced)


def worse(first: str, second: str) -> str:
    """Of two outcomes the one that says more against the reader."""
    return max(first, second, key=lambda one: HELD.index(one) if one in HELD else len(HELD))


def _beside(read: Trace, traced: Trace) -> str:
    off = [
        f"{name} {ratio:.3f}"
        for name, ratio in (("parameters", _parameters(read, traced)), ("cache", _cache(read, traced)))
        if ratio is not None and abs(ratio - 1) > TOLERANCE
    ]
    if traced.kept is not None and language_calls(read) != language_calls(traced):
        off.append("calls")
    return "; ".join(off) or (BY_PARAMETERS if traced.kept is None else WITHIN)


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
