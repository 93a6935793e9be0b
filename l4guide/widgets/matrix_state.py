"""What the reader of the matrix filters by, and what is left."""

import traitlets

from l4guide.advise.own import FLASH
from l4guide.errors import Problem
from l4guide.matrix import ALL, support_matrix, timeline
from l4guide.support import libraries, releases
from l4guide.widgets.page_state import PageState, Settled

#: What `version` holds when the newest release is meant.
NEWEST = ""
ASKED_GPU, ASKED_LIBRARY = "L4", FLASH
FILTERS = ("library", "version", "gpu", "task", "dtype", "dropout")


class MatrixState(PageState):
    """Filters, and the matrix and timeline that they leave.

    `library` and `gpu` may be "all", though not both: every library on one card, or one library on every card.
    `version` may be "all" or a release where one library is chosen. `head_dim` is the timeline's alone, and there
    is a timeline only for one card.
    """

    library = traitlets.Unicode(ALL)
    version = traitlets.Unicode(NEWEST)
    gpu = traitlets.Unicode(ASKED_GPU)
    task = traitlets.Unicode("training")
    dtype = traitlets.Unicode("bf16")
    dropout = traitlets.Unicode("0")
    head_dim = traitlets.Unicode("256")

    matrix = traitlets.Any(None, allow_none=True)
    timeline = traitlets.Any(None, allow_none=True)

    def __init__(self, **filters: str) -> None:
        super().__init__(**filters)
        self._answer_soon = Settled(self.guarded(self.answer))
        # Apart from the matrix, which a reader looks at first and should not wait for a figure.
        self._date_soon = Settled(self.guarded(self.date))
        self.observe(self.guarded(self._keep_apart), ["library", "gpu"])
        self.observe(self.guarded(lambda _: self._answer_soon()), list(FILTERS))
        self.observe(self.guarded(lambda _: self._date_soon()), ["head_dim"])
        self.guarded(self.answer)()

    def versions(self) -> tuple[str, ...]:
        """The releases to choose from, newest first; none while every library is shown."""
        if self.library not in libraries():
            return ()
        return tuple(release.version for release in reversed(releases(self.library)))

    def answer(self) -> None:
        """Filter now, and date soon; a filter that makes no sense leaves the last matrix in place."""
        options, named = self._asked()
        try:
            matrix = support_matrix(
                [self.gpu], [self.task], options, libraries=named, version=self.version or None
            )
        except Problem as problem:
            field = str(problem.sentence.values.get("name", ""))
            with self.hold_trait_notifications():
                self.problem, self.problem_field = problem.sentence, field
            return
        with self.hold_trait_notifications():
            self.problem, self.problem_field, self.error = None, "", None
            self.matrix = matrix
        self._date_soon()

    def date(self) -> None:
        """Make the timeline of what is filtered now; there is none for several cards."""
        options, named = self._asked()
        asked = {**options, "task": self.task, "head_dim": self.head_dim}
        self.timeline = None if self.gpu == ALL else timeline(self.gpu, asked, named)

    def _asked(self) -> tuple[dict[str, object], list[str] | None]:
        """The options that hold for every cell, and the libraries where not every one is meant."""
        options: dict[str, object] = {"dtype": self.dtype, "dropout": self.dropout.strip()}
        if options["dropout"] in ("", "0"):
            del options["dropout"]
        return options, None if self.library == ALL else [self.library]

    def _keep_apart(self, change: traitlets.Bunch) -> None:
        """Every library on every card is more than anybody reads: the older of the two choices yields."""
        if self.library == ALL and self.gpu == ALL:
            if change.name == "gpu":
                self.library = ASKED_LIBRARY
            else:
                self.gpu = ASKED_GPU
        if self.version not in (NEWEST, *((ALL, *self.versions()) if self.versions() else ())):
            self.version = NEWEST
