"""How a model is run: types, cards, and for training its recipe."""

from collections.abc import Mapping

from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.model.weight_types import EXPERTS, WHOLE_TYPES, weight_names, weight_type
from l4guide.step.media import NO_MEDIA, Media
from l4guide.step.recipe import Recipe, recipe_of
from l4guide.workload import one_of, whole_number, yes_or_no

#: What QLoRA quantises weights to, and the most bits that it trains over without doing so.
NARROW, MOST_BITS = "nf4", 6
MAX_GPUS = 1024


@frozen
class Plan:
    """How a model is run.

    `weights` is the type that they are stored in, `recipe` how it is trained; `flash` is attention that never writes
    its scores; `media` are the images and the sound of a request.
    """

    task: str = "decode"
    dtype: str = "bf16"
    weights: str = "bf16"
    kv_dtype: str = "bf16"
    gpus: int = 1
    flash: bool = True
    recipe: Recipe = Recipe()
    media: Media = NO_MEDIA

    @property
    def trains(self) -> bool:
        """Whether gradients are needed."""
        return self.task == "training"

    @property
    def widens(self) -> bool:
        """Whether training widens its frozen weights to 16 bits for each product."""
        return self.trains and self.recipe.adapts and self.weights not in WHOLE_TYPES

    def divides(self, stage: int) -> int:
        """Among how many cards training divides what ZeRO divides from `stage` on."""
        return self.gpus if self.recipe.zero >= stage else 1


def plan_of(options: Mapping[str, object], *, task: str, dtype: str, stored: str | None) -> Plan:
    """The plan among a user's options: `weights`, `kv_dtype`, `gpus`, `flash` and those of a recipe.

    Args:
        options: what was said; missing ones take their default.
        task: prefill, decode or training.
        dtype: the type of the arithmetic.
        stored: the type that the model is published in; None where it is not known.

    Raises:
        BadInput: an option is malformed, or contradicts another.
    """
    said = {name: value for name, value in options.items() if value is not None}
    recipe = recipe_of(said)
    weights = _usual(stored, recipe.method, task, dtype)
    if "weights" in said:
        weights = one_of("weights", said["weights"], weight_names())
    if task == "training" and recipe.method == "full" and weights not in WHOLE_TYPES:
        raise BadInput("error.full_training_weights", weights=weights)
    if task == "training" and recipe.method == "qlora" and not is_narrow(weights):
        raise BadInput("error.qlora_weights", weights=weights)
    return Plan(
        task=task,
        dtype=dtype,
        weights=weights,
        kv_dtype=str(said.get("kv_dtype", dtype)),
        gpus=whole_number("gpus", said.get("gpus", 1), at_most=MAX_GPUS),
        flash=yes_or_no("flash", said.get("flash", True)),
        recipe=recipe,
    )


def _usual(stored: str | None, method: str, task: str, dtype: str) -> str:
    """The type of the weights where it is not said: as published, but for training as its method keeps them."""
    if task == "training" and method == "full":
        return dtype if dtype in ("fp16", "bf16", "fp32") else "bf16"
    if task == "training" and method == "qlora":
        # A checkpoint of four bits is trained over as it is; any other is quantised while it is loaded.
        return stored if stored is not None and is_narrow(stored) else NARROW
    if stored is None or stored in WHOLE_TYPES:
        return dtype if dtype in ("fp16", "bf16", "fp32") else "bf16"
    return stored


def is_narrow(weights: str) -> bool:
    """Whether a type has few enough bits for QLoRA; GGUF files are for inference."""
    known = weight_type(weights.removesuffix(EXPERTS))
    return known.bits < MOST_BITS and not known.everywhere
