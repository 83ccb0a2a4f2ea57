"""`python -m mirrornet`: the same as the command `mirrornet`."""

import sys

from .app.cli import main

if __name__ == "__main__":  # worker processes import this module again
    sys.exit(main())
