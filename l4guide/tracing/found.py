"""What a configuration says of a model under any nesting, for models that nothing else reads."""

from collections.abc import Iterator, Mapping, Sequence

from l4guide.model import Architecture, FeedForward
from l4guide.model.config import (
    ACTIVE,
    CONTEXT,
    EXPERT_WIDTH,
    EXPERTS,
    INTERMEDIATE,
    MOST_CONTEXT,
    named_type,
)
from l4guide.model.defaults import defaults
from l4guide.model.fields import MOST_COLUMNS, Fields
from l4guide.model.mixers import HIDDEN, LAYERS
from l4guide.model.stored import stored
from l4guide.model.traced import Trace

VOCABULARY = ("vocab_size", "padded_vocab_size")
#: Further names that only models have which nothing else reads.
WIDTHS = (*HIDDEN, "embed_dim", "global_dim")
#: Parts that hold no text; asked last.
BESIDE = ("vision", "audio", "image", "video")
#: A product is so many times as wide as the model where nothing says.
USUAL_RATIO = 4


class Found:
    """The numbers of a configuration wherever they stand: outer ones before inner, text before images and sound."""

    def __init__(self, config: Mapping[str, object], name: str) -> None:
        self.config, self.name = config, name
        known = defaults().get(str(config.get("model_type")), {}) if config else {}
        self._levels = [*_levels(config), *_levels(known)]

    def number(self, names: Sequence[str], at_most: int = MOST_COLUMNS) -> int | None:
        """The first whole number above 0 under one of `names`; None where there is none."""
        for level in self._levels:
            for name in names:
                value = level.get(name)
                if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= at_most:
                    return value
        return None

    def hidden(self, trace: Trace) -> int:
        """Columns of the hidden state; where nothing says, those of all heads together."""
        wide = max((call.heads * call.head_dim for call in trace.calls), default=1)
        return self.number(WIDTHS) or wide

    def product(self, trace: Trace) -> FeedForward:
        """What a layer multiplies beside mixing, before its weights are those that were counted."""
        hidden = self.hidden(trace)
        dense = FeedForward(intermediate=self.number(INTERMEDIATE) or USUAL_RATIO * hidden)
        if not trace.modules.get("experts"):
            return dense
        experts = self.number(EXPERTS) or 1
        return FeedForward(
            experts=experts,
            active=min(self.number(ACTIVE) or 1, experts),
            expert_intermediate=self.number(EXPERT_WIDTH) or dense.intermediate,
        )

    def architecture(self, trace: Trace) -> Architecture:
        """All but the layers of a model that nothing reads.

        Raises:
            BadInput: a field that says how the weights are kept is malformed or out of limits.
        """
        return Architecture(
            name=self.name,
            hidden=self.hidden(trace),
            vocabulary=self.number(VOCABULARY) or 0,
            tied_embeddings="head" not in trace.modules,
            layers=(),
            max_context=self.number(CONTEXT, MOST_CONTEXT),
            stored=stored(Fields(self.config, self.name), self.number(LAYERS) or 1),
            model_type=named_type(self.config),
        )


def _levels(config: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """A configuration and its parts, outer ones first, those that hold no text at the end."""
    waiting: list[Mapping[str, object]] = [config]
    beside: list[Mapping[str, object]] = []
    while waiting:
        level = waiting.pop(0)
        yield level
        for key, part in level.items():
            if isinstance(part, dict):
                (beside if any(word in key for word in BESIDE) else waiting).append(part)
    for part in beside:
        yield from _levels(part)
