"""An `Advice` as one HTML file that needs no network, and as JSON beside it."""

from l4guide.report.file import write
from l4guide.report.page import render

__all__ = ["render", "write"]
