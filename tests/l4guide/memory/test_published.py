"""Memory and length of training runs that others published, against what the guide says of the same recipes."""

from dataclasses import replace

import numpy as np
import pytest
from trained_models import architecture

from l4guide.catalogue import data_folder, gpu
from l4guide.frozen import frozen
from l4guide.memory import Fit, fit, sizes
from l4guide.memory.sizes import GIB
from l4guide.step import Plan
from l4guide.step.plan import plan_of
from l4guide.step.recipe import FIELDS
from l4guide.table import read_rows

UNITS = {"GiB": 1.0, "GB": 1e9 / GIB}
#: What a program finds of a card's memory.
USABLE = 0.975


@frozen
class Run:
    """A row of `data/training.csv`: a recipe, and the peak of one card's memory or the longest context that ran."""

    model: str
    method: str
    weights: str | None
    lora_rank: int | None
    lora_targets: tuple[str, ...]
    optimizer: str | None
    master_weights: bool | None
    fused_step: bool | None
    loss: str | None
    recompute: str | None
    zero: str | None
    gpus: int
    batch: int
    seqlen: int
    card_gb: float | None
    peak_gb: float | None
    unit: str
    longest: int | None
    note: str
    sources: tuple[str, ...]

    @property
    def plan(self) -> Plan:
        """How it ran."""
        said = {name: getattr(self, name) for name in (*FIELDS, "weights", "gpus") if hasattr(self, name)}
        said["lora_targets"] = ",".join(self.lora_targets) or None
        return plan_of(said, task="training", dtype="bf16", stored=None)

    @property
    def fit(self) -> Fit:
        """The same run as the guide sees it, on a card of its size."""
        card = replace(gpu("A100-80GB-SXM"), memory_gb=self.card_gb or 80.0, usable_memory_mib=None)
        model = replace(architecture(self.model), max_context=None)
        return fit(model, self.plan, card, self.batch, self.seqlen)

    @property
    def is_held(self) -> bool:
        """Whether the published number lies within the interval."""
        found = self.fit
        if self.longest is not None:
            most = found.largest_context
            return most.low <= self.longest <= most.high
        low, _, high = (end / GIB for end in found.sizes.bytes.ends())
        return bool(low <= self.peak_gb * UNITS[self.unit] <= high)  # type: ignore[operator]


def runs() -> list[Run]:
    """Every row of the table."""
    columns = list(Run.__dataclass_fields__)
    rows = read_rows(data_folder() / "training.csv", columns, [*columns[:14], "card_gb", "peak_gb"])
    return [row.fill(Run) for row in rows]


RUNS = runs()
#: The runs that were given as what must come out right; others were found beside them.
GIVEN = [
    *(
        run
        for run in RUNS
        if run.model == "Llama-3.1-8B" and run.card_gb == 24 and run.batch == 2 and run.seqlen == 2048
    ),
    *(run for run in RUNS if run.sources == ("litgpt-lora-a100",)),
    *(run for run in RUNS if run.longest is not None and run.card_gb == 24),
]


def test_at_least_six_of_the_seven_given_lie_within_their_interval() -> None:
    """Full, LoRA and QLoRA of torchtune, both of litgpt, TRL's and Unsloth's longest context."""
    assert 7 == len(GIVEN)
    assert 6 <= sum(run.is_held for run in GIVEN)


def test_the_intervals_hold_four_fifths_of_all() -> None:
    """The same of all that were found: of both kinds, of each source but what it is known not to model."""
    assert 0.8 <= np.mean([run.is_held for run in RUNS])
    for longest in (True, False):
        assert 0.8 <= np.mean([run.is_held for run in RUNS if (run.longest is not None) == longest])
    plain = {run.sources for run in RUNS}
    for source in plain:
        of_it = [run for run in RUNS if run.sources == source and "not modelled" not in run.note]
        assert 0.8 <= np.mean([run.is_held for run in of_it]), source


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.model}-{run.method}-{run.seqlen}")
def test_what_ran_is_not_said_not_to_fit(run: Run) -> None:
    """A run that somebody made on a card is never `no`."""
    assert "no" != run.fit.fits


def test_the_middle_is_not_far_off() -> None:
    """The median of predicted over published peaks is within 15 % of one, and half of them are within 20 %."""
    ratios = np.array(
        [
            run.fit.sizes.bytes.value.item() / GIB / (run.peak_gb * UNITS[run.unit])
            for run in RUNS
            if run.peak_gb is not None
        ]
    )
    assert abs(np.median(ratios) - 1) < 0.15
    assert np.mean(np.abs(ratios - 1) < 0.2) > 0.5


def test_an_interval_says_something() -> None:
    """Its ends are at most a factor of four apart, half of them within two."""
    spread = []
    for run in RUNS:
        asked = (np.array([float(run.batch)]), np.array([float(run.seqlen)]))
        low, _, high = sizes(architecture(run.model), run.plan, *asked).bytes.ends()
        spread.append(high / low)
    assert max(spread) < 4
    assert np.median(spread) < 2
