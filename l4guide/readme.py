"""The generated blocks of README.md and of the pages in docs/: written from rules, records and commands, or compared.

A block begins with `<!-- KIND:begin OPTIONS -->`, and ends likewise. The kinds: `matrix` takes options of `l4guide
matrix`, `bars` and `symptoms` none, `output` a whole command, which is run and shown with what it prints.
"""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from l4guide.cli import build_parser
from l4guide.diagnose import symptoms_page
from l4guide.errors import CannotDo, Problem
from l4guide.files import write_text
from l4guide.measure.listing import bars_table
from l4guide.measure.records import records

BLOCK = re.compile(r"(<!-- (matrix|bars|symptoms|output):begin(.*?)-->\n).*?(<!-- \2:end -->)", re.DOTALL)


def filled(text: str) -> str:
    """`text` with every block written anew.

    Raises:
        BadInput: the options of a block are not those of its command.
        BadData: a record that the bars are read from is broken.
        CannotDo: this machine cannot run the command of a block.
    """
    return BLOCK.sub(lambda block: f"{block[1]}{_content(block[2], block[3].strip())}\n{block[4]}", text)


def _content(kind: str, options: str) -> str:
    if kind == "bars":
        return bars_table(records())
    if kind == "symptoms":
        return symptoms_page()
    if kind == "matrix":
        return _printed(["matrix", "--format", "md", *shlex.split(options)])
    return f"```console\n$ l4guide {options}\n{_printed(shlex.split(options))}\n```"


def _printed(words: Sequence[str]) -> str:
    parsed = build_parser().parse_args(words)
    return str(parsed.run(parsed)[1])


def main(arguments: Sequence[str]) -> int:
    """Write the blocks of some files; with `--check`, only say which are not as they would be written.

    Returns:
        The exit code, the largest of all files: 0 done or true, 1 out of date or without blocks, 2 bad options.
    """
    check = "--check" in arguments
    code = 0
    for path in (Path(name) for name in arguments if name != "--check"):
        try:
            _keep(path, check=check)
        except Problem as problem:
            sys.stderr.write(f"{problem}\n")
            code = max(code, problem.exit_code)
    return code


def _keep(path: Path, *, check: bool) -> None:
    text = path.read_text(encoding="utf-8")
    if not BLOCK.search(text):
        raise CannotDo("error.no_generated_block", path=path, marker="<!-- matrix:begin -->")
    written = filled(text)
    if check and written != text:
        raise CannotDo("error.stale_page", path=path)
    if not check:
        write_text(path, written)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
