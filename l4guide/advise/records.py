"""The answer as frozen records, and as JSON."""

from dataclasses import asdict

from l4guide.advise.choice import FIRST
from l4guide.advise.inputs import Inputs
from l4guide.advise.model import ModelAnswer, model_lines
from l4guide.catalogue import Gpu, Model
from l4guide.cost import memory_json
from l4guide.estimate import Estimate
from l4guide.frozen import frozen
from l4guide.model.traced import Call
from l4guide.resources import Resources
from l4guide.support import Verdict
from l4guide.support.verdict import said as worded
from l4guide.text import Sentence
from l4guide.tiles import PublishedTile
from l4guide.workload import Workload


@frozen
class Question:
    """What was asked, complete: every option with its value, and the names of those that were assumed."""

    workload: Workload
    gpu: Gpu
    model: Model | None
    component: str | None
    assumed: tuple[str, ...]
    #: What a reader should know about how the question was read (an ambiguous GPU name, a stand-in shape).
    notes: tuple[Sentence, ...]
    #: Every option that was given, and what was assumed for those that were not: the line above any answer.
    inputs: Inputs
    #: Layers of the call that was asked about; 1 for a bare shape.
    layers: int = 1

    def said(self) -> Sentence:
        """The question in one line."""
        return self.inputs.said()

    def to_json(self, language: str = "en") -> dict[str, object]:
        """Every option, echoed."""
        shape = {name: value for name, value in asdict(self.workload).items() if value is not None}
        extra = {"model": self.model.name, "component": self.component} if self.model else {}
        return {
            **self.inputs.to_json(language),
            **shape,
            "gpu": self.gpu.name,
            **extra,
            "assumed": list(self.assumed),
            "notes": [note.say(language) for note in self.notes],
        }


@frozen
class Part:
    """The answer for one kind of call of a model, or for the one shape that was asked about; `call` is then None."""

    component: str | None
    workload: Workload
    answer: str
    implementations: tuple[Verdict, ...]
    call: Call | None = None

    @property
    def layers(self) -> int:
        """Layers that make the call."""
        return 1 if self.call is None else self.call.layers

    def call_json(self, recommended: str | None, language: str) -> dict[str, object]:
        """The call as the model makes it, what runs it, and the first reason of what does not."""
        shape = ("head_dim", "head_dim_v", "heads", "kv_heads")
        own = {} if self.call is None else asdict(self.call)
        asked = {name: getattr(self.workload, name) for name in shape}
        runs = [
            {"library": v.library, "version": v.version, "first_version": v.first_version}
            for v in self.implementations
            if v.status == "ok"
        ]
        others = [
            {
                "library": v.library,
                "version": v.version,
                "status": v.status,
                "reason": worded(v.message, language),
            }
            for v in self.implementations
            if v.status != "ok"
        ]
        found: dict[str, object] = {"name": self.component, **own}
        if any(own.get(name) != value for name, value in asked.items()):
            found["asked"] = asked
        return {
            **found,
            "task": self.workload.task,
            "answer": self.answer,
            **({} if recommended is None else {"recommended": recommended}),
            "runs": runs,
            "others": others,
        }

    @property
    def first(self) -> tuple[Verdict, ...]:
        """What a user reaches for first."""
        return tuple(verdict for verdict in self.implementations if verdict.library in FIRST)

    @property
    def others(self) -> tuple[Verdict, ...]:
        """Every other library."""
        return tuple(verdict for verdict in self.implementations if verdict.library not in FIRST)


@frozen
class Alternative:
    """Another card for the same workload, and how its time compares.

    `library` is the implementation to take there and `status` its verdict; where nothing runs it there, they are of
    the one that says why.
    """

    gpu: Gpu
    status: str
    library: str
    estimate: Estimate | None
    reason: Sentence

    def to_json(self, language: str = "en") -> dict[str, object]:
        """Keys absent where the part is not known."""
        said: dict[str, object] = {
            "gpu": self.gpu.name,
            "status": self.status,
            "library": self.library,
            "reason": self.reason.say(language),
        }
        if self.estimate is not None:
            said["estimate"] = self.estimate.to_json()
        return said


