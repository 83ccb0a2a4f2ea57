"""The process that matches one sound of a folder: the command line, until the folder's process
ends."""

import os
import sys
from threading import Thread

from .cli import main


def match_one() -> None:
    """The life of the process."""
    Thread(target=_end_with_the_folder, daemon=True).start()
    sys.exit(main())


def _end_with_the_folder() -> None:
    """It holds the other end of this pipe, however it ends."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
