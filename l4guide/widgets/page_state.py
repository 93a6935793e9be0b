"""What every page of widgets keeps: its language, what is wrong with its inputs, and what failed."""

import asyncio
import logging
from collections.abc import Callable

import traitlets

from l4guide.errors import Problem
from l4guide.text import LANGUAGES, Sentence

log = logging.getLogger(__name__)
# The user reads one line; who wants the traceback configures logging. Without a handler it would land in the cell.
log.addHandler(logging.NullHandler())

SETTLE_S = 0.05


class PageState(traitlets.HasTraits):  # type: ignore[misc]
    """The traits that fields and panels of any page watch.

    `problem` says what is wrong with an input now, and `problem_field` which; `error` is the last thing that went
    wrong elsewhere.
    """

    language = traitlets.Enum(tuple(LANGUAGES), default_value="en")
    problem = traitlets.Instance(Sentence, allow_none=True)
    problem_field = traitlets.Unicode("")
    error = traitlets.Instance(Sentence, allow_none=True)

    def guarded(self, function: Callable[..., object]) -> Callable[..., None]:
        """`function` as a callback whose exception becomes `error`: the front end would swallow it."""

        def call(*arguments: object) -> None:
            try:
                function(*arguments)
            except Problem as problem:
                self.error = problem.sentence
            except Exception as failure:
                log.exception("a callback of the guide failed")
                values = {"kind": type(failure).__name__, "reason": str(failure)}
                self.error = Sentence("guide.unexpected", values)

        return call


class Settled:
    """Calls a function once its caller has been quiet for a moment; at once where no event loop runs."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._handle: asyncio.TimerHandle | None = None

    def __call__(self) -> None:
        """Ask for the call."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._function()
            return
        if self._handle is not None:
            self._handle.cancel()
        self._handle = loop.call_later(SETTLE_S, self._function)
