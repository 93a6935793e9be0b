"""A fitted kernel: which rows stand behind it, its coefficients, and the time of any call that it runs."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from l4guide.estimate.chip import Chip
from l4guide.estimate.families import FAMILIES
from l4guide.estimate.physics import AS_FITTED, Live, Parts, Prompt, Step, prompt_time, step_time
from l4guide.estimate.problems import Array, Problems
from l4guide.frozen import frozen

#: Durations in us between which held-out errors are taken together.
BANDS_US = (20.0, 100.0, 1000.0)


@frozen
class HeldOut:
    """Errors on a card that the fit did not see: medians and the ninetieth percentile of |predicted/measured - 1|."""

    gpu: str
    rows: int
    median: float
    p90: float
    bias: float


@frozen
class Fit:
    """One kernel family in one phase on one class of cards.

    `coefficients` are of `physics.Prompt` or `physics.Step`; `errors` the standard deviations of the logarithm of those
    that were free. `width_new` is the half-width of the 80 % interval in log time on a card without rows, by band of
    duration; `width_known` on a card with rows.
    """

    family: str
    phase: str
    tensor_class: str
    gpus: tuple[str, ...]
    rows: int
    head_dims: tuple[int, ...]
    longest: int
    largest_batch: int
    coefficients: Mapping[str, float]
    errors: Mapping[str, float]
    held_out: tuple[HeldOut, ...]
    width_new: tuple[float, ...]
    width_known: tuple[float, ...]


def time_of(
    phase: str,
    family: str,
    coefficients: Mapping[str, float],
    chip: Chip,
    problems: Problems,
    *,
    cold: bool = False,
    live: Live = AS_FITTED,
) -> Parts:
    """The time of forward calls of a family, with where it goes."""
    shape = FAMILIES[family]
    if phase.startswith("decode"):
        step = Step(**{f.name: coefficients[f.name] for f in fields(Step)})
        return step_time(chip, shape, problems, step, cold=cold, live=live)
    prompt = Prompt(**{f.name: coefficients[f.name] for f in fields(Prompt)})
    return prompt_time(chip, shape, problems, prompt, cold=cold, live=live)


_EDGES = np.log(BANDS_US)
_MIDDLES = np.concatenate([[_EDGES[0] - 0.5], (_EDGES[:-1] + _EDGES[1:]) / 2, [_EDGES[-1] + 1.0]])


def width_at(widths: tuple[float, ...], time_us: Array) -> Array:
    """The half-width of an interval at these durations, linear in log time between the middles of bands."""
    return np.asarray(np.interp(np.log(time_us), _MIDDLES, widths))
