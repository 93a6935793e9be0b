"""Fitted numbers under `data/calibration/`: how far measured attention lies from its roofline, by size."""

import tomllib
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from math import log10

from l4guide.catalogue import data_folder
from l4guide.errors import BadData


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A tenth percentile, a median and a ninetieth percentile."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Measured time over launch plus roofline time, at knots of roofline time; interpolated in log time between them.

    `widening` stretches the interval each way so that it holds four fifths of the rows of GPUs left out of the fit.
    """

    implementation: str
    phase: str
    capabilities: tuple[str, ...]
    launch_us: float
    knots_us: tuple[float, ...]
    ratios: tuple[Spread, ...]
    widening: float
    gpus: tuple[str, ...]
    rows: int
    left_out_median_error: float | None
    left_out_coverage: float | None

    def ratio(self, roofline_us: float) -> Spread:
        """The widened spread for a problem of this size; constant beyond the outer knots."""
        inside = min(max(roofline_us, self.knots_us[0]), self.knots_us[-1])
        right = min(bisect_right(self.knots_us, inside), len(self.knots_us) - 1)
        a, b = self.knots_us[right - 1], self.knots_us[right]
        t = (log10(inside) - log10(a)) / (log10(b) - log10(a))
        left_spread, right_spread = self.ratios[right - 1], self.ratios[right]
        return Spread(
            low=((1 - t) * left_spread.low + t * right_spread.low) / self.widening,
            value=(1 - t) * left_spread.value + t * right_spread.value,
            high=((1 - t) * left_spread.high + t * right_spread.high) * self.widening,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrow:
    """Another implementation's curve, stretched, for a class of cards where this one was never measured."""

    implementation: str
    capabilities: tuple[str, ...]
    from_implementation: str
    from_capability: str
    stretch: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All that the estimator was taught; `sources` are keys of the catalogue."""

    curves: tuple[Curve, ...]
    #: Backward time per FLOP over forward time per FLOP.
    backward_slowdown: Spread
    #: What a card sustains of its dense tensor peak, for cards whose GEMM nobody published.
    gemm_over_peak: Spread
    borrows: tuple[Borrow, ...]
    sources: tuple[str, ...]

    def curve(
        self, implementation: str, phase: str, capability: str | None
    ) -> tuple[Curve, Spread | None] | None:
        """The curve of an implementation for a phase on a compute capability, and its stretch where it is borrowed.

        None where nobody measured anything that could stand for it.
        """
        for curve in self.curves:
            if (curve.implementation, curve.phase) == (
                implementation,
                phase,
            ) and capability in curve.capabilities:
                return curve, None
        for borrow in self.borrows:
            if borrow.implementation == implementation and capability in borrow.capabilities:
                lent = self.curve(borrow.from_implementation, phase, borrow.from_capability)
                return lent and (lent[0], borrow.stretch)
        return None


def _spread(table: dict[str, float]) -> Spread:
    spread = Spread(low=table["low"], value=table["value"], high=table["high"])
    if not 0 < spread.low <= spread.value <= spread.high:
        raise ValueError(f"low <= value <= high does not hold in {table}")
    return spread


@cache
def calibration() -> Calibration:
    """Read `data/calibration/roofline.toml`.

    Raises:
        BadData: the file is missing a part or holds a spread that is not in order.
    """
    path = data_folder() / "calibration" / "roofline.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        curves = tuple(
            Curve(
                implementation=entry["implementation"],
                phase=entry["phase"],
                capabilities=tuple(entry["capabilities"]),
                launch_us=entry["launch_us"],
                knots_us=tuple(entry["knots_us"]),
                ratios=tuple(
                    _spread({"low": low, "value": value, "high": high})
                    for low, value, high in entry["ratios"]
                ),
                widening=entry["widening"],
                gpus=tuple(entry["gpus"]),
                rows=entry["rows"],
                left_out_median_error=entry.get("left_out_median_error"),
                left_out_coverage=entry.get("left_out_coverage"),
            )
            for entry in table["curve"]
        )
        return Calibration(
            curves=curves,
            backward_slowdown=_spread(table["backward_slowdown"]),
            gemm_over_peak=_spread(table["gemm_over_peak"]),
            borrows=tuple(
                Borrow(
                    implementation=entry["implementation"],
                    capabilities=tuple(entry["capabilities"]),
                    from_implementation=entry["from_implementation"],
                    from_capability=entry["from_capability"],
                    stretch=_spread(entry),
                )
                for entry in table["borrow"]
            ),
            sources=tuple(table["sources"]),
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise BadData("error.bad_calibration", file=path.name, problem=str(error)) from error
