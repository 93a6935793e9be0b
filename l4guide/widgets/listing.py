"""Source as HTML: highlighted, each line with its number in the file."""

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from l4guide.anatomy import Piece


def listing(piece: Piece) -> Markup:
    """The lines of a piece; everything in them is escaped."""
    formatter = HtmlFormatter(nowrap=True, classprefix="kernel-py-")
    lines = highlight(piece.code, PythonLexer(), formatter).rstrip("\n").split("\n")
    numbered = (
        Markup('<span class="kernel-line" data-line="{}">{}</span>').format(number, Markup(line))
        for number, line in enumerate(lines, piece.first_line)
    )
    return Markup("\n").join(numbered)
