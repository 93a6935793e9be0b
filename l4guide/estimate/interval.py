"""How wide the 80 % interval of an estimate is, beyond the errors on held-out cards: what is not known of this one."""

import numpy as np

from l4guide.estimate.chip import Chip
from l4guide.estimate.model import Fit, width_at
from l4guide.estimate.physics import Parts
from l4guide.estimate.problems import UNLIMITED, Array, Problems

#: Half-widths in log time that come on top, each by itself: a figure of the card that is not its own, a head dimension
#: that was not measured, a longer context or larger batch, a window, values narrower than keys, another cache type.
ASSUMED_FIGURE = 0.10
UNSEEN_HEAD = 0.10
BEYOND_RANGE = 0.10
WINDOW = 0.10
NARROW_VALUES = 0.10
UNSEEN_CACHE = 0.15
#: Where no card was left out of a kernel's own fit, or a plain call is timed by a fit of prompts with a cache, the
#: interval is that of its kin, so much wider.
NOT_ITS_OWN = 1.5
#: The most that power held back the clock of a card with rows (L40S); beyond it every point counts half.
MOST_HELD = 0.26
PER_HELD = 0.5


def half_width(
    chip: Chip, fit: Fit, problems: Problems, parts: Parts, *, without_cache: bool = False
) -> Array:
    """The half-width in log time for each call; `without_cache` where the fit is of calls that write one."""
    known = chip.name in fit.gpus
    width = width_at(fit.width_known if known else fit.width_new, parts.total)
    width = width * (NOT_ITS_OWN if without_cache else 1.0)
    busy = parts.compute / np.maximum(np.maximum(parts.compute, parts.memory), parts.launch)
    extra = [busy * 0.5 * np.log(chip.gemm_high_tflops / chip.gemm_low_tflops) * (not known)]
    held = 1 - chip.gemm_tflops / chip.peak_tflops
    extra.append(busy * PER_HELD * max(held - MOST_HELD, 0.0) * (not known))
    extra += [np.full_like(width, ASSUMED_FIGURE)] * len(chip.assumed)
    extra.append(UNSEEN_HEAD * ~(problems.head_dim[..., None] == fit.head_dims).any(-1))
    beyond = (problems.seqlen_kv > fit.longest) | (problems.batch > fit.largest_batch)
    extra.append(BEYOND_RANGE * beyond)
    extra.append(WINDOW * (problems.window < np.minimum(problems.seqlen_kv, UNLIMITED)))
    extra.append(NARROW_VALUES * (problems.head_dim_v != problems.head_dim))
    cache = 1.0 if fit.phase == "decode-fp8" else 2.0
    extra.append(UNSEEN_CACHE * (problems.kv_bytes != cache))
    return np.asarray(np.sqrt(width**2 + sum(part**2 for part in extra)))
