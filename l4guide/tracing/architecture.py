"""A configuration or a preset as an architecture, by the best account of it that there is here.

transformers builds and runs it where it is installed; elsewhere, and where it refuses, the recorded expressions of its
type say what it would find, and where there are none the configuration is read. What was found is kept, so that one
answer about every GPU, or a page that is drawn again, asks once.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from l4guide import catalogue
from l4guide.errors import BadInput, CannotDo, Problem
from l4guide.frozen import frozen
from l4guide.model import Architecture, from_config, preset, preset_config
from l4guide.model.checkpoint_index import without_index
from l4guide.model.traced import Trace
from l4guide.tracing.corrected import corrected
from l4guide.tracing.expressions import expressed
from l4guide.tracing.guard import cleaned
from l4guide.tracing.process import is_at_hand
from l4guide.tracing.record import preset_trace
from l4guide.tracing.unread import telling

#: Configurations whose traces are kept; a table of them may have many.
MOST_KEPT = 256


@frozen
class Known:
    """What is known of a configuration beside what can be read: its trace, or why there is none where it was tried."""

    trace: Trace | None = None
    untraced: Problem | None = None


_known: dict[str, Known] = {}


def architecture_of(config: Mapping[str, object], name: str, *, run: bool = True) -> Architecture:
    """The architecture of a configuration called `name`; without `run` it is not traced, unless it was before.

    Raises:
        BadInput: nothing can be read of it: a field is missing, malformed, out of limits, or contradicts another.
    """
    found = known(config, name) if run or not is_waiting(config, name) else Known()
    read, problem = _read(config, name)
    trace = found.trace or _expressed(config, name)
    if trace is not None and (read is not None or trace.kept is not None):
        made = corrected(read, trace, config, name)
    elif problem is not None:
        raise problem
    else:
        assert read is not None
        made = read
    if not made.is_traced:
        made = replace(made, unread=telling(made.unread, config, expressed=trace is not None))
    return made if found.untraced is None else replace(made, untraced=found.untraced.sentence)


def preset_architecture(name: str) -> Architecture:
    """The architecture of a preset, with its recorded trace where there is one.

    Raises:
        BadInput: no model is called so, or nobody published its shape.
        CannotDo: what it multiplies beside attention is not known.
    """
    model = catalogue.model(name)
    read, trace = preset(name), preset_trace(model.name)
    if trace is None:
        return read
    return corrected(read, trace, preset_config(model), model.name)


def known(config: Mapping[str, object], name: str) -> Known:
    """The trace of a configuration, where it can be had; asked once for each."""
    config = without_index(config)
    try:
        key = _key(config, name)
    except BadInput as refused:
        return Known(untraced=refused)
    if key not in _known:
        while len(_known) >= MOST_KEPT:
            del _known[next(iter(_known))]
        _known[key] = _asked(config, name)
    return _known[key]


def is_waiting(config: Mapping[str, object], name: str) -> bool:
    """Whether `known` would take seconds to answer."""
    try:
        return _key(without_index(config), name) not in _known and is_at_hand()
    except BadInput:
        return False


def _asked(config: Mapping[str, object], name: str) -> Known:
    if not is_at_hand():
        return Known()
    from l4guide.tracing.shared import SHARED

    try:
        return Known(trace=SHARED.config(config, name))
    except (BadInput, CannotDo) as refused:
        return Known(untraced=refused)


def _expressed(config: Mapping[str, object], name: str) -> Trace | None:
    """The trace by the recorded expressions of a type; none of a configuration that is absurd."""
    try:
        return expressed(cleaned(without_index(config), name))
    except BadInput:
        return None


def _read(config: Mapping[str, object], name: str) -> tuple[Architecture | None, BadInput | None]:
    try:
        return from_config(config, name), None
    except BadInput as problem:
        return None, problem


def _key(config: Mapping[str, object], name: str) -> str:
    """What tells configurations apart, as far as a trace depends on them.

    Raises:
        BadInput: it is nested too deeply, or a field is out of limits.
    """
    return json.dumps([name, cleaned(config, name)], sort_keys=True, default=str)
