"""How a model is run: types, cards, and for training what is trained and kept."""

from collections.abc import Mapping

from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.model.weight_types import WHOLE_TYPES, weight_names
from l4guide.step.media import NO_MEDIA, Media
from l4guide.workload import one_of, whole_number, yes_or_no

METHODS = ("full", "lora", "qlora")
MAX_GPUS = 1024
DEFAULT_RANK = 16


@frozen
class Plan:
    """How a model is run.

    `weights` is the type that they are stored in, `method` how it is trained; `recompute` keeps only what enters each
    layer and runs the forward again; `flash` is attention that never writes its scores; `media` are the images and the
    sound of a request.
    """

    task: str = "decode"
    dtype: str = "bf16"
    weights: str = "bf16"
    kv_dtype: str = "bf16"
    gpus: int = 1
    method: str = "full"
    rank: int = DEFAULT_RANK
    recompute: bool = True
    flash: bool = True
    media: Media = NO_MEDIA

    @property
    def trains(self) -> bool:
        """Whether gradients are needed."""
        return self.task == "training"


def plan_of(options: Mapping[str, object], *, task: str, dtype: str, stored: str | None) -> Plan:
    """The plan among a user's options: `weights`, `kv_dtype`, `gpus`, `method`, `rank`, `recompute` and `flash`.

    Args:
        options: what was said; missing ones take their default.
        task: prefill, decode or training.
        dtype: the type of the arithmetic.
        stored: the type that the model is published in; None where it is not known.

    Raises:
        BadInput: an option is malformed, or contradicts another.
    """
    said = {name: value for name, value in options.items() if value is not None}
    method = one_of("method", said.get("method", "full"), METHODS)
    weights = _usual(stored, method, task, dtype)
    if "weights" in said:
        weights = one_of("weights", said["weights"], weight_names())
    if task == "training" and method == "full" and weights not in WHOLE_TYPES:
        raise BadInput("error.full_training_weights", weights=weights)
    return Plan(
        task=task,
        dtype=dtype,
        weights="int4" if method == "qlora" and task == "training" else weights,
        kv_dtype=str(said.get("kv_dtype", dtype)),
        gpus=whole_number("gpus", said.get("gpus", 1), at_most=MAX_GPUS),
        method=method,
        rank=whole_number("rank", said.get("rank", DEFAULT_RANK), at_most=4096),
        recompute=yes_or_no("recompute", said.get("recompute", True)),
        flash=yes_or_no("flash", said.get("flash", True)),
    )


def _usual(stored: str | None, method: str, task: str, dtype: str) -> str:
    """The type of the weights where it is not said: as published, but in 16 bits for training."""
    if task == "training" and method == "full":
        return dtype if dtype in ("fp16", "bf16", "fp32") else "bf16"
    if stored is None or stored in WHOLE_TYPES:
        return dtype if dtype in ("fp16", "bf16", "fp32") else "bf16"
    return stored
