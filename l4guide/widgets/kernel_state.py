"""What the reader tries on a kernel: a tile and what moved with it, and one row of the online softmax."""

from collections.abc import Mapping
from threading import Event as Stop
from typing import Any

import traitlets

from l4guide.anatomy import steps
from l4guide.measure.run import LAST, Event
from l4guide.resources import Resources, changes, ledger_of, presets
from l4guide.text import Sentence
from l4guide.widgets.tile_state import TILE, TileState

#: Tiles that the table of tries keeps.
TRIES = 8
PRESETS = ("default", "published", "too_large", "spilling")


class KernelState(TileState):
    """The question about a tile, with what was tried before it.

    `previous` is the answer before this one where that was of the same kernel, and `changes` what moved since; `tried`
    are the last answers, the newest first. `ledgers` are the bars of the previous and of this answer. `steps` are those
    of the kernel in its source, `presets` tiles worth trying. `trace_rows` are the rows of the traced softmax.
    """

    kernel = traitlets.Unicode("forward")

    previous = traitlets.Any(None, allow_none=True)
    changes = traitlets.Tuple()
    tried = traitlets.Tuple()
    ledgers = traitlets.Tuple()
    steps = traitlets.Tuple()
    presets = traitlets.Dict()

    tracing = traitlets.Bool(False)
    trace_progress = traitlets.Instance(Sentence, allow_none=True)
    trace_rows = traitlets.Tuple()
    trace_row = traitlets.Int(40)

    suggest = False

    def __init__(self, **inputs: Any) -> None:  # noqa: ANN401 - as `TileState` takes them
        self._tried: dict[tuple[object, ...], Resources] = {}
        self._shown: tuple[object, ...] = ()
        self._before: tuple[object, ...] = ()
        super().__init__(**inputs)

    def choose_preset(self, name: str) -> None:
        """Choose one of `PRESETS`; harmless where there is no such tile."""
        if name in self.presets:
            self.choose(self.presets[name])

    def show(self, head_dim: int, own: tuple[Resources, ...]) -> None:
        """What moved, what was tried, and the kernel that it was tried on."""
        if own:
            found = presets(self.card, self.kernel, head_dim, self.dtype, causal=self.causal)
            self.presets = {
                name: {part: str(getattr(tile, part)) for part in TILE} for name, tile in found.items()
            }
        else:
            self.presets = {}
        if not self.steps or self.steps[0].kernel != self.kernel:
            self.steps = steps(self.kernel)
        if self.resources is not None:
            self._remember(self.resources)

    def _remember(self, now: Resources) -> None:
        key = self._key()
        if key != self._shown:
            self._before, self._shown = self._shown, key
        before = self._tried.get(self._before)
        self.previous = before if before is not None and before.kernel == now.kernel else None
        self._tried.pop(key, None)
        self._tried = dict([(key, now), *self._tried.items()][:TRIES])
        self.tried = tuple(self._tried.values())
        self.changes = changes(self.previous, now)
        bars = (now,) if self.previous is None else (self.previous, now)
        self.ledgers = tuple(ledger_of(item, self.card) for item in bars)

    def _finish(self, stop: Stop, key: tuple[object, ...], found: Resources | None, said: Sentence) -> None:
        if found is not None and key in self._tried:
            self._tried[key] = found
        super()._finish(stop, key, found, said)

    def trace_request(self) -> dict[str, object]:
        """What the worker is asked for the trace; it forgets the last one."""
        self.error, self.trace_rows, self.tracing = None, (), True
        self.trace_progress = Sentence("guide.starting")
        return {"kind": "trace", "dtype": self.dtype, "causal": self.causal}

    def traced(self, event: Event) -> None:
        """Take in one event of the worker."""
        with self.hold_trait_notifications():
            if event["kind"] == "trace":
                self.trace_rows = (*self.trace_rows, event["row"])
            if "key" in event:
                self.trace_progress = Sentence(event["key"], event.get("values", {}))
            if event["kind"] in LAST:
                self.tracing = False

    @property
    def traced_row(self) -> Mapping[str, Any] | None:
        """The chosen row of the trace, None until it is there."""
        return next((row for row in self.trace_rows if row["row"] == self.trace_row), None)
