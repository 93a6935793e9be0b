"""The attached GPU: what it is, and what attention does on it. Each run lives in a process of its own."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from l4guide.measure.survey import benchmark

__all__ = ["benchmark"]


def __getattr__(name: str) -> object:
    # Who only asks what is attached should not wait for what starts processes.
    if name == "benchmark":
        from l4guide.measure.survey import benchmark

        return benchmark
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
