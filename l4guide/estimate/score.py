"""Score the estimator against measured tables: `python -m l4guide.estimate.score FOLDER` writes the scoreboard.

No row is scored by a fit that saw its card (or, where that is what is asked, its head dimension). The interval of a
card comes from the errors on the other cards; where two cards alone share a kernel (H100 and H200), the other's error
is of a fit to this one. The structure of the model was chosen while looking at these same cards, and so were the widths
of the priors and the two constants of the intervals (`heldout.OTHER_KERNEL`, `heldout.NEW_CARD`): a truly new card may
do a few points worse.
"""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from l4guide.catalogue import data_folder
from l4guide.errors import BadInput, Problem
from l4guide.estimate import priors
from l4guide.estimate.attention import call_times
from l4guide.estimate.fit import in_memory, merged
from l4guide.estimate.heldout import Group, Study, chips_of, fit_rows, predict, summary, widths
from l4guide.estimate.live import correct
from l4guide.estimate.model import Fit, width_at
from l4guide.estimate.rivals import rivals
from l4guide.estimate.routes import Choice
from l4guide.estimate.scoreboard import Peer, Score
from l4guide.estimate.tables import Rows
from l4guide.files import write_text

FLASH = ("fa2", "fa3", "fa3-sglang", "fa3-sglang-192")
#: What was promised of the median error in per cent: FlashAttention-2 and -3, all kernels of a card, generation steps
#: from memory (and on the A100), a head dimension not seen.
GOAL_FLASH, GOAL_CARD, GOAL_DECODE, GOAL_DECODE_A100, GOAL_UNSEEN, GOAL_ENCODER = (
    6.0,
    9.0,
    6.0,
    10.0,
    7.0,
    12.0,
)
LIVE_ROWS, DRAWS, SEED = 12, 8, 0
#: A kernel with fewer rows on a card gets no row of its own.
FEWEST_ROWS = 20
EVERYTHING = "all"


def _score(part: str, groups: Sequence[Group], others: Sequence[Group], **what: object) -> Score:
    """One row: the groups' errors, and how many of them the interval from `others` holds."""
    found = summary(groups[0].gpu, np.concatenate([group.errors for group in groups]))
    inside, half = [], []
    for group in groups if others else ():
        width = width_at(widths(list(others), group.key), group.predicted_us)
        inside.append(group.log_errors <= width)
        half.append(width)
    return Score(
        part=part,
        gpu=groups[0].gpu,
        rows=found.rows,
        median=round(100 * found.median, 1),
        p90=round(100 * found.p90, 1),
        bias=round(100 * found.bias, 1),
        coverage=round(100 * float(np.concatenate(inside).mean()), 1) if inside else None,
        width=round(100 * float(np.median(np.concatenate(half))), 1) if half else None,
        **{"phase": groups[0].key[1], "kernel": EVERYTHING, "head_dim": None, "goal": None} | what,  # type: ignore[arg-type]
    )


def _goal(gpu: str, phase: str, kernel: str) -> float | None:
    if phase == "prefill":
        return GOAL_CARD if kernel == EVERYTHING else GOAL_FLASH if kernel in (*FLASH, "flash") else None
    if phase == "decode" and kernel == EVERYTHING:
        return GOAL_DECODE_A100 if gpu.startswith("A100") else GOAL_DECODE
    return GOAL_ENCODER if phase == "encoder" and kernel == "flash" else None


def _part_of(group: Group, mask: npt.NDArray[np.bool_]) -> Group:
    return replace(group, rows=group.rows.take(mask), predicted_us=group.predicted_us[mask])


def left_out(held: Sequence[Group]) -> Iterator[Score]:
    """Every card left out: all its kernels, FlashAttention's together, each kernel, and each head dimension."""
    for gpu in sorted({group.gpu for group in held}):
        others = [group for group in held if group.gpu != gpu]
        for phase in ("prefill", "decode", "decode-fp8", "encoder"):
            mine = [group for group in held if (group.gpu, group.key[1]) == (gpu, phase)]
            if not mine:
                continue
            yield _score("card", mine, others, goal=_goal(gpu, phase, EVERYTHING))
            flash = [group for group in mine if group.key[0] in (*FLASH, "fa2-plain")]
            if phase in ("prefill", "encoder") and flash:
                yield _score("kernel", flash, others, kernel="flash", goal=_goal(gpu, phase, "flash"))
            for group in mine:
                yield from _kernel(group, others)


def _kernel(group: Group, others: Sequence[Group]) -> Iterator[Score]:
    family, phase, _ = group.key
    yield _score("kernel", [group], others, kernel=family, goal=_goal(group.gpu, phase, family))
    for depth in np.unique(group.rows.problems.head_dim):
        mask = group.rows.problems.head_dim == depth
        if mask.sum() >= FEWEST_ROWS:
            yield _score("head_dim", [_part_of(group, mask)], others, kernel=family, head_dim=int(depth))


def borrowed_encoders(study: Study) -> Iterator[Group]:
    """Plain calls of a kernel that only one card has: predicted from causal prompts of other cards of its class."""
    for key in study.keys:
        family, phase, tensor_class = key
        prompts = (family, "prefill", tensor_class)
        if phase != "encoder" or len(study.gpus(key)) > 1 or prompts not in study.keys:
            continue
        (gpu,) = study.gpus(key)
        found = study.fitted(prompts, (gpu,))
        if found is not None:
            values = found.values | {"passes": 1.0, "update": 0.0}
            rows = study.keys[key]
            yield Group(key=key, gpu=gpu, rows=rows, predicted_us=predict(rows, family, phase, values))


