"""What the reader asks of the shared-memory ledger, and what came of it."""

from collections.abc import Callable
from threading import Event, Thread

import traitlets

from l4guide import catalogue
from l4guide.catalogue import Gpu
from l4guide.errors import Problem
from l4guide.measure.run import Post, kernel_post
from l4guide.resources import MOST_COMPILED, Resources, ledger_of, published_ledgers, resources_for
from l4guide.text import Sentence
from l4guide.widgets.page_state import PageState
from l4guide.workload import MAX_HEAD_DIM, whole_number

TILE = ("block_m", "block_n", "warps", "stages")
QUESTION = ("kernel", "head_dim", "dtype", "gpu")
#: FlashAttention-1's backward tile at head_dim 128, with a pipeline like ours: fits an A100, not an L4.
FIRST_TILE = {"block_m": "128", "block_n": "128", "warps": "8", "stages": "2"}

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


class LedgerState(PageState):
    """Inputs of the ledger as the reader chose them, and its answer.

    `resources` is our kernel with the chosen tile, None where it cannot be had; `ledgers` are the bars: published
    tiles first, then our default tile where another is chosen, then the chosen one. `causal` may change the tile of a
    published one; ours has one tile for both, with other registers. A compiled answer is kept and shown whenever its
    question is asked again. Until the reader changes the tile, it follows the question.
    """

    kernel = traitlets.Unicode("backward-dkdv")
    head_dim = traitlets.Unicode("128")
    dtype = traitlets.Unicode("bf16")
    gpu = traitlets.Unicode("L4")
    block_m = traitlets.Unicode("")
    block_n = traitlets.Unicode("")
    warps = traitlets.Unicode("")
    stages = traitlets.Unicode("")
    causal = traitlets.Bool(True)

    resources = traitlets.Any(None, allow_none=True)
    ledgers = traitlets.Tuple()
    running = traitlets.Bool(False)
    progress = traitlets.Instance(Sentence, allow_none=True)

    def __init__(self, *, ask: Ask = resources_for, **inputs: object) -> None:
        causal = inputs.pop("causal", True)
        super().__init__(causal=causal, **{name: str(value) for name, value in inputs.items()})
        self._ask = ask
        self._compiled: dict[tuple[str, ...], Resources] = {}
        self._default: dict[str, str] = {}
        self._stop = Event()
        self.observe(self.guarded(lambda _: self._asked_anew()), (*QUESTION, *TILE, "causal"))
        self.guarded(self.answer)()

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
        """Find the ledgers now; what cannot be answered is said beside what can."""
        try:
            head_dim = whole_number("head-dim", self.head_dim, at_most=MAX_HEAD_DIM)
        except Problem as wrong:
            self.problem, self.problem_field = wrong.sentence, "head_dim"
            return
        own, problem = self._own(head_dim)
        published = published_ledgers(self.card, self.kernel, head_dim, causal=self.causal)
        with self.hold_trait_notifications():
            self.problem, self.problem_field = problem, FIELD_OF.get(problem.key, "gpu") if problem else ""
            self.resources = own[-1] if own and problem is None else None
            self.ledgers = (*published, *(ledger_of(item, self.card) for item in own))

    def _asked_anew(self) -> None:
        if not self.running:
            self.progress = None
        self.error = None
        self.answer()

    def _own(self, head_dim: int) -> tuple[tuple[Resources, ...], Sentence | None]:
        """Our kernel with its default tile where another is chosen, and with the chosen one; or what forbids it."""
        try:
            default = self._ask(self.card, self.kernel, head_dim, self.dtype, causal=self.causal)
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
            own = self._ask(self.card, self.kernel, head_dim, self.dtype, causal=self.causal, **chosen)
            return (default, own), None
        except Problem as problem:
            return (default,), problem.sentence

    def _key(self) -> tuple[str, ...]:
        return (*(getattr(self, name) for name in (*QUESTION, *TILE)), str(self.causal))

    def compile(self, post: Post | None = None) -> Thread:
        """Have the chosen tile and its fixes compiled in a worker process; progress and answer come through `post`."""
        post = post or kernel_post()
        key, card, done = self._key(), self.card, iter(range(MOST_COMPILED + 1))
        chosen = {name: int(value) for name, value in self.tile().items() if value}
        question, causal = (card, self.kernel, int(self.head_dim), self.dtype), self.causal
        self._stop = stop = Event()
        self.running, self.error = True, None

        def tell() -> None:
            if stop.is_set():
                raise Stopped
            values = {"gpu": card.name, "done": next(done), "most": MOST_COMPILED}
            post(self._say, stop, Sentence("ledger.compiling", values))

        def work() -> None:
            try:
                found = self._ask(*question, causal=causal, **chosen, compile=True, before_each=tell)
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
        """Compile no further tile, and wait no longer for the one at hand; its answer is kept if it still comes."""
        if self.running:
            self._stop.set()
            self.running, self.progress = False, Sentence("ledger.stopped")

    def _say(self, stop: Event, progress: Sentence) -> None:
        if not stop.is_set():
            self.progress = progress

    def _finish(self, stop: Event, key: tuple[str, ...], found: Resources | None, said: Sentence) -> None:
        if found is not None:
            self._compiled[key] = found
        if stop.is_set():
            return
        self.running, self.progress = False, said
        self.guarded(self.answer)()
