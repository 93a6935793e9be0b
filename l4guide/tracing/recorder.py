"""Write `data/traces/` anew: `python -m l4guide.tracing.recorder`, or `make traces`.

Every type that the installed transformers has a language model of is built and run at its default. Two files of JSON
lines: the traces, and the configurations without what no count depends on; a third has the traces of presets that are
published configurations. A fourth has the types as expressions, each found by trying the type at many configurations.
Then the light reader is held to traces, at the default and at a configuration that nothing was fitted to: `reader.csv`.
"""

import contextlib
import csv
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from l4guide import catalogue
from l4guide.catalogue import CONFIG
from l4guide.errors import BadInput, Problem
from l4guide.files import write_text
from l4guide.frozen import frozen
from l4guide.model import preset_config
from l4guide.model.defaults import forget
from l4guide.tracing.comparison import COLUMNS, READER, at_default, contradicted, outcome, structure, worse
from l4guide.tracing.expressions import EXPRESSIONS, file_of, record
from l4guide.tracing.process import Tracer
from l4guide.tracing.record import CONFIGS, PRESETS, TRACES, Recorded, folder, preset_line, recorded

#: The other configuration is chosen by this number; a test tries further ones.
SEED = 1
NOT_BUILT = "not built"
#: The largest types are tried at dozens of configurations.
DEADLINE_S = 900.0


T = TypeVar("T")


def each(ask: Callable[[Tracer, str], T], names: Sequence[str]) -> list[T]:
    """The answers about every type, in order; as many processes ask as there are cores."""
    local = threading.local()
    started: list[Tracer] = []

    def one(name: str) -> T:
        if not hasattr(local, "tracer"):
            local.tracer = Tracer(deadline_s=DEADLINE_S)
            started.append(local.tracer)
        return ask(local.tracer, name)

    try:
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            return list(pool.map(one, names))
    finally:
        for tracer in started:
            tracer.__exit__(None, None, None)


def line(tracer: Tracer, name: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A line of each file for a type; no second one where its configuration cannot be made from nothing."""
    try:
        said, derived = tracer.config_of(name)
    except Problem as refused:
        return {"type": name, "refused": reason(refused)}, None
    config = {"model_type": name, "derived": derived, "config": said}
    try:
        return {"type": name, "trace": tracer.model_type(name).to_json()}, config
    except Problem as refused:
        return {"type": name, "refused": reason(refused)}, config


def expressed_line(tracer: Tracer, name: str) -> tuple[str, dict[str, Any] | None]:
    """The expressions of a type; where none were found, why."""
    try:
        return tracer.expressions_of(name)
    except Problem as refused:
        return reason(refused), None


def presets(tracer: Tracer) -> Iterator[str]:
    """The line of each preset that is a published configuration; none for a type that transformers does not know."""
    for model in catalogue.models():
        if model.status == CONFIG:
            with contextlib.suppress(BadInput):
                yield preset_line(model.name, tracer.config(preset_config(model), model.name).to_json())


@frozen
class Compared:
    """What became of the reader of a type: its row, and whether its expressions answered wrongly."""

    row: tuple[str, str, str, str]
    contradicted: bool


def compared(tracer: Tracer, one: Recorded) -> Compared | None:
    """What became of the reader at a type's default and at another configuration, which is not recorded.

    At last of the two the worse, read by structure alone. None for a type that was not traced.
    """
    if one.trace is None or one.config is None:
        return None
    first, alone = at_default(one.config, one.trace), structure(one.config, one.trace)
    wrong = contradicted({"model_type": one.model_type}, one.trace)
    try:
        config, _ = tracer.config_of(one.model_type, seed=SEED)
        traced = tracer.config(config, one.model_type)
    except Problem:
        return Compared(row=(one.model_type, first, NOT_BUILT, worse(alone, NOT_BUILT)), contradicted=wrong)
    alone = worse(alone, structure(config, traced))
    row = (one.model_type, first, outcome(config, traced), alone)
    return Compared(row=row, contradicted=wrong or contradicted(config, traced))


def reason(refused: Problem) -> str:
    """Why a type is not there, as transformers says it."""
    return str(refused.sentence.values.get("reason", refused))[:160]


def main() -> int:
    """Write all files; 0 when it was done."""
    with Tracer() as tracer:
        names = tracer.language_types()
    found = each(line, names)
    folder().mkdir(exist_ok=True)
    _write(TRACES, [trace for trace, _ in found])
    _write(CONFIGS, [config for _, config in found if config is not None])
    built = [trace["type"] for trace, _ in found if "trace" in trace]
    made = dict(zip(built, each(expressed_line, built), strict=True))
    write_expressions({name: line for name, (_, line) in made.items() if line is not None})
    for name, (why, _) in made.items():
        if why:
            sys.stderr.write(f"{name}: no expressions: {why}\n")
    forget_records()
    with Tracer() as tracer:
        write_text(folder() / PRESETS, "".join(f"{line}\n" for line in presets(tracer)))
    every = recorded()

    def ask(tracer: Tracer, name: str) -> Compared | None:
        return compared(tracer, every[name])

    rows = dict(zip(built, each(ask, built), strict=True))
    wrong = [name for name, one in rows.items() if one is not None and one.contradicted]
    if wrong:
        # Their structure answers, and says what was found of it.
        write_expressions(
            {name: line for name, (_, line) in made.items() if line is not None and name not in wrong}
        )
        forget_records()
        rows |= dict(zip(wrong, each(ask, wrong), strict=True))
    write_text(folder() / READER, as_csv(one.row for one in rows.values() if one is not None))
    sys.stderr.write(f"{len(built)} types traced, {len(found) - len(built)} refused\n")
    return 0


def write_expressions(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the lines of all types anew, a file for each initial: no file is large, and an answer reads one of them."""
    place = folder() / EXPRESSIONS
    place.mkdir(exist_ok=True)
    for old in place.glob("*.jsonl"):
        old.unlink()
    by_file: dict[Path, list[str]] = {}
    for name, line in sorted(found.items()):
        by_file.setdefault(file_of(name), []).append(_compact(line))
    for path, lines in by_file.items():
        write_text(path, "".join(f"{line}\n" for line in lines))


def forget_records() -> None:
    """Read the files again when they are next asked: they were written anew."""
    recorded.cache_clear()
    record.cache_clear()
    forget()


def _write(name: str, rows: Sequence[Mapping[str, Any] | None]) -> None:
    write_text(folder() / name, "".join(f"{_compact(row)}\n" for row in rows if row is not None))


def as_csv(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """The outcomes as `reader.csv` holds them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def _compact(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
