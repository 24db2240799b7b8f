"""`python -m rnnbench`, for when the command is not on the path."""

import sys

from rnnbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
