"""Which terms of the memory model fill a card, where the paste names a model of the presets."""

from collections.abc import Mapping

from l4guide.errors import Problem
from l4guide.text import Joined, Sentence, sentences

GIB = 2**30
#: What is reckoned where the paste does not say it: one sequence of so many tokens.
CONTEXT = 2048
#: Parts below this share of the whole are not worth a word.
SMALLEST_SHARE = 0.02


def about_model(question: Mapping[str, str]) -> tuple[Sentence, ...]:
    """The model's memory by part, the largest first, beside what its card has; nothing where no model is named."""
    if "model" not in question:
        return ()
    from l4guide.catalogue import gpu  # only a paste that names a model needs the memory model, and numpy
    from l4guide.memory import fit
    from l4guide.model import preset
    from l4guide.step.plan import plan_of

    task = question.get("task", "decode")
    try:
        card = gpu(question.get("gpu", "L4"))
        plan = plan_of({}, task=task, dtype="bf16", stored=None)
        found = fit(preset(question["model"]), plan, card, 1, CONTEXT)
    except Problem:
        return ()
    parts = {name: part.value.item() / GIB for name, part in found.sizes.parts.items()}
    whole = sum(parts.values())
    told = [
        Sentence("diagnose_memory.part", {"name": _named(name), "gib": f"{size:.1f}"})
        for name, size in sorted(parts.items(), key=lambda pair: -pair[1])
        if size >= SMALLEST_SHARE * whole
    ]
    values: dict[str, object] = {
        "model": question["model"],
        "whole": f"{whole:.1f}",
        "parts": Joined(tuple(told)),
        "context": CONTEXT,
    }
    key = "diagnose_memory.model_trains" if task == "training" else "diagnose_memory.model_serves"
    sentences = [Sentence(key, values)]
    if "gpu" in question:
        room = {"gpu": card.name, "usable": f"{found.usable.bytes / GIB:.1f}"}
        sentences.append(Sentence("diagnose_memory.room", room))
    return tuple(sentences)


def _named(part: str) -> Sentence | str:
    """A part of the memory model in words; a new one by its own name."""
    key = f"memory_part.{part}"
    return Sentence(key) if key in sentences("en") else part.replace("_", " ")
