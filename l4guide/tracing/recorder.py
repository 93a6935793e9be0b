"""Write `data/traces/` anew: `python -m l4guide.tracing.recorder`, or `make traces`.

Every type that the installed transformers has a language model of is built and run at its default, all in one process.
Two files of JSON lines: the traces, and the configurations without what no count depends on; a third has the traces of
presets that are published configurations. Then the light reader is held to the traces, at the default and at another
configuration: `reader.csv`.
"""

import contextlib
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from l4guide import catalogue
from l4guide.catalogue import CONFIG
from l4guide.errors import BadInput, Problem
from l4guide.files import write_text
from l4guide.model import preset_config
from l4guide.model.defaults import forget
from l4guide.tracing.comparison import COLUMNS, READER, outcome
from l4guide.tracing.process import Tracer
from l4guide.tracing.record import CONFIGS, PRESETS, TRACES, Recorded, folder, preset_line, recorded

#: The other configuration is chosen by this number; a test tries further ones.
SEED = 1
NOT_BUILT = "not built"


def lines(tracer: Tracer) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """A line of each file for every type; no second one where its configuration cannot be made from nothing."""
    for name in tracer.language_types():
        try:
            said, derived = tracer.config_of(name)
        except Problem as refused:
            yield {"type": name, "refused": reason(refused)}, None
            continue
        config = {"model_type": name, "derived": derived, "config": said}
        try:
            yield {"type": name, "trace": tracer.model_type(name).to_json()}, config
        except Problem as refused:
            yield {"type": name, "refused": reason(refused)}, config


def presets(tracer: Tracer) -> Iterator[str]:
    """The line of each preset that is a published configuration; none for a type that transformers does not know."""
    for model in catalogue.models():
        if model.status == CONFIG:
            with contextlib.suppress(BadInput):
                yield preset_line(model.name, tracer.config(preset_config(model), model.name).to_json())


def comparisons(tracer: Tracer, found: Iterable[Recorded]) -> Iterator[tuple[str, str, str]]:
    """By type, what became of the reader at its default and at another configuration, which is not recorded."""
    for one in found:
        if one.trace is None or one.config is None:
            continue
        yield one.model_type, outcome(one.config, one.trace), second(tracer, one.model_type)


def second(tracer: Tracer, model_type: str) -> str:
    """What became of the reader at another configuration of a type."""
    try:
        config, _ = tracer.config_of(model_type, seed=SEED)
        return outcome(config, tracer.config(config, model_type))
    except Problem:
        return NOT_BUILT


def reason(refused: Problem) -> str:
    """Why a type is not there, as transformers says it."""
    return str(refused.sentence.values.get("reason", refused))[:160]


def main() -> int:
    """Write both files; 0 when it was done."""
    with Tracer() as tracer:
        found = list(lines(tracer))
    folder().mkdir(exist_ok=True)
    texts = {
        TRACES: [trace for trace, _ in found],
        CONFIGS: [config for _, config in found if config is not None],
    }
    for name, rows in texts.items():
        write_text(folder() / name, "".join(f"{_compact(row)}\n" for row in rows))
    recorded.cache_clear()
    forget()
    with Tracer() as tracer:
        write_text(folder() / PRESETS, "".join(f"{line}\n" for line in presets(tracer)))
        outcomes = as_csv(comparisons(tracer, recorded().values()))
    write_text(folder() / READER, outcomes)
    traced = sum("trace" in trace for trace, _ in found)
    sys.stderr.write(f"{traced} types traced, {len(found) - traced} refused\n")
    return 0


def as_csv(rows: Iterable[tuple[str, str, str]]) -> str:
    """The outcomes as `reader.csv` holds them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def _compact(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
