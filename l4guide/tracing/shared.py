"""One tracing process for all who ask in this program, since its imports take seconds; it ends when nobody asks."""

import atexit
import threading
from collections.abc import Mapping

from l4guide.model.traced import Trace
from l4guide.tracing.process import Tracer

#: Who waits for an answer waits this long at most; a model of any published size is traced in a quarter of it.
DEADLINE_S = 90.0
#: It holds some hundred MB, so it goes when nothing was asked for so long.
IDLE_S = 120.0


class SharedTracer:
    """Traces one configuration after another, from any thread."""

    def __init__(self, *, deadline_s: float = DEADLINE_S, idle_s: float = IDLE_S) -> None:
        self._tracer = Tracer(deadline_s=deadline_s)
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        atexit.register(self.stop)

    def config(self, config: Mapping[str, object], name: str) -> Trace:
        """The trace of a configuration called `name`.

        Raises:
            BadInput: as `Tracer.config`.
            CannotDo: as `Tracer.config`.
        """
        with self._lock:
            self._wait_no_longer()
            try:
                return self._tracer.config(config, name)
            finally:
                self._timer = threading.Timer(self._idle_s, self.stop)
                self._timer.daemon = True
                self._timer.start()

    def stop(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._wait_no_longer()
            self._tracer.stop()

    def _wait_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


SHARED = SharedTracer()
