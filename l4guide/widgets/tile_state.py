"""A question about one tile of one of our kernels, and its answers from record, formula and compiler."""

from collections.abc import Callable
from threading import Event, Thread

import traitlets

from l4guide import catalogue
from l4guide.catalogue import Gpu
from l4guide.errors import Problem
from l4guide.measure.run import Post, kernel_post
from l4guide.resources import MOST_COMPILED, Resources, resources_for
from l4guide.resources.compiler import Compiler
from l4guide.text import Sentence
from l4guide.widgets.page_state import PageState
from l4guide.workload import MAX_HEAD_DIM, whole_number

TILE = ("block_m", "block_n", "warps", "stages")
QUESTION = ("kernel", "head_dim", "dtype", "gpu", "causal")

#: The input beside which a problem is said, where that is not the card.
FIELD_OF = {
    "error.kernel_dtype": "dtype",
    "error.kernel_head_dim": "head_dim",
    "error.needs_compiler": "stages",
}

#: Answers like `resources_for`.
Ask = Callable[..., Resources]


class Stopped(Exception):
    """The reader wants no more tiles compiled."""


class TileState(PageState):
    """Inputs as the reader chose them, and the answer; what else a page shows of it is `show`'s.

    `resources` is our kernel with the chosen tile, None where it cannot be had. A compiled answer is kept and shown
    whenever its question is asked again. Until the reader changes the tile, it follows the question.

    Attributes:
        suggest: whether compiling also looks for changes that make a tile fit.
    """

    kernel = traitlets.Unicode("backward-dkdv")
    head_dim = traitlets.Unicode("128")
    dtype = traitlets.Unicode("bf16")
    gpu = traitlets.Unicode("L4")
    causal = traitlets.Bool(True)
    block_m = traitlets.Unicode("")
    block_n = traitlets.Unicode("")
    warps = traitlets.Unicode("")
    stages = traitlets.Unicode("")

    resources = traitlets.Any(None, allow_none=True)
    running = traitlets.Bool(False)
    progress = traitlets.Instance(Sentence, allow_none=True)

    suggest = True

    def __init__(self, *, ask: Ask = resources_for, **inputs: object) -> None:
        if "gpu" in inputs:
            inputs["gpu"] = catalogue.gpu(str(inputs["gpu"])).name
        kept = {name: value if isinstance(value, bool) else str(value) for name, value in inputs.items()}
        super().__init__(**kept)
        self._ask = ask
        self._compiled: dict[tuple[object, ...], Resources] = {}
        self._default: dict[str, str] = {}
        self._stop = Event()
        self._compiler: Compiler | None = None
        self.observe(self.guarded(lambda _: self._asked_anew()), (*QUESTION, *TILE))
        self.guarded(self.answer)()

    def show(self, head_dim: int, own: tuple[Resources, ...]) -> None:
        """Derive what the page shows from the answers: the default tile's first, the chosen one's last."""

    @property
    def card(self) -> Gpu:
        """The chosen card."""
        return catalogue.gpu(self.gpu)

    def tile(self) -> dict[str, str]:
        """The chosen tile."""
        return {name: getattr(self, name) for name in TILE}

    def choose(self, tile: dict[str, str]) -> None:
        """Choose all four numbers of a tile at once."""
        with self.hold_trait_notifications():
            for name, value in tile.items():
                setattr(self, name, value)

    def choose_default(self) -> None:
        """Go back to the tile that the kernel runs with by itself."""
        self.choose(self._default)

    def answer(self) -> None:
        """Answer now; what cannot be answered is said beside what can."""
        try:
            head_dim = whole_number("head-dim", self.head_dim, at_most=MAX_HEAD_DIM)
        except Problem as wrong:
            self.problem, self.problem_field = wrong.sentence, "head_dim"
            return
        own, problem = self._own(head_dim)
        with self.hold_trait_notifications():
            self.problem, self.problem_field = problem, FIELD_OF.get(problem.key, "gpu") if problem else ""
            self.resources = own[-1] if own and problem is None else None
            self.show(head_dim, own)

    def _asked_anew(self) -> None:
        if not self.running:
            self.progress = None
        self.error = None
        self.answer()

    def _own(self, head_dim: int) -> tuple[tuple[Resources, ...], Sentence | None]:
        """Our kernel with its default tile where another is chosen, and with the chosen one; or what forbids it."""
        question = (self.card, self.kernel, head_dim, self.dtype)
        try:
            default = self._ask(*question, causal=self.causal)
        except Problem as problem:
            return (), problem.sentence
        usual = {name: str(getattr(default.tile, name)) for name in TILE}
        follows, self._default = self.tile() in (self._default, dict.fromkeys(TILE, "")), usual
        if follows:
            self.choose(usual)
        known = self._compiled.get(self._key())
        if known is not None:
            return (known,) if self.tile() == usual else (default, known), None
        if self.tile() == usual:
            return (default,), None
        chosen = {name: int(value) for name, value in self.tile().items()}
        try:
            return (default, self._ask(*question, causal=self.causal, **chosen)), None
        except Problem as problem:
            return (default,), problem.sentence

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in (*QUESTION, *TILE))

    def compile(self, post: Post | None = None) -> Thread:
        """Have the chosen tile compiled in a worker process; progress and answer come through `post`."""
        post = post or kernel_post()
        key, card, most = self._key(), self.card, MOST_COMPILED if self.suggest else 1
        done = iter(range(MOST_COMPILED + 1))
        chosen = {name: int(value) for name, value in self.tile().items() if value}
        question = (card, self.kernel, int(self.head_dim), self.dtype)
        self._compiler = compiler = Compiler()
        self._stop = stop = Event()
        how = {"causal": self.causal, "compile": True, "compiler": compiler, "suggest": self.suggest}
        self.running, self.error = True, None

        def tell() -> None:
            if stop.is_set():
                raise Stopped
            values = {"gpu": card.name, "done": next(done), "most": most}
            post(self._say, stop, Sentence("ledger.compiling", values))

        def work() -> None:
            try:
                with compiler:
                    found = self._ask(*question, **chosen, **how, before_each=tell)
            except Stopped:
                return
            except Problem as problem:
                post(self._finish, stop, key, None, problem.sentence)
                return
            values = {"gpu": card.name, "triton": found.triton_version}
            post(self._finish, stop, key, found, Sentence("ledger.compiled", values))

        thread = Thread(target=work, daemon=True)
        thread.start()
        return thread

    def cancel(self) -> None:
        """Give up the tile that is being compiled, and begin no other."""
        if self.running and self._compiler is not None:
            self._stop.set()
            self._compiler.cancel()
            self.running, self.progress = False, Sentence("ledger.stopped")

    def _say(self, stop: Event, progress: Sentence) -> None:
        if not stop.is_set():
            self.progress = progress

    def _finish(self, stop: Event, key: tuple[object, ...], found: Resources | None, said: Sentence) -> None:
        if found is not None:
            self._compiled[key] = found
        if stop.is_set():
            return
        self.running, self.progress = False, said
        self.guarded(self.answer)()
