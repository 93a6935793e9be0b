"""The attached GPU: what it is, and what attention does on it. Each run lives in a process of its own."""

from l4guide.measure.survey import quick

__all__ = ["quick"]
