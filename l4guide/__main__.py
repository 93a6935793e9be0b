"""`python -m l4guide` is the command line."""

import sys

from l4guide.cli import main

sys.exit(main())
