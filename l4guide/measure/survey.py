"""`l4guide measure --quick`: a fixed list of workloads, recorded with all that is needed to judge them."""

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from l4guide import __version__
from l4guide.errors import CannotDo
from l4guide.measure.measurement import Record, check_writable, row_from_json, write
from l4guide.measure.probe import Attached, attached, libraries
from l4guide.measure.run import Event, Run
from l4guide.text import Sentence

DEADLINE_S = 300.0


def quick(
    out: Path | None = None,
    on_event: Callable[[Event], object] = lambda event: None,
    *,
    gpu: str | None = None,
) -> Record:
    """Measure the attached GPU on a few workloads, within a minute; without one, check correctness alone.

    Args:
        out: file to write the record to.
        on_event: is called with each event of the worker (see `l4guide.measure.worker`).
        gpu: the card whose tiles are interpreted where none is attached.

    Returns:
        The record; one stopped by its deadline or a crash has `complete` False and the rows until then.

    Raises:
        CannotDo: `out` cannot be written, or nothing at all could be measured.
        KeyboardInterrupt: the user stopped it; what was finished is written to `out` first.
    """
    if out is not None:
        check_writable(out)
    run = Run(on_event, deadline_s=DEADLINE_S)
    run.start({"kind": "quick", "gpu": gpu})
    try:
        run.join()
    except KeyboardInterrupt:
        run.cancel()
        run.join()
        if run.rows and out is not None:
            write(record_of(run), out)
        raise
    if not run.rows:
        raise CannotDo("error.nothing_measured", reason=_reason(run.last or {}))
    record = record_of(run)
    if out is not None:
        write(record, out)
    return record


def record_of(run: Run) -> Record:
    """The rows of a run, with the machine that they come from."""
    rows = tuple(row_from_json(row) for row in run.rows)
    basis = rows[0].basis if rows else "interpreter"
    card = _measured_card(attached(), run.gpu) if basis == "gpu" else None
    return Record(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        l4guide_version=__version__,
        complete=run.last is not None and run.last["kind"] == "finished",
        basis=basis,
        gpu=card.catalogue_name if card else None,
        gpu_reported_name=card.name if card else None,
        capability=card.capability if card else None,
        driver=card.driver if card else None,
        memory_total_mib=card.memory_total_mib if card else None,
        power_limit_w=card.power_limit_w if card else None,
        max_sm_clock_mhz=card.max_sm_clock_mhz if card else None,
        python=platform.python_version(),
        platform=platform.platform(),
        libraries=dict(libraries()),
        rows=rows,
    )


def _measured_card(cards: Sequence[Attached], name: str | None) -> Attached | None:
    """The card that the worker used: CUDA_VISIBLE_DEVICES may have hidden the driver's first."""
    named = [card for card in cards if name in (card.catalogue_name, card.name)]
    return next(iter([*named, *cards]), None)


def _reason(last: dict[str, Any]) -> Sentence | str:
    """Why a run ended without a row, as a sentence of either language."""
    return Sentence(last["key"], last.get("values", {})) if "key" in last else "-"
