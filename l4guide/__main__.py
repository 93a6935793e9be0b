"""The command line as a process: `l4guide`, or `python -m l4guide`."""

import gc
import sys

from l4guide.cli import main


def run() -> int:
    """One command; the exit code."""
    code = main()
    # The process ends here: looking through all that it holds for cycles would take a tenth of its time.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(run())
