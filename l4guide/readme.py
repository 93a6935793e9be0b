"""The tables between markers in README.md, written from rules and records and compared with them.

A block begins with `<!-- matrix:begin [options of l4guide matrix] -->` or `<!-- bars:begin -->`, and ends likewise.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from l4guide.cli import build_parser
from l4guide.errors import CannotDo, Problem
from l4guide.files import write_text
from l4guide.measure.listing import bars_table
from l4guide.measure.records import records

BLOCK = re.compile(r"(<!-- (matrix|bars):begin(.*?)-->\n).*?(<!-- \2:end -->)", re.DOTALL)


def filled(text: str) -> str:
    """`text` with every block written anew.

    Raises:
        BadInput: the options of a block are not those of `l4guide matrix`.
        BadData: a record that the bars are read from is broken.
        CannotDo: there is no block, so nothing would be kept true.
    """
    if not BLOCK.search(text):
        raise CannotDo("error.no_matrix_block", marker="<!-- matrix:begin -->")
    return BLOCK.sub(lambda block: f"{block[1]}{_table(block[2], block[3])}\n{block[4]}", text)


def _table(kind: str, options: str) -> str:
    if kind == "bars":
        return bars_table(records())
    parsed = build_parser().parse_args(["matrix", "--format", "md", *options.split()])
    return str(parsed.run(parsed)[1])


def main(arguments: Sequence[str]) -> int:
    """Write the blocks of a file; with `--check`, only say whether they are as they would be written.

    Returns:
        The exit code: 0 done or true, 1 out of date or without blocks, 2 bad options in a block.
    """
    path = Path(arguments[-1])
    text = path.read_text(encoding="utf-8")
    try:
        written = filled(text)
        if "--check" not in arguments:
            write_text(path, written)
        elif written != text:
            raise CannotDo("error.stale_readme", path=path)
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
