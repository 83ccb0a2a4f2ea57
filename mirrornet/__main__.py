"""`python -m mirrornet` is `mirrornet`."""

import sys

from .app.cli import main

if __name__ == "__main__":  # workers import this module again
    sys.exit(main())
