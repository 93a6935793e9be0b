"""Our error beside that of published formulas, on the rows that `peer_baseline_errors.csv` names.

What is written down is ours: our error, and by how much the formula's median is larger or smaller.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from l4guide.estimate.heldout import Group, cold, summary
from l4guide.estimate.scoreboard import Peer
from l4guide.estimate.tables import Rows

FILE = "peer_baseline_errors.csv"
#: Cards as that file writes them.
CARDS = {
    "a100_sxm": "A100-80GB-SXM",
    "l40s": "L40S",
    "h100_sxm": "H100 SXM",
    "h200_sxm": "H200 SXM",
    "b200_sxm": "B200 SXM",
    "rtx_pro_6000_server": "RTX PRO 6000 Blackwell Server",
}
#: The kernels that the formulas were scored on are vLLM's.
KERNELS = ("fa2", "fa3", "fa4")
#: A prompt counts as bound by arithmetic from this length and time on.
LONG, SLOW_US = 1024, 50.0
#: Cards that differ in their memory alone: a row carried over from one to the other needs no model.
SISTERS = {"H100 SXM", "H200 SXM"}


def rivals(folder: Path, held: Sequence[Group]) -> list[Peer]:
    """One row for each formula and set of rows; none where the folder does not name any.

    Ours is of a fit that saw no row of the card, also where the formula was given rows of the card.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [_compare(line, held) for line in csv.DictReader(file)]


def _subset(rows: Rows, subset: str) -> npt.NDArray[np.bool_]:
    """The rows that the name of a subset means."""
    shapes = rows.problems
    if subset.startswith("compute-bound"):
        return np.asarray((shapes.seqlen_kv >= LONG) & (rows.measured_us > SLOW_US))
    if subset == "kv>2xL2":
        return np.asarray(cold(rows))
    if subset == "kv<=2xL2":
        return np.asarray(~cold(rows))
    if subset.startswith("hd"):
        depth = float(subset.removeprefix("hd").split(" ")[0])
        return np.asarray((shapes.head_dim == depth) & (shapes.seqlen_kv >= LONG))
    return np.ones(len(rows), dtype=bool)


def _compare(line: dict[str, str], held: Sequence[Group]) -> Peer:
    gpu, phase, subset = CARDS[line["gpu"]], line["phase"], line["subset"]
    errors = [
        group.errors[_subset(group.rows, subset)]
        for group in held
        if (group.gpu, group.key[1]) == (gpu, phase) and group.key[0] in KERNELS
        if not (phase == "prefill" and group.key[0] == "fa4")
    ]
    what = {"gpu": gpu, "phase": phase, "subset": subset, "formula": line["model"]}
    if not errors:
        return Peer(
            **what, rows=0, median=None, p90=None, times_smaller=None, verdict="none", reason="score.one_card"
        )
    ours = summary(gpu, np.concatenate(errors))
    theirs = float(line["median_ape_pct"]) / 100
    better = ours.median < theirs
    return Peer(
        **what,
        rows=ours.rows,
        median=round(100 * ours.median, 1),
        p90=round(100 * ours.p90, 1),
        times_smaller=round(theirs / ours.median, 2),
        verdict="better" if better else "worse",
        reason="" if better else _reason(gpu, subset),
    )


def _reason(gpu: str, subset: str) -> str:
    """Why a formula may win there, as a text key."""
    donor = CARDS.get(subset.split("(from ")[-1].removesuffix(")"))
    if donor in SISTERS and gpu in SISTERS:
        return "score.sister_card"
    if subset.startswith("hd"):
        return "score.given_this_card"
    return "score.bandwidth_rule"
