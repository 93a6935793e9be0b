"""The training that a card holds where the asked one does not fit: its method by a lighter recipe, then adapters."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from l4guide.cost import Question, Whole
from l4guide.memory import Fit, fit
from l4guide.memory.sizes import GIB
from l4guide.step.recipe import FIELDS, Recipe
from l4guide.text import Joined, Sentence, digits

#: Changes of a recipe, the ones that cost least first; each is made beside those before it.
STEPS: tuple[Mapping[str, object], ...] = (
    {"loss": "chunked"},
    {"recompute": "full"},
    {"optimizer": "adamw-8bit", "master_weights": False},
    {"optimizer": "paged-adamw-8bit", "fused_step": True},
    {"recompute": "offload"},
)
#: Of adapters neither the states nor the gradients are worth a change.
OF_ADAPTERS = ("loss", "recompute")
#: Methods that train adapters, the one that changes least first, and what they keep the weights in.
ADAPTERS = (("lora", None), ("qlora", "nf4"))


def lighter(whole: Whole) -> list[Sentence]:
    """The first recipe that fits with the asked method, and the first with adapters; with the command that asks it."""
    question = whole.question
    if not question.plan.trains or whole.memory.fits == "yes":
        return []
    asked = question.plan.recipe
    chains = [list(_steps(question, asked, None))]
    if not asked.adapts:
        chains.append([])
    for method, weights in ADAPTERS:
        if (method == "lora" and not asked.adapts) or (method == "qlora" and asked.method != "qlora"):
            chains[-1] += _steps(question, replace(asked, method=method, fused_step=False), weights)
    found = (_first(whole, chain) for chain in chains)
    return [_said(whole, room) for room in found if room is not None]


def _steps(question: Question, recipe: Recipe, weights: str | None) -> Iterator[Question]:
    """The question with a recipe, lighter step by step."""
    plan = replace(question.plan, recipe=recipe, weights=weights or question.plan.weights)
    yield replace(question, plan=plan)
    for step in STEPS:
        if recipe.adapts:
            step = {name: value for name, value in step.items() if name in OF_ADAPTERS}
        if step.get("recompute") == "full" and recipe.recompute in ("full", "offload"):
            continue
        if "fused_step" in step and recipe.accumulation > 1:
            step = {**step, "fused_step": False}
        if not step:
            continue
        recipe = replace(recipe, **step)  # type: ignore[arg-type]
        yield replace(question, plan=replace(plan, recipe=recipe))


def _first(whole: Whole, chain: list[Question]) -> Fit | None:
    """The first that surely fits, else the lightest that may; None where none does or it is what was asked."""
    rooms = [
        fit(one.model, one.plan, whole.gpu, one.batch, one.context)
        for one in chain
        if one.plan != whole.question.plan
    ]
    sure = next((room for room in rooms if room.fits == "yes"), None)
    if sure is not None or whole.memory.fits == "tight":
        return sure
    return next((room for room in reversed(rooms) if room.fits == "tight"), None)


def _said(whole: Whole, room: Fit) -> Sentence:
    low, value, high = (digits(end / GIB) for end in room.sizes.bytes.ends())
    return Sentence(
        "change.recipe",
        {
            "recipe": Joined(tuple(_phrases(room.plan.recipe))),
            "gpu": whole.gpu.name,
            "fits": Sentence(f"fits.{room.fits}"),
            "gib": value,
            "low": low,
            "high": high,
            "command": command(whole, room.plan.recipe),
        },
    )


def _phrases(recipe: Recipe) -> Iterator[Sentence]:
    """The recipe in the words of a reader."""
    yield Sentence(f"recipe.method_{recipe.method}", {"rank": recipe.rank})
    if not recipe.adapts:
        yield Sentence("recipe.mixed" if recipe.master_weights else "recipe.pure")
        yield Sentence("question.optimizer", {"value": recipe.optimizer})
    if recipe.fused_step:
        yield Sentence("question.fused_step")
    yield Sentence(f"recipe.loss_{recipe.loss}")
    yield Sentence(f"recipe.recompute_{recipe.recompute}")


def command(whole: Whole, recipe: Recipe) -> str:
    """The command that asks for a recipe on the same card."""
    question, usual = whole.question, Recipe(method=recipe.method)
    name = question.model.name
    said = [f'l4guide cost --gpu "{whole.gpu.name}"']
    said.append(f'--model "{name}"' if question.model.model_type is None else "--config FILE")
    said.append(f"--task training --batch {question.batch} --seqlen {question.context}")
    if whole.cards > 1:
        said.append(f"--gpus {whole.cards}")
    for option, field in FIELDS.items():
        value = getattr(recipe, field)
        if value == getattr(usual, field) and option != "method":
            continue
        name = option.replace("_", "-")
        if isinstance(value, bool):
            said.append(f"--{name}" if value else f"--no-{name}")
        else:
            said.append(f"--{name} {','.join(value) if isinstance(value, tuple) else value}")
    return " ".join(said)
