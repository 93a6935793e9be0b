"""Which implementation to take on a card: the fastest one estimated that runs the question, else the usual first."""

from collections.abc import Collection, Iterable, Mapping

from l4guide.advise.own import FLASH, LIBRARY, own_verdict
from l4guide.catalogue import Gpu
from l4guide.errors import CannotDo
from l4guide.estimate import IMPLEMENTATIONS, Estimate, LiveEstimator
from l4guide.frozen import frozen
from l4guide.support import Verdict, check, libraries, runs
from l4guide.support.conditions import features_of, named
from l4guide.text import Joined, Sentence
from l4guide.workload import Workload

#: What a user reaches for first, in this order: it makes the answer, and the headline where one of it runs.
FIRST = (FLASH, "torch/flash", "torch/efficient", "torch/cudnn", LIBRARY)
#: What no kernel was measured with. A mask is read beside K and V, and own scores are other work; sinks take no time.
UNTIMED = frozenset({"mask-bool", "mask-additive", "mask-grad", "own-scores", "sinks"})
FREE = frozenset({"sinks"})
#: A model's own code in transformers.
EAGER = "transformers/eager"
#: PyTorch's fallback and a model's own code keep the score matrix in memory; they always run, and never count as
#: support. PyTorch's default is one of the backends that are asked on their own. SageAttention rounds to 8 bits, which
#: is nobody's default.
NOT_COUNTED = ("torch/math", "torch/sdpa", "sageattention", EAGER)


@frozen
class Choice:
    """The implementation to take on one card, with its time.

    `verdict` is of the one that runs the question; where none does, of the one that says why: `verdict.status` is then
    unknown where of one that a user reaches for first nobody knows, and refused or unsafe otherwise. `estimate` is
    None where nothing measured supports a number, and `gap` says why; or what the time is without.
    """

    verdict: Verdict
    estimate: Estimate | None
    gap: Sentence | None

    @property
    def runs(self) -> bool:
        """Whether anything that counts runs the question."""
        return self.verdict.status == "ok"


def in_order() -> tuple[str, ...]:
    """Every implementation: what a user reaches for first, then the others."""
    return (*FIRST, *(library for library in libraries() if library not in FIRST))


def choose(
    workload: Workload,
    gpu: Gpu,
    estimator: LiveEstimator,
    known: Mapping[str, Verdict] | None = None,
    *,
    among: Collection[str] | None = None,
) -> Choice:
    """The implementation to take on `gpu`.

    Args:
        workload: the question.
        gpu: the card.
        estimator: times attention, put right by runs where there are some.
        known: verdicts that were found already, by library.
        among: the only ones to choose from, the one to take first; one of them at least runs it. None: all.
    """
    best = estimator.best_implementation(workload, gpu)
    order = in_order() if among is None else tuple(among)
    names = dict.fromkeys((best, *order) if best in order else order)
    tried = dict(known or {})
    for name in names:
        if name is None or name in NOT_COUNTED:
            continue
        if name not in tried and name not in FIRST and not runs(workload, gpu, name):
            continue  # only of the first ones is it said why not
        found = tried[name] = tried.get(name) or judge(workload, gpu, name)
        if found.status == "ok":
            return _timed(found, workload, gpu, estimator)
    return Choice(verdict=_why_not(tried), estimate=None, gap=None)


def judge(workload: Workload, gpu: Gpu, library: str) -> Verdict:
    """The verdict of any implementation, our own kernels included."""
    return own_verdict(workload, gpu) if library == LIBRARY else check(workload, gpu, library)


def runs_itself(workload: Workload, verdicts: Iterable[Verdict]) -> bool:
    """Whether the model's own code runs what no kernel need know of: sinks, a mask, scores of its own."""
    needed = bool(features_of(workload) & UNTIMED)
    return needed and any(verdict.library == EAGER and verdict.status == "ok" for verdict in verdicts)


def _why_not(tried: Mapping[str, Verdict]) -> Verdict:
    """Of verdicts that are all not ok, the one that says most: what nobody knows before what flash-attn says."""
    first: Iterable[Verdict] = (tried[name] for name in FIRST if name in tried)
    return next((verdict for verdict in first if verdict.status == "unknown"), tried[FLASH])


def _timed(verdict: Verdict, workload: Workload, gpu: Gpu, estimator: LiveEstimator) -> Choice:
    if verdict.library not in IMPLEMENTATIONS:
        gap = Sentence("gap.unmeasured", {"library": verdict.library, "gpu": gpu.name})
        return Choice(verdict=verdict, estimate=None, gap=gap)
    untimed = features_of(workload) & UNTIMED
    values = {"library": verdict.library, "features": Joined(named(untimed))}
    if untimed - FREE:
        return Choice(verdict=verdict, estimate=None, gap=Sentence("gap.untimed", values))
    try:
        estimate = estimator.attention_time(workload, gpu, verdict.library)
    except CannotDo as problem:
        return Choice(verdict=verdict, estimate=None, gap=problem.sentence)
    without = Sentence("gap.timed_without", values) if untimed else None
    return Choice(verdict=verdict, estimate=estimate, gap=without)