@frozen
class Advice:
    """All of the answer.

    `answer` is yes (flash-attn's newest release runs it), depends (another implementation does), or no; for a whole
    model the worse of that and of its memory and latency. `parts` holds the verdicts: one part for a bare shape, one
    for each kind of call of a model, the asked one first. `estimate` is of the attention alone, as are
    `alternatives`; it is None, and `gaps` says why, where nothing measured supports a number. What attention alone
    costs is asked of `l4guide cost`.
    """

    question: Question
    answer: str
    headline: Sentence
    why: tuple[Sentence, ...]
    parts: tuple[Part, ...]
    #: What to take for each part: as few different implementations as there can be; None where nothing counts.
    recommended: tuple[str | None, ...]
    #: Tiles that libraries publish for this head dim and pass, on this card's class and the larger ones.
    published_tiles: tuple[PublishedTile, ...]
    resources: tuple[Resources, ...]
    #: For training, FlashAttention-1's tile shape in our kernel, where it does not fit the card.
    oversized: Resources | None
    estimate: Estimate | None
    #: The whole model on this card and every other, where one was asked about and its widths are known.
    model: ModelAnswer | None
    alternatives: tuple[Alternative, ...]
    recommendation: Sentence
    #: How to install and call the best implementation that runs it here; None where there is none.
    install: str | None
    snippet: str | None
    gaps: tuple[Sentence, ...]

    @property
    def model_lines(self) -> tuple[Sentence, ...]:
        """Memory, speed, latency and cost of the whole model in sentences; none where there is none."""
        return () if self.model is None else model_lines(self.model.whole)

    @property
    def lost(self) -> tuple[Sentence, ...]:
        """Why each other card is not the one to take: for the whole model where there is one."""
        if self.model is not None:
            return self.model.others
        return tuple(
            Sentence("model.taken", {"gpu": item.gpu.name, "reason": item.reason})
            for item in self.alternatives
        )

    @property
    def tiles(self) -> tuple[Resources, ...]:
        """Our kernels' tiles for the task, and the oversized one where there is one."""
        return self.resources if self.oversized is None else (*self.resources, self.oversized)

    @property
    def implementations(self) -> tuple[Verdict, ...]:
        """Verdicts for the shape that was asked about."""
        return self.parts[0].implementations

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The keys of `l4guide advise`; a part that nothing supports is absent, never null."""
        said: dict[str, object] = {
            "question": self.question.to_json(language),
            "answer": self.answer,
            "headline": self.headline.say(language),
            "why": [sentence.say(language) for sentence in self.why],
            "implementations": [verdict.to_json(language) for verdict in self.implementations],
            "resources": [item.to_json() for item in self.resources],
        }
        if self.oversized is not None:
            said["oversized"] = self.oversized.to_json()
        if self.install is not None:
            said["install"] = self.install
            said["snippet"] = self.snippet
        if self.question.model is not None:
            said["calls"] = [
                part.call_json(taken, language)
                for part, taken in zip(self.parts, self.recommended, strict=True)
                if part.call is not None
            ]
            said["components"] = [
                {
                    "component": part.component,
                    "head_dim": part.workload.head_dim,
                    "answer": part.answer,
                    "implementations": [verdict.to_json(language) for verdict in part.implementations],
                }
                for part in self.parts
            ]
        if self.estimate is not None:
            said["estimate"] = self.estimate.to_json()
        alternatives = [item.to_json(language) for item in self.alternatives]
        caveats = () if self.model is None else self.model.caveats
        if self.model is not None:
            whole = self.model.whole
            said["memory"] = memory_json(whole.memory, whole.cards, language)
            said["cost"] = whole.to_json()
            said["what_would_change"] = [sentence.say(language) for sentence in self.model.changes]
            ranked = (item for item in self.model.ranking if item.gpu != self.question.gpu)
            alternatives = [{"of": "model", **item.to_json(language)} for item in ranked]
        return {
            **said,
            "alternatives": alternatives,
            "recommendation": self.recommendation.say(language),
            "gaps": [gap.say(language) for gap in (*caveats, *self.gaps)],
        }
