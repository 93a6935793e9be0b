"""What runs where: every library, card, width of a head and pass at once, and since when."""

from l4guide.matrix.cells import ALL, HEAD_DIMS, Cell, Column, Matrix, Row, support_matrix
from l4guide.matrix.spans import Span, Timeline, timeline
from l4guide.matrix.texts import SYMBOLS, as_csv, as_markdown, as_table, status_name, timeline_table
from l4guide.matrix.verdicts import library_names

__all__ = [
    "ALL",
    "HEAD_DIMS",
    "SYMBOLS",
    "Cell",
    "Column",
    "Matrix",
    "Row",
    "Span",
    "Timeline",
    "as_csv",
    "as_markdown",
    "as_table",
    "library_names",
    "status_name",
    "support_matrix",
    "timeline",
    "timeline_table",
]
