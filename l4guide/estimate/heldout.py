"""Errors on cards left out of a fit, and intervals from them; what `fit` writes and `score` shows."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from l4guide.catalogue import gpu
from l4guide.estimate.chip import Chip, chip_of
from l4guide.estimate.families import FAMILIES
from l4guide.estimate.interval import NOT_ITS_OWN
from l4guide.estimate.least_squares import EFFECTIVE_ROWS, Fitted, fit
from l4guide.estimate.model import BANDS_US, HeldOut, time_of
from l4guide.estimate.priors import priors_for
from l4guide.estimate.problems import Array
from l4guide.estimate.tables import Rows
from l4guide.frozen import frozen

#: Share of rows that an interval must hold.
COVERAGE = 0.8
#: Rows of generation steps whose keys and values do not fit the L2 weigh so much more: they are the real case.
COLD_WEIGHT = 3.0
#: A band of a group with fewer rows takes those of all bands.
FEWEST_ROWS = 15
#: Weight of a held-out group of another kernel beside one of the kernel itself.
OTHER_KERNEL = 0.1
#: Half-width in log time that a new card adds: the structure was chosen with all of these in view.
NEW_CARD = 0.05
#: Parts that the rows of a kernel are dealt into to see how well a known card is predicted.
FOLDS = 5
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

    priors = priors_for(FAMILIES[family], phase)
    return fit(times, rows.measured_us, weights, priors, min(EFFECTIVE_ROWS, len(rows)))


@frozen
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
        """The same where the card is known by other rows: each row predicted by a fit without its fold."""
        rows = self.keys[key]
        fold = np.arange(len(rows)) % FOLDS
        predicted = np.empty(len(rows))
        for one in range(FOLDS):
            found = fit_rows(rows.take(fold != one), key[0], key[1])
            predicted[fold == one] = predict(rows.take(fold == one), key[0], key[1], found.values)
        cards = ((name, rows.gpu == name) for name in self.gpus(key))
        return [
            Group(key=key, gpu=name, rows=rows.take(mine), predicted_us=predicted[mine])
            for name, mine in cards
        ]


def _phase(key: Key) -> str:
    """Prompts, plain calls and generation steps err differently; the type of a cache changes little."""
    return "decode" if key[1].startswith("decode") else key[1]


def _in_band(group: Group, band: int) -> Array:
    """The log errors of calls that are predicted to last so long; of all calls where those are few."""
    mine = group.log_errors[np.searchsorted(BANDS_US, group.predicted_us) == band]
    return mine if len(mine) >= FEWEST_ROWS else group.log_errors


def _quantile(values: Array, weights: Array) -> float:
    """The smallest value that has `COVERAGE` of the weight at or below it."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, COVERAGE * reached[-1])])


def _kin(groups: list[Group], key: Key) -> set[Key]:
    """The kernel itself where a group is of it, else what else the same kernel does with prompts, or with steps."""
    if any(group.key == key for group in groups):
        return {key}
    alike = {group.key for group in groups if (group.key[0], group.key[2]) == (key[0], key[2])}
    return {other for other in alike if other[1].startswith("decode") == key[1].startswith("decode")}


def widths(groups: list[Group], key: Key, new_card: float = NEW_CARD) -> tuple[float, ...]:
    """The half-width of a kernel's interval by band of duration: weighted conformal prediction.

    It is the `COVERAGE` quantile of the errors of `groups`, each of a card that the fit behind it did not see. A group
    counts alike however many rows it has, since rows of one card err together; groups of other kernels in the same
    phase count `OTHER_KERNEL`, so that a kernel is not taken at the word of one or two cards. `new_card` comes on top.
    To score a card, leave its groups out: nothing here knows what it is about to be asked.
    """
    kin = _kin(groups, key)
    pool = [group for group in groups if group.key in kin or _phase(group.key) == _phase(key)] or groups
    found = []
    for band in range(len(BANDS_US) + 1):
        errors = [_in_band(group, band) for group in pool]
        weights = [
            np.full(len(mine), (1.0 if group.key in kin else OTHER_KERNEL) / len(mine))
            for group, mine in zip(pool, errors, strict=True)
        ]
        found.append(_quantile(np.concatenate(errors), np.concatenate(weights)))
    return tuple(np.hypot(np.array(found) * (1.0 if key in kin else NOT_ITS_OWN), new_card).tolist())
