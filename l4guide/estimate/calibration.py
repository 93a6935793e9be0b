"""What the estimator was taught: `data/calibration/attention.toml`, fitted, and `assumed.toml`, from publications."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from l4guide.catalogue import data_folder
from l4guide.errors import BadData
from l4guide.estimate.chip import Span
from l4guide.estimate.model import Fit, HeldOut
from l4guide.frozen import frozen
from l4guide.toml import read_toml


@frozen
class Borrow:
    """Another kernel's fit, stretched, for kernels and classes of cards without rows of their own."""

    family: str
    tensor_classes: tuple[str, ...]
    from_family: str
    from_phase: str
    from_class: str
    stretch: Span


@frozen
class Calibration:
    """All of it; `sources` are keys of the catalogue."""

    fits: Mapping[tuple[str, str, str], Fit]
    borrows: tuple[Borrow, ...]
    #: Backward time per FLOP over forward time per FLOP.
    backward_slowdown: Span
    sources: tuple[str, ...]

    def fit_for(
        self, family: str, phases: tuple[str, ...], tensor_class: str
    ) -> tuple[Fit, Span | None] | None:
        """The fit of a family in the first of `phases` that it has, and its stretch where it is borrowed.

        None where nobody measured anything that could stand for it.
        """
        for phase in phases:
            if (fit := self.fits.get((family, phase, tensor_class))) is not None:
                return fit, None
        for borrow in self.borrows:
            if borrow.family != family or tensor_class not in borrow.tensor_classes:
                continue
            if borrow.from_phase in phases:
                return self.fits[borrow.from_family, borrow.from_phase, borrow.from_class], borrow.stretch
        return None


def _span(table: Mapping[str, Any]) -> Span:
    span = Span(low=table["low"], value=table["value"], high=table["high"])
    if not 0 < span.low <= span.value <= span.high:
        raise ValueError(f"low <= value <= high does not hold in {dict(table)}")
    return span


def _fit(entry: Mapping[str, Any]) -> Fit:
    return Fit(
        family=entry["family"],
        phase=entry["phase"],
        tensor_class=entry["tensor_class"],
        gpus=tuple(entry["gpus"]),
        rows=entry["rows"],
        head_dims=tuple(entry["head_dims"]),
        longest=entry["longest"],
        largest_batch=entry["largest_batch"],
        coefficients=entry["coefficients"],
        errors=entry["errors"],
        held_out=tuple(
            HeldOut(
                gpu=one["gpu"],
                rows=one["rows"],
                median=one["median"] / 100,
                p90=one["p90"] / 100,
                bias=one["bias"] / 100,
            )
            for one in entry["held_out"]
        ),
        width_new=tuple(entry["width_new"]),
        width_known=tuple(entry["width_known"]),
    )


@cache
def calibration() -> Calibration:
    """Read both files.

    Raises:
        BadData: one is missing a part or holds a span that is not in order.
    """
    folder = data_folder() / "calibration"
    file = "attention.toml"
    try:
        fitted = read_toml(folder / file)
        fits = {(fit.family, fit.phase, fit.tensor_class): fit for fit in map(_fit, fitted["fit"])}
        file = "assumed.toml"
        assumed = read_toml(folder / file)
        return Calibration(
            fits=fits,
            borrows=tuple(
                Borrow(
                    family=entry["family"],
                    tensor_classes=tuple(entry["tensor_classes"]),
                    from_family=entry["from_family"],
                    from_phase=entry["from_phase"],
                    from_class=entry["from_class"],
                    stretch=_span(entry),
                )
                for entry in assumed["borrow"]
            ),
            backward_slowdown=_span(assumed["backward_slowdown"]),
            sources=(*fitted["sources"], *assumed["sources"]),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadData("error.bad_calibration", file=file, problem=str(error)) from error
