"""Models as layers: from a preset or any config.json, with the weights of each part counted."""

from l4guide.model.architecture import (
    FULL,
    LATENT,
    LINEAR,
    NONE,
    WINDOW,
    Architecture,
    FeedForward,
    Layers,
    Mixer,
)
from l4guide.model.config import from_config, from_file, named_file
from l4guide.model.fields import parse_config
from l4guide.model.presets import preset
from l4guide.model.stored import WEIGHT_BYTES, Stored, in_type, stored_bytes

__all__ = [
    "FULL",
    "LATENT",
    "LINEAR",
    "NONE",
    "WEIGHT_BYTES",
    "WINDOW",
    "Architecture",
    "FeedForward",
    "Layers",
    "Mixer",
    "Stored",
    "from_config",
    "from_file",
    "in_type",
    "named_file",
    "parse_config",
    "preset",
    "stored_bytes",
]
