"""What a model encodes, as JSON: an encoder's sequences, and the images and sounds that pass a tower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l4guide.interval import Interval
from l4guide.memory import tower_bytes
from l4guide.memory.sizes import GIB
from l4guide.step import Step
from l4guide.step.forward import ground_of
from l4guide.step.towers import encode

if TYPE_CHECKING:
    from l4guide.cost.whole import Whole


def named(name: str, interval: Interval) -> dict[str, object]:
    """The ends of an interval of one element under three keys."""
    low, value, high = interval.ends()
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def encoding_json(whole: Whole) -> dict[str, object]:
    """Sequences a second of an encoder; tokens, time and peak of images and sounds; empty for a text to a decoder."""
    return _sequences(whole) | _media(whole)


def _sequences(whole: Whole) -> dict[str, object]:
    if not whole.encodes:
        return {}
    said = named("sequences_per_s", whole.sequences_per_s)
    said |= named("ms_per_sequence", whole.sequences_per_s.inverse(1e3))
    dollars = whole.usd_per_million_sequences
    return said if dollars is None else said | named("usd_per_million_sequences", dollars)


def _media(whole: Whole) -> dict[str, object]:
    """Of all images and sounds of one request; absent where a tower's layers are not known."""
    media, model = whole.question.plan.media, whole.question.model
    said: dict[str, object] = {}
    if media.images:
        said |= {"images": media.images, "image_tokens": media.image_tokens}
    if media.audio_s:
        said |= {"audio_s": media.audio_s, "audio_tokens": media.audio_tokens}
    milliseconds = encoder_ms(whole)
    if milliseconds is not None:
        said |= named("encoder_ms", milliseconds)
    if media.views:
        kept = model.kept_in(whole.question.plan.weights).bytes_of("tower")
        weights = sum(view.tower.weights for view in media.views) * kept
        said["encoder_peak_gib"] = (weights + encoder_bytes(whole)) / GIB
    return said


def encoder_bytes(whole: Whole) -> float:
    """Bytes that the towers need while they run over the images and sounds of one request, weights aside."""
    return float(tower_bytes(whole.question.plan, np.array([1.0])).item())


def encoder_ms(whole: Whole) -> Interval | None:
    """Milliseconds of the towers over the images and sounds of one request; of a model of two stacks its encoder's."""
    question = whole.question
    found = encode(
        ground_of(whole.gpu, question.plan, question.estimator),
        question.plan.media,
        question.workload,
        np.array([1.0]),
    )
    if found is not None:
        return found[0].times(1e3)
    prefill: Step | None = whole.prefill if question.model.has_encoder else None
    # A prompt is timed with all of its batch, and beside decode alone.
    at_once = question.batch if question.plan.task == "prefill" else 1
    windows = max(1, question.plan.media.windows)
    return None if prefill is None else prefill.seconds.times(1e3 * windows / at_once)
