"""Errors on cards left out of a fit, and intervals from them; what `fit` writes and `score` shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np
import numpy.typing as npt

from l4guide.catalogue import gpu
from l4guide.estimate.chip import Chip, chip_of
from l4guide.estimate.families import FAMILIES
from l4guide.estimate.least_squares import Fitted, fit
from l4guide.estimate.model import BANDS_US, HeldOut, time_of
from l4guide.estimate.priors import priors_for
from l4guide.estimate.problems import Array
from l4guide.estimate.tables import Rows

#: Share of rows that an interval must hold.
COVERAGE = 0.8
#: Rows of generation steps whose keys and values do not fit the L2 weigh so much more: they are the real case.
COLD_WEIGHT = 3.0
#: Where one card alone stands behind a family, its interval is that of the others, so much wider.
ALONE = 1.5
#: A band with fewer rows takes those of all bands.
FEWEST_ROWS = 15
#: Held-out groups that a family needs before its own spread counts as much as that of all families.
SHRINK_GROUPS = 0.5
#: Half-width in log time of what a card does to all rows of a kernel alike, where held-out cards did not show it.
CARD_BIAS = 0.07
MIB = 2.0**20

Mask = npt.NDArray[np.bool_]
Key = tuple[str, str, str]  # family, phase, tensor class


def chips_of(rows: Rows) -> dict[str, Chip]:
    """The card of every name."""
    return {str(name): chip_of(gpu(str(name))) for name in np.unique(rows.gpu)}


def cold(rows: Rows) -> Mask:
    """Rows whose keys and values are more than twice the L2."""
    chips = chips_of(rows)
    l2_bytes = np.array([chips[str(name)].l2_mb * MIB for name in rows.gpu])
    return np.asarray(rows.problems.cache_bytes > 2 * l2_bytes)


def predict(rows: Rows, family: str, phase: str, coefficients: dict[str, float]) -> Array:
    """Time in us of every row, as the tables measure it: replayed, so that small calls find their bytes in L2."""
    out = np.empty(len(rows))
    for name, chip in chips_of(rows).items():
        mine = rows.gpu == name
        out[mine] = time_of(phase, family, coefficients, chip, rows.problems.take(mine)).total
    return out


def fit_rows(rows: Rows, family: str, phase: str) -> Fitted:
    """The coefficients of a family from these rows, every card weighing the same."""
    weights = np.zeros(len(rows))
    heavy = np.where(cold(rows), COLD_WEIGHT, 1.0) if phase.startswith("decode") else np.ones(len(rows))
    parts = [(rows.gpu == name, chip) for name, chip in chips_of(rows).items()]
    for mine, _ in parts:
        for weight in (1.0, COLD_WEIGHT):
            group = mine & (heavy == weight)
            weights[group] = weight / max(group.sum(), 1)
    problems = [(mine, chip, rows.problems.take(mine)) for mine, chip in parts]

    def times(values: object) -> Array:
        out = np.empty(len(rows))
        for mine, chip, own in problems:
            out[mine] = time_of(phase, family, values, chip, own).total  # type: ignore[arg-type]
        return out

    return fit(times, rows.measured_us, weights, priors_for(FAMILIES[family], phase))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows of one kernel on one card, with times from a fit that did not see the card."""

    key: Key
    gpu: str
    rows: Rows
    predicted_us: Array

    @property
    def errors(self) -> Array:
        """Predicted over measured, less one."""
        return np.asarray(self.predicted_us / self.rows.measured_us - 1)

    @property
    def log_errors(self) -> Array:
        """The logarithm of predicted over measured, without its sign."""
        return np.asarray(np.abs(np.log(self.predicted_us / self.rows.measured_us)))

    def summary(self) -> HeldOut:
        """The errors in four numbers."""
        return summary(self.gpu, self.errors)


def summary(name: str, errors: Array) -> HeldOut:
    """The median, ninetieth percentile and bias of relative errors."""
    size = np.abs(errors)
    return HeldOut(
        gpu=name,
        rows=len(errors),
        median=float(np.median(size)),
        p90=float(np.quantile(size, 0.9)),
        bias=float(np.median(errors)),
    )


