"""How a model's weights are kept, in sentences: by its checkpoint, by its index, or in a type that was asked for."""

from collections.abc import Iterator

from l4guide.cost import Question
from l4guide.model import Stored, counted_bytes, stored_bytes
from l4guide.model.weight_types import EXPERTS, WHOLE_TYPES, weight_type, weight_types
from l4guide.text import Joined, Sentence, digits

GB = 1e9
#: By how much an index may differ from the count before it is worth a sentence: norms and biases are not counted.
ALIKE = 0.005


def checkpoint_lines(question: Question) -> Iterator[Sentence]:
    """What is to be known of the weights' bytes; nothing where they are in 16 bits or more and as counted."""
    model, weights = question.model, question.plan.weights
    kept = model.kept_in(weights)
    modules, layers = model.modules, model.layer_count
    if kept.unknown is not None:
        yield Sentence("checkpoint.unknown_method", {"method": kept.unknown, "type": kept.whole.type})
    if kept.method is not None:
        yield _as_kept(kept, tuple(modules))
    elif weights not in WHOLE_TYPES:
        yield from _as_asked(weights)
    counted, total = counted_bytes(modules, kept, layers), stored_bytes(modules, kept, layers)
    if abs(total / counted - 1) > ALIKE:
        values = {"counted": digits(counted / GB), "total": digits(total / GB)}
        yield Sentence("checkpoint.index_differs", values)
    if kept.further:
        more = total - stored_bytes(modules, kept, layers, loaded=True)
        yield Sentence("checkpoint.further", {"layers": kept.further, "gb": digits(more / GB)})


def _as_kept(kept: Stored, kinds: tuple[str, ...]) -> Sentence:
    """Each kind of module that a quantised checkpoint keeps in fewer bits."""
    parts: list[Sentence] = [
        Sentence(
            "checkpoint.part",
            {
                "kind": Sentence(f"model_trace.kind_{kind}"),
                "type": kept.of(kind).type,
                "bits": digits(kept.of(kind).bits),
            },
        )
        for kind in kinds
        if kept.of(kind) != kept.whole
    ]
    parts.append(Sentence("checkpoint.whole", {"type": kept.whole.type}))
    return Sentence("checkpoint.kept", {"method": kept.method, "parts": Joined(tuple(parts))})


def _as_asked(weights: str) -> Iterator[Sentence]:
    """The bits of a type that is listed, and where they are."""
    named = weights.removesuffix(EXPERTS)
    if named not in weight_types():
        return
    known = weight_type(named)
    where = "everywhere" if known.everywhere else "in_experts" if named != weights else "in_layers"
    values = {"type": named, "bits": digits(known.bits), "basis": known.basis}
    yield Sentence("checkpoint.asked", {**values, "where": Sentence(f"checkpoint.{where}")})
