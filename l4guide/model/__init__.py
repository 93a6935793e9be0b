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
    Tower,
)
from l4guide.model.config import from_config, from_file, named_file
from l4guide.model.fields import parse_config
from l4guide.model.presets import preset, preset_config
from l4guide.model.quantised import Kept
from l4guide.model.stored import Stored, counted_bytes, in_type, stored_bytes
from l4guide.model.weight_types import weight_names

__all__ = [
    "FULL",
    "LATENT",
    "LINEAR",
    "NONE",
    "WINDOW",
    "Architecture",
    "FeedForward",
    "Kept",
    "Layers",
    "Mixer",
    "Stored",
    "Tower",
    "counted_bytes",
    "from_config",
    "from_file",
    "in_type",
    "named_file",
    "parse_config",
    "preset",
    "preset_config",
    "stored_bytes",
    "weight_names",
]
