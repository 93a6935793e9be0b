"""What every page's state has: a language, what is wrong with the question, and callbacks that cannot fail unseen."""

import logging
from collections.abc import Callable

import traitlets

from l4guide.errors import Problem
from l4guide.text import LANGUAGES, Sentence

log = logging.getLogger(__name__)
# The user reads one line; who wants the traceback configures logging. Without a handler it would land in the cell.
log.addHandler(logging.NullHandler())


class PanelState(traitlets.HasTraits):  # type: ignore[misc]
    """`problem` says what is wrong with the question and `problem_field` where; `error` what went wrong elsewhere."""

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
