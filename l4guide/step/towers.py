"""The time and the memory of vision and audio towers over what a request brings."""

from dataclasses import replace

import numpy as np

from l4guide.interval import Interval, Numbers, total
from l4guide.model import FULL, Architecture, Layers, Tower
from l4guide.step.forward import Ground, forward
from l4guide.step.media import Media
from l4guide.workload import Workload


def as_model(tower: Tower) -> Architecture:
    """A tower as a model of its own: an encoder without a vocabulary."""
    return Architecture(
        name=tower.media,
        hidden=tower.hidden,
        vocabulary=0,
        tied_embeddings=True,
        layers=tower.layers,
        max_context=None,
        causal=False,
    )


def encode(
    ground: Ground, media: Media, workload: Workload, batch: Numbers
) -> tuple[Interval, Numbers] | None:
    """Seconds and FLOPs of all towers for `batch` requests; None where no tower's layers are known.

    Raises:
        CannotDo: the plan divides the model among cards that no known link joins.
    """
    if not media.views:
        return None
    asked = Workload(
        task="prefill",
        head_dim=64,
        head_dim_v=64,
        dtype=workload.dtype,
        kv_dtype=workload.dtype,
        causal=False,
    )
    times, flops = [], np.zeros_like(batch)
    for view in media.views:
        whole = as_model(view.tower)
        for group in whole.layers:
            here, length = _windows(group, view.positions)
            positions = np.full_like(batch, float(length))
            alone = replace(whole, layers=(here,))
            found = forward(
                ground, alone, asked, batch * (view.sequences * view.positions / length), positions
            )
            times.append(found.seconds)
            flops = flops + found.flops
    return total(times), flops


def _windows(group: Layers, positions: int) -> tuple[Layers, int]:
    """Layers that see a window run as so many short sequences: packed, each sees all of itself."""
    window = group.mixer.window
    if window is None or window + 1 >= positions:
        return group, positions
    return replace(group, mixer=replace(group.mixer, kind=FULL, window=None)), window + 1
