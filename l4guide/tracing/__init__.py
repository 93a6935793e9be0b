"""Models run instead of read: any architecture of transformers, traced on the meta device in a process of its own."""

from l4guide.model.traced import Call, Kept, Trace
from l4guide.tracing.answer import (
    Description,
    describe,
    describe_model,
    describe_one,
    describe_preset,
    describe_type,
    described,
    unread_line,
)
from l4guide.tracing.comparison import not_compared

__all__ = [
    "Call",
    "Description",
    "Kept",
    "Trace",
    "describe",
    "describe_model",
    "describe_one",
    "describe_preset",
    "describe_type",
    "described",
    "not_compared",
    "unread_line",
]
