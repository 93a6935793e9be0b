"""What each part of a training's memory is, which choice of the recipe it comes from, and what would save it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Interval
from l4guide.memory.fit import Fit
from l4guide.memory.sizes import sizes
from l4guide.memory.training import bytes_per_weight, host_bytes
from l4guide.step import Plan
from l4guide.step.matrices import trained_weights
from l4guide.step.recipe import Recipe
from l4guide.text import Joined, Sentence, digits

GIB = 2**30
#: A part this small a share of the whole is not worth a change of the recipe.
WORTH = 0.01


@frozen
class Saving:
    """A change of the recipe, by option and value, and the bytes on each card that it saves."""

    option: str
    value: object
    bytes: float

    @property
    def flag(self) -> str:
        """The change as an option of the command line."""
        name = self.option.replace("_", "-")
        if isinstance(self.value, bool):
            return f"--{name}" if self.value else f"--no-{name}"
        return f"--{name} {self.value}"


@frozen
class Term:
    """One part of the memory: its bytes on each card, what it is of, and the first change that saves some of it."""

    name: str
    bytes: Interval
    of: Sentence
    saved_by: Saving | None

    def said(self) -> Sentence:
        """The part in a sentence, with what saves it."""
        values = {"gib": digits(self.bytes.value.item() / GIB), "of": self.of}
        if self.saved_by is None:
            return Sentence("part.held", values)
        saved = {"option": self.saved_by.flag, "saved": digits(self.saved_by.bytes / GIB)}
        return Sentence("part.saved", {**values, **saved})

    def to_json(self, language: str = "en") -> dict[str, object]:
        """GiB on each card, what it is of, and what saves how much of it."""
        low, value, high = (end / GIB for end in self.bytes.ends())
        said: dict[str, object] = {"gib": value, "low": low, "high": high, "of": self.of.say(language)}
        if self.saved_by is not None:
            said["saved_by"] = self.saved_by.flag
            said["saves_gib"] = self.saved_by.bytes / GIB
        return said


def terms(found: Fit) -> tuple[Term, ...]:
    """The parts of a training's memory, the largest first; those that it does not need are left out."""
    parts = [(name, part) for name, part in found.sizes.parts.items() if part.high.item() > 0]
    parts.sort(key=lambda item: -item[1].value.item())
    return tuple(
        Term(name=name, bytes=part, of=_of(found, name), saved_by=_saving(found, name))
        for name, part in parts
    )


def parts_line(found: Fit) -> Sentence:
    """Every part that is worth a word, the largest first, with what would save it."""
    least = WORTH * found.sizes.bytes.value.item()
    shown = (term.said() for term in terms(found) if term.bytes.value.item() > least)
    return Sentence("part.parts", {"parts": Joined(tuple(shown))})


def assumed_recipe(found: Fit) -> Sentence:
    """The recipe in one sentence, with the bytes that it keeps for each weight that is trained."""
    recipe = found.plan.recipe
    values = {
        "method": Sentence(f"recipe.method_{recipe.method}", {"rank": recipe.rank}),
        "optimizer": recipe.optimizer,
        "precision": Sentence("recipe.mixed" if recipe.master_weights else "recipe.pure"),
        "bytes": digits(bytes_per_weight(found.model, found.plan)),
        "loss": Sentence(f"recipe.loss_{recipe.loss}"),
        "recompute": Sentence(f"recipe.recompute_{recipe.recompute}"),
    }
    return Sentence("recipe.assumed", values)


def host_line(found: Fit) -> Sentence | None:
    """What waits in host memory beside the card's; None where nothing does."""
    waiting = host_bytes(found.model, found.plan, found.batch, found.context)
    if not waiting:
        return None
    return Sentence("recipe.host", {"gib": digits(waiting / GIB)})


def _of(found: Fit, name: str) -> Sentence:
    """What a part is of, with the choice of the recipe that it comes from."""
    plan = found.plan
    tokens = found.batch * found.context
    values = {
        "weights": plan.weights,
        "tokens": tokens,
        "optimizer": plan.recipe.optimizer,
        "billion": digits(trained_weights(found.model, plan.recipe) / 1e9),
        "rank": plan.recipe.rank,
    }
    key = f"part.{name}"
    if name == "activations":
        key = f"part.activations_{plan.recipe.recompute}"
    if name == "gradients" and plan.recipe.fused_step:
        key = "part.gradients_fused"
    if name == "logits" and plan.recipe.loss == "chunked":
        key = "part.logits_chunked"
    return Sentence(key, values)


def _saving(found: Fit, name: str) -> Saving | None:
    """The first change that saves a part and is worth it."""
    now = found.sizes.bytes.value.item()
    for option, value, plan in _changes(found.plan, name):
        then = _need(found, plan)
        if now - then > WORTH * now:
            return Saving(option=option, value=value, bytes=now - then)
    return None


def _need(found: Fit, plan: Plan) -> float:
    asked = (np.array([float(found.batch)]), np.array([float(found.context)]))
    return sizes(found.model, plan, *asked).bytes.value.item()


def _changes(plan: Plan, name: str) -> Iterator[tuple[str, object, Plan]]:
    """Changes of the recipe that are known to save a part: the one that costs least first."""
    recipe = plan.recipe

    def changed(option: str, value: object, **fields: object) -> tuple[str, object, Plan]:
        other: Recipe = replace(recipe, **(fields or {option: value}))  # type: ignore[arg-type]
        return option, value, replace(plan, recipe=other)

    cards = plan.gpus > 1
    if name == "logits" and recipe.loss == "full":
        yield changed("loss", "chunked")
    if name == "activations":
        order = {"none": ("selective", "full"), "selective": ("full", "offload"), "full": ("offload",)}
        for kind in order.get(recipe.recompute, ()):
            yield changed("recompute", kind)
    if name == "gradients":
        if cards and recipe.zero < 2:
            yield changed("zero", 2)
        if not recipe.fused_step and recipe.accumulation == 1:
            yield changed("fused_step", True)
    if name in ("optimizer", "master_weights") and cards and recipe.zero < 1:
        yield changed("zero", 1)
    if name == "optimizer" and recipe.optimizer == "adamw":
        yield changed("optimizer", "adamw-8bit")
    if name == "optimizer" and recipe.optimizer == "adamw-8bit":
        yield changed("optimizer", "paged-adamw-8bit")
    if name == "master_weights":
        yield changed("master_weights", False)
    if name == "weights" and cards and recipe.zero < 3:
        yield changed("zero", 3)
    if name == "weights" and recipe.method == "lora" and plan.weights in ("bf16", "fp16", "fp32"):
        option, value, narrow = changed("method", "qlora")
        yield option, value, replace(narrow, weights="nf4")
