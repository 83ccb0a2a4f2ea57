"""A plant that goes wrong on purpose: the note's pitch says how."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from toy_plant import Toy

from mirrornet.errors import PlantError

# Controls for the pitch.
GOOD, NAN, SEGFAULT, HANG, BUG, EXIT, ABORT, HOG, FLOOD = (n / 12 for n in range(9))


class Faulty(Toy):
    name = "faulty"
    foreign = True

    def note_sound(self, note) -> np.ndarray:
        match note.pitch_midi - 62:
            case 1:
                return np.full_like(super().note_sound(note), np.nan)
            case 2:
                os.kill(os.getpid(), signal.SIGSEGV)
            case 3:
                time.sleep(3600)
            case 4:
                raise ValueError("a bug in the plant")
            case 5:
                sys.exit(7)
            case 6:
                os.abort()
            case 7:
                return np.ones(10**10, np.float32)  # 40 GB
            case 8:
                for descriptor in (1, 2):
                    os.write(descriptor, b"flood " * 200_000)
        return super().note_sound(note)


def unloadable() -> Toy:
    raise PlantError("the plugin is not installed; install it first.")


def crashing_when_loaded() -> Toy:
    os._exit(3)


class Witness(Toy):
    """Writes down, in files of a folder, its process and the notes it played."""

    def __init__(self, folder: str, hang: bool = False) -> None:
        super().__init__()
        self.folder, self.hang = Path(folder), hang
        (self.folder / f"{os.getpid()}.pid").touch()

    def note_sound(self, note) -> np.ndarray:
        with (self.folder / "notes").open("a") as notes:
            notes.write("played\n")
        if self.hang:
            time.sleep(3600)
        return super().note_sound(note)
