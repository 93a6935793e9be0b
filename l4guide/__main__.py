"""`python -m l4guide`: the command line where nothing was installed."""

import sys

from l4guide.cli import main

sys.exit(main())