def unseen_head_dims(study: Study) -> Iterator[Score]:
    """Prompts of FlashAttention at a head dimension left out on a card that is known by its others."""
    for key, rows in study.keys.items():
        if key[0] not in FLASH or key[1] != "prefill" or len(np.unique(rows.problems.head_dim)) < 2:
            continue
        for depth in np.unique(rows.problems.head_dim):
            for gpu in study.gpus(key):
                asked = (rows.gpu == gpu) & (rows.problems.head_dim == depth)
                if not asked.any() or asked[rows.gpu == gpu].all():
                    continue
                found = fit_rows(rows.take(~asked), key[0], key[1])
                mine = rows.take(asked)
                group = Group(
                    key=key, gpu=gpu, rows=mine, predicted_us=predict(mine, key[0], key[1], found.values)
                )
                yield _score("unseen", [group], (), kernel=key[0], head_dim=int(depth), goal=GOAL_UNSEEN)


def wide_priors(rows: Rows) -> Iterator[Score]:
    """Prompts of each card left out, with every prior twice as wide."""
    with priors.widened(2.0):
        held = list(Study(rows.take(rows.phase == "prefill")).groups())
    for gpu in sorted({group.gpu for group in held}):
        mine = [group for group in held if group.gpu == gpu]
        yield _score("priors", mine, ())
        yield _score("priors", [group for group in mine if group.key[0] in FLASH], (), kernel="flash")


def _choice(study: Study, group: Group, others: Sequence[Group]) -> Choice:
    found = study.fitted(group.key, (group.gpu,))
    assert found is not None
    width = widths(list(others), group.key)
    fit = Fit(
        family=group.key[0],
        phase=group.key[1],
        tensor_class=group.key[2],
        gpus=tuple(name for name in study.gpus(group.key) if name != group.gpu),
        rows=len(group.rows),
        head_dims=tuple(int(depth) for depth in np.unique(group.rows.problems.head_dim)),
        longest=int(group.rows.problems.seqlen_kv.max()),
        largest_batch=int(group.rows.problems.batch.max()),
        coefficients=found.values,
        errors=found.errors,
        held_out=(),
        width_new=width,
        width_known=width,
    )
    return Choice(fit=fit, stretch=None, drop_cache=False)


def live_rows(study: Study, held: Sequence[Group]) -> Iterator[Score]:
    """Every card left out but for a dozen rows of the kernel, one from each twelfth of the durations."""
    draw = np.random.default_rng(SEED)
    for group in held:
        if group.key[1] not in ("prefill", "decode") or len(group.rows) < 10 * LIVE_ROWS:
            continue
        choice = _choice(study, group, [other for other in held if other.gpu != group.gpu])
        chip = chips_of(group.rows)[group.gpu]
        parts = np.array_split(np.argsort(group.rows.measured_us), LIVE_ROWS)
        found = []
        for _ in range(DRAWS):
            seen = np.isin(np.arange(len(group.rows)), [draw.choice(part) for part in parts])
            live = correct(chip, choice, group.rows.problems.take(seen), group.rows.measured_us[seen])
            times = call_times(group.rows.problems.take(~seen), chip, choice, live=live)
            measured = group.rows.measured_us[~seen]
            one = summary(group.gpu, times.value / measured - 1)
            held_part = ((times.low <= measured) & (measured <= times.high)).mean()
            found.append(
                (one.median, one.p90, one.bias, held_part, np.median(np.log(times.high / times.value)))
            )
        median, p90, bias, coverage, width = np.round(100 * np.mean(found, axis=0), 1).tolist()
        yield Score(
            part="live",
            gpu=group.gpu,
            phase=group.key[1],
            kernel=group.key[0],
            head_dim=None,
            rows=len(group.rows),
            median=median,
            p90=p90,
            bias=bias,
            coverage=coverage,
            width=width,
            goal=None,
        )


def scoreboard(folder: Path) -> tuple[list[Score], list[Peer]]:
    """All errors on the tables of a folder, and the comparison with the published formulas that it names.

    Raises:
        BadInput: the folder holds no table.
        BadData: a file is not what its name says.
    """
    rows, _ = merged([folder])
    study = Study(rows)
    everything = [*study.groups(), *borrowed_encoders(study)]
    held = [group for found in everything if (group := in_memory(found)) is not None]
    found = [*left_out(held), *unseen_head_dims(study), *wide_priors(rows), *live_rows(study, held)]
    return found, rivals(folder, everything)


def _text(records: Iterable[object], kind: type) -> str:
    names = [f.name for f in fields(kind)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for record in records:
        values = [getattr(record, name) for name in names]
        writer.writerow(["" if value is None else value for value in values])
    return buffer.getvalue()


def main(folders: list[str]) -> None:
    """Write `scores.csv` and `peers.csv` from the one folder that is named.

    Raises:
        BadInput: no folder is named, or it holds no table.
        BadData: a file is not what its name says.
    """
    if len(folders) != 1:
        raise BadInput("error.score_needs_folder")
    found, compared = scoreboard(Path(folders[0]))
    target = data_folder() / "calibration"
    write_text(target / "scores.csv", _text(found, Score))
    write_text(target / "peers.csv", _text(compared, Peer))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Problem as problem:
        sys.exit(problem.say())
