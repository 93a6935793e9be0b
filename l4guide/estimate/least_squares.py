"""Fitting a few positive coefficients by robust least squares with log-normal priors; numpy only, deterministic."""

from collections.abc import Callable, Mapping

import numpy as np

from l4guide.estimate.problems import Array
from l4guide.frozen import frozen

#: Log error at which a row begins to count as an outlier.
SCALE = 0.08
#: Rows of one card are not independent: all together they weigh as this many.
EFFECTIVE_ROWS = 60.0
ROUNDS = 40
#: No coefficient goes further from its middle than this many deviations.
FURTHEST = 4.0
SMALL = 1e-3


@frozen
class Prior:
    """The middle of a coefficient, and the standard deviation of its logarithm; 0 holds it fixed."""

    middle: float
    deviation: float


@frozen
class Fitted:
    """Coefficients by name, and the standard deviation of the logarithm of those that were free."""

    values: dict[str, float]
    errors: dict[str, float]


def fit(
    predict: Callable[[Mapping[str, float]], Array],
    measured: Array,
    weights: Array,
    priors: Mapping[str, Prior],
    effective_rows: float = EFFECTIVE_ROWS,
) -> Fitted:
    """The coefficients that minimise the soft-L1 of `log(predicted / measured)`; `weights` are relative."""
    free = [name for name, prior in priors.items() if prior.deviation > 0]
    middle = np.log([priors[name].middle for name in free])
    deviation = np.array([priors[name].deviation for name in free])
    held = {name: prior.middle for name, prior in priors.items() if prior.deviation == 0}
    share = np.sqrt(effective_rows * weights / weights.sum())
    log_measured = np.log(measured)

    def values(z: Array) -> dict[str, float]:
        return held | dict(zip(free, np.exp(middle + z * deviation).tolist(), strict=True))

    def errors(z: Array) -> Array:
        return np.asarray((np.log(predict(values(z))) - log_measured) / SCALE)

    z, normal = _descend(errors, share, np.zeros(len(free)))
    spread = np.sqrt(np.diag(np.linalg.inv(normal))) * deviation
    return Fitted(values=values(z), errors=dict(zip(free, spread.tolist(), strict=True)))


def _descend(errors: Callable[[Array], Array], share: Array, z: Array) -> tuple[Array, Array]:
    """Levenberg and Marquardt's descent; the minimum, and the normal matrix there."""

    def cost(error: Array, at: Array) -> float:
        return float(np.sum(share**2 * 2 * (np.sqrt(1 + error**2) - 1)) + at @ at)

    error = errors(z)
    best, damping = cost(error, z), 1e-2
    normal = np.eye(len(z))
    for _ in range(ROUNDS):
        soft = share / (1 + error**2) ** 0.25
        a = _jacobian(errors, z, error) * soft[:, None]
        normal, slope = a.T @ a + np.eye(len(z)), a.T @ (error * soft) + z
        gain = 0.0
        for _ in range(8):
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -slope)
            trial = np.clip(z + step, -FURTHEST, FURTHEST)
            trial_error = errors(trial)
            trial_cost = cost(trial_error, trial)
            if trial_cost < best:
                gain = best - trial_cost
                z, error, best, damping = trial, trial_error, trial_cost, max(damping / 5, 1e-6)
                break
            damping *= 4
        if gain <= 1e-4 * best:
            break
    return z, normal


def _jacobian(errors: Callable[[Array], Array], z: Array, at: Array) -> Array:
    columns = []
    for i in range(len(z)):
        moved = z.copy()
        moved[i] += SMALL
        columns.append((errors(moved) - at) / SMALL)
    return np.stack(columns, axis=1)