class Study:
    """Fits of one set of measured rows, each made once, with any cards left out."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._fits: dict[tuple[Key, tuple[str, ...]], Fitted] = {}

    @cached_property
    def keys(self) -> dict[Key, Rows]:
        """The rows of every kernel family, phase and class of cards."""
        classes = {name: chip.tensor_class for name, chip in chips_of(self.rows).items()}
        classed = np.array([classes[str(name)] for name in self.rows.gpu])
        triples = sorted(
            set(zip(self.rows.family.tolist(), self.rows.phase.tolist(), classed.tolist(), strict=True))
        )
        return {
            key: self.rows.take(
                (self.rows.family == key[0]) & (self.rows.phase == key[1]) & (classed == key[2])
            )
            for key in triples
        }

    def gpus(self, key: Key) -> tuple[str, ...]:
        """The cards with rows of a kernel."""
        return tuple(sorted(set(self.keys[key].gpu.tolist())))

    def fitted(self, key: Key, without: tuple[str, ...] = ()) -> Fitted | None:
        """The coefficients from all cards but those `without`; None where no card is left."""
        used = tuple(name for name in self.gpus(key) if name not in without)
        if not used:
            return None
        if (key, used) not in self._fits:
            rows = self.keys[key]
            self._fits[key, used] = fit_rows(rows.take(np.isin(rows.gpu, used)), key[0], key[1])
        return self._fits[key, used]

    def group(self, key: Key, name: str, without: tuple[str, ...] = ()) -> Group | None:
        """The rows of card `name`, predicted without it and without the cards `without`."""
        found = self.fitted(key, (name, *without))
        if found is None:
            return None
        rows = self.keys[key].take(self.keys[key].gpu == name)
        return Group(key=key, gpu=name, rows=rows, predicted_us=predict(rows, key[0], key[1], found.values))

    def groups(self, without: tuple[str, ...] = ()) -> Iterator[Group]:
        """Every kernel on every card but those `without`, none of which any fit has seen."""
        for key in self.keys:
            for name in self.gpus(key):
                if name not in without and (found := self.group(key, name, without)) is not None:
                    yield found

    def known(self, key: Key) -> list[Group]:
        """The same with the card among those fitted."""
        found = self.fitted(key)
        assert found is not None
        groups = []
        for name in self.gpus(key):
            rows = self.keys[key].take(self.keys[key].gpu == name)
            predicted = predict(rows, key[0], key[1], found.values)
            groups.append(Group(key=key, gpu=name, rows=rows, predicted_us=predicted))
        return groups


def _kind(phase: str) -> str:
    return "decode" if phase.startswith("decode") else "prompt"


def _quantile(values: Array) -> float:
    """The `COVERAGE` quantile."""
    return float(np.quantile(values, COVERAGE))


def _bands(group: Group) -> npt.NDArray[np.intp]:
    return np.searchsorted(BANDS_US, group.rows.measured_us)


def _shape(groups: list[Group]) -> Array:
    """By band of duration, the middle one of the groups' own quantiles."""
    shape = []
    for band in range(len(BANDS_US) + 1):
        found = [group.log_errors[_bands(group) == band] for group in groups]
        enough = [errors for errors in found if len(errors) >= FEWEST_ROWS]
        shape.append(median(map(_quantile, enough or [group.log_errors for group in groups])))
    return np.array(shape)


def widths(groups: list[Group], key: Key, card_bias: float = CARD_BIAS) -> tuple[float, ...]:
    """The half-width of the interval of a kernel by band of duration, from held-out groups of its phase.

    The shape over the bands is that of all kernels; the size lies between that of all and that of the kernel's own
    groups; what a new card may add to all its rows at once comes on top.
    """
    shape = _shape([group for group in groups if _kind(group.key[1]) == _kind(key[1])])
    own = [group for group in groups if group.key == key]
    factor = ALONE
    if own:
        ratio = median(_quantile(group.log_errors / shape[_bands(group)]) for group in own)
        factor = ratio ** (len(own) / (len(own) + SHRINK_GROUPS))
    return tuple(np.hypot(factor * shape, card_bias).tolist())
