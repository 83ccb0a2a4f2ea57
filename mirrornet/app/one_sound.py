"""The child process that matches one sound of a folder: it runs the command line and ends when its
parent process does."""

import os
import sys
from threading import Thread

from .cli import main


def match_one() -> None:
    """Run the command line and exit with its code; exit early with 1 if the parent ends."""
    Thread(target=_end_with_the_folder, daemon=True).start()
    sys.exit(main())


def _end_with_the_folder() -> None:
    """The parent holds the other end of stdin's pipe, which closes however the parent ends."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
