"""Which tokens pass a layer in one step: the whole sequence, one more token, or those of an encoder beside it."""

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Numbers
from l4guide.model import Architecture, Layers


@frozen
class Span:
    """What a step does in a layer, for each sequence.

    `rows` tokens are multiplied, and `source` tokens of an encoder are projected to keys and values. Attention runs
    as `task` over `keys`, causal or not; `queries` is by how much its queries are more than those of such a call.
    """

    rows: Numbers
    task: str
    keys: Numbers
    causal: bool
    source: Numbers
    queries: Numbers


def span_of(
    group: Layers, model: Architecture, *, task: str, trains: bool, causal: bool, context: Numbers
) -> Span | None:
    """The span of a layer; None where the step does not run it: an encoder's while a decoder writes.

    A decoder with an encoder of its own reads the prompt there: its own first token follows at once, so `prefill`
    runs it over one token; in training it is taken to have as many as the encoder.

    Args:
        group: the layer.
        model: what it belongs to.
        task: prefill, decode or training, as attention is timed.
        trains: whether the step is one of training, whose forward may be timed as prefill.
        causal: whether the question's mask is.
        context: tokens of a sequence, for decode those already in the cache.
    """
    one, none = np.ones_like(context), np.zeros_like(context)
    if not model.has_encoder:
        rows = one if task == "decode" else context
        return Span(rows=rows, task=task, keys=context, causal=causal, source=none, queries=one)
    heard = source_tokens(model, context)
    if not group.mixer.cached:
        if task == "decode":
            return None
        return Span(rows=heard, task=task, keys=heard, causal=False, source=none, queries=one)
    written = context if trains else one
    if group.mixer.cross:
        source = none if task == "decode" else heard
        asked, over = (task, written / heard) if trains else ("decode", one)
        return Span(rows=written, task=asked, keys=heard, causal=False, source=source, queries=over)
    if trains:
        return Span(rows=context, task=task, keys=context, causal=causal, source=none, queries=one)
    keys = context if task == "decode" else one
    return Span(rows=one, task="decode", keys=keys, causal=causal, source=none, queries=one)


def source_tokens(model: Architecture, context: Numbers) -> Numbers:
    """Tokens that an encoder reads of one sequence: as many as it always has, else those of the prompt."""
    fixed = next((g.mixer.source_tokens for g in model.layers if g.mixer.source_tokens is not None), None)
    return context if fixed is None else np.full_like(context, fixed)
