"""The command line as a process: `l4guide`, or `python -m l4guide`."""

import gc
import sys

from l4guide.cli import main

#: Python looks for cycles after so many new objects: an answer makes fewer, a long run more.
OBJECTS = 1_000_000


def run() -> int:
    """One command; the exit code."""
    gc.set_threshold(OBJECTS)
    code = main()
    # The process ends here: a last look through all that it holds would take a tenth of its time.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(run())
