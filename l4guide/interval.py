"""A number with its 80 % interval, or arrays of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from l4guide.frozen import frozen

Numbers = NDArray[np.float64]


@frozen
class Interval:
    """Low, middle and high ends, each an array of one shape."""

    low: Numbers
    value: Numbers
    high: Numbers

    @classmethod
    def of(cls, low: object, value: object, high: object) -> Interval:
        """An interval of plain numbers or arrays of one shape."""
        return cls(
            low=np.asarray(low, dtype=np.float64),
            value=np.asarray(value, dtype=np.float64),
            high=np.asarray(high, dtype=np.float64),
        )

    @classmethod
    def exactly(cls, value: object) -> Interval:
        """A number without doubt."""
        return cls.of(value, value, value)

    def map(self, function: Callable[[Numbers], Numbers]) -> Interval:
        """`function`, which never falls, of each end."""
        return Interval.of(function(self.low), function(self.value), function(self.high))

    def inverse(self, of: object = 1.0) -> Interval:
        """`of` divided by this: the high end becomes the low one."""
        over = np.asarray(of, dtype=np.float64)
        return Interval.of(over / self.high, over / self.value, over / self.low)

    def __add__(self, other: Interval) -> Interval:
        return Interval.of(self.low + other.low, self.value + other.value, self.high + other.high)

    def times(self, factor: object) -> Interval:
        """Scaled by a number above zero without doubt."""
        by = np.asarray(factor, dtype=np.float64)
        return Interval.of(self.low * by, self.value * by, self.high * by)

    def upper(self, other: Interval) -> Interval:
        """The larger of both, end by end."""
        pairs = ((self.low, other.low), (self.value, other.value), (self.high, other.high))
        return Interval.of(*(np.maximum(a, b) for a, b in pairs))

    def ends(self) -> tuple[float, float, float]:
        """Low, value and high of an interval of one element.

        Raises:
            ValueError: it has more than one.
        """
        return self.low.item(), self.value.item(), self.high.item()


def total(parts: Iterable[Interval]) -> Interval:
    """The sum.

    Parts share what makes them uncertain (clocks, bandwidth), so ends are added, not squared.
    """
    result = Interval.exactly(0.0)
    for part in parts:
        result = result + part
    return result
