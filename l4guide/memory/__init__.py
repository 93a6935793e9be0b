"""What a model keeps on a card, and how much of it fits."""

from l4guide.memory.fit import Fit, Largest, Usable, fit, gpus_needed, usable
from l4guide.memory.sizes import Sizes, cache_bytes, sizes, tower_bytes, weight_bytes, working_bytes

__all__ = [
    "Fit",
    "Largest",
    "Sizes",
    "Usable",
    "cache_bytes",
    "fit",
    "gpus_needed",
    "sizes",
    "tower_bytes",
    "usable",
    "weight_bytes",
    "working_bytes",
]
