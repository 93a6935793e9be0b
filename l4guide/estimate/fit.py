"""Make `data/calibration/attention.toml` from folders of measured tables: `python -m l4guide.estimate.fit FOLDER ...`.

The tables are aiconfigurator's (`aic_*.csv`) and the records that `l4guide measure` writes (`*.json`); those committed
in `data/measurements/` are always among them. What is written is small: a dozen coefficients for each kernel family,
phase and class of cards, their errors, the errors on cards left out, and the widths of intervals. The rows themselves
are not. The same tables always make the same file.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from l4guide.catalogue import data_folder, source
from l4guide.errors import BadInput, Problem
from l4guide.estimate.heldout import Group, Key, Study, cold, summary, widths
from l4guide.estimate.interval import NOT_ITS_OWN
from l4guide.estimate.tables import Rows, read_tables
from l4guide.files import write_text

TARGET = "attention.toml"
SOURCE = "aiconfigurator-measurements"
#: A kernel with fewer rows in a phase, on all cards of a class, is not fitted: it stays borrowed or unknown.
FEWEST_ROWS = 12

HEAD = """\
# Coefficients of the attention-time model (l4guide/estimate/physics.py says what each one is), made by
# `python -m l4guide.estimate.fit FOLDER` from measured tables that are not here. `errors` are standard deviations of
# the logarithm. `held_out` is the error on one card of a fit that did not see it, in per cent: median and ninetieth
# percentile of |predicted/measured - 1|, and the median with its sign; of generation steps only those whose keys and
# values do not fit the L2. `width_new` and `width_known` are half-widths of the 80 % interval in log time, by band of
# duration, on a card without and with rows.
"""


def in_memory(group: Group) -> Group | None:
    """The rows of a group that stand for real use: of generation steps those that come from memory."""
    if not group.key[1].startswith("decode"):
        return group
    mine = cold(group.rows)
    if not mine.any():
        return None
    return Group(
        key=group.key, gpu=group.gpu, rows=group.rows.take(mine), predicted_us=group.predicted_us[mine]
    )


def own_records() -> list[tuple[Rows, str]]:
    """The rows and the hash of the records committed with the guide; empty where none is of a GPU.

    Raises:
        BadData: a record is broken.
    """
    try:
        return [read_tables(data_folder() / "measurements")]
    except BadInput:  # no row at all
        return []


def merged(folders: Iterable[Path]) -> tuple[Rows, list[str]]:
    """The rows of all folders and of our own records as one, and a hash of each folder's files.

    Raises:
        BadInput: a folder holds no table.
        BadData: a file is not what its name says.
    """
    found = [*(read_tables(folder) for folder in folders), *own_records()]
    return Rows.joined([rows for rows, _ in found]), [digest for _, digest in found]


def document(study: Study, digests: Iterable[str]) -> str:
    """The text of the calibration file."""
    keys = [key for key, rows in study.keys.items() if len(rows) >= FEWEST_ROWS]
    held = [group for found in study.groups() if (group := in_memory(found)) is not None]
    lines = [HEAD, f"sources = {_strings([SOURCE])}", f'as_of = "{source(SOURCE).as_of.isoformat()}"']
    lines += [f"tables_sha256 = {_strings(digests)}", f"rows = {len(study.rows)}"]
    for key in keys:
        lines += ["", *_table(study, key, held)]
    return "\n".join(lines) + "\n"


def _table(study: Study, key: Key, held: list[Group]) -> list[str]:
    family, phase, tensor_class = key
    rows, found = study.keys[key], study.fitted(key)
    assert found is not None
    everything = study.known(key)
    known = [group for part in everything if (group := in_memory(part)) is not None] or everything
    width_known = widths(known, key, new_card=0.0)
    # Whatever other kernels say, a new card is not known better than those with rows.
    width_new = np.maximum(widths(held, key) if held else NOT_ITS_OWN * np.array(width_known), width_known)
    lines = [
        "[[fit]]",
        f'family = "{family}"',
        f'phase = "{phase}"',
        f'tensor_class = "{tensor_class}"',
        f"gpus = {_strings(study.gpus(key))}",
        f"rows = {len(rows)}",
        f"head_dims = {sorted({int(depth) for depth in rows.problems.head_dim})}",
        f"longest = {int(rows.problems.seqlen_kv.max())}",
        f"largest_batch = {int(rows.problems.batch.max())}",
        f"width_new = {_numbers(width_new)}",
        f"width_known = {_numbers(width_known)}",
        "held_out = [",
    ]
    for group in held:
        if group.key == key:
            one = summary(group.gpu, group.errors)
            lines.append(
                f'  {{ gpu = "{one.gpu}", rows = {one.rows}, median = {100 * one.median:.1f}, '
                f"p90 = {100 * one.p90:.1f}, bias = {100 * one.bias:+.1f} }},"
            )
    return [*lines, "]", f"coefficients = {_pairs(found.values, 4)}", f"errors = {_pairs(found.errors, 2)}"]


def _pairs(values: dict[str, float], digits: int) -> str:
    return (
        "{ "
        + ", ".join(f"{name} = {float(f'{value:.{digits}g}')!r}" for name, value in values.items())
        + " }"
    )


def _numbers(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{value:.3f}" for value in values) + "]"


def _strings(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def main(folders: list[str]) -> None:
    """Write the calibration from the tables in `folders`.

    Raises:
        BadInput: no folder is given, or one holds no table.
        BadData: a file is not what its name says.
    """
    if not folders:
        raise BadInput("error.no_measured_tables", folder="-")
    np.seterr(all="raise", under="ignore")
    rows, digests = merged(Path(folder) for folder in folders)
    write_text(data_folder() / "calibration" / TARGET, document(Study(rows), digests))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Problem as problem:
        sys.exit(problem.say())
