"""The command line: parse, call, print. JSON goes to stdout alone; everything else that is said goes to stderr."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from l4guide import __version__
from l4guide.commands import COMMANDS
from l4guide.errors import BadInput, Problem
from l4guide.text import LANGUAGES, say


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like every other complaint here.

    `fill` adds its options when it is asked to parse: of a dozen commands one is.
    """

    def __init__(self, *, fill: Callable[["Parser"], None] | None = None, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self._fill = fill

    def parse_known_args(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - argparse has overloads
        """As argparse does, with all options there."""
        fill, self._fill = self._fill, None
        if fill is not None:
            fill(self)
        return super().parse_known_args(*arguments, **named)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing a page of usage."""
        raise BadInput("error.command_line", problem=message, program=self.prog)


def build_parser() -> Parser:
    """All commands and their options."""
    parser = Parser(
        prog="l4guide", description="Which GPU, and which attention implementation, for this workload."
    )
    parser.add_argument("--version", action="version", version=f"l4guide {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, add, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, fill=add)
        command.add_argument("--json", action="store_true", help="print only JSON on stdout")
        command.add_argument("--language", choices=tuple(LANGUAGES), default="en")
        command.set_defaults(run=run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 for success, 2 for bad input, 1 if this machine cannot do it."""
    language = "en"
    try:
        options = build_parser().parse_args(arguments)
        language = options.language
        said, text = options.run(options)
        print(json.dumps(said, indent=2, ensure_ascii=False) if options.json else text)
    except Problem as problem:
        print(f"l4guide: {problem.say(language)}", file=sys.stderr)
        return problem.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print(f"l4guide: {say('error.interrupted', language)}", file=sys.stderr)
        return 1
    return 0
