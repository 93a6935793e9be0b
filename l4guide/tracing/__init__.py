"""Models run instead of read: any architecture of transformers, traced on the meta device in a process of its own."""

from l4guide.tracing.answer import (
    Description,
    describe,
    describe_one,
    describe_preset,
    describe_type,
    described,
)
from l4guide.tracing.process import Tracer, is_at_hand
from l4guide.tracing.traced import Call, Kept, Trace

__all__ = [
    "Call",
    "Description",
    "Kept",
    "Trace",
    "Tracer",
    "describe",
    "describe_one",
    "describe_preset",
    "describe_type",
    "described",
    "is_at_hand",
]
