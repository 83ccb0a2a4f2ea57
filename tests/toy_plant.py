"""A plant that costs nothing: a decaying sine with a few harmonics."""

import numpy as np

from mirrornet.plants import NotePlant
from mirrornet.plants.base import TAIL_S
from mirrornet.plants.vital import SET1


class Toy(NotePlant):
    name = "toy"

    def __init__(self) -> None:
        self.controls = SET1
        self.sample_rate_hz = 8000

    def note_sound(self, note) -> np.ndarray:
        time_s = np.arange(round((note.offset_s - note.onset_s + TAIL_S) * 8000)) / 8000
        pitch_hz = 440 * 2 ** ((note.pitch_midi - 69) / 12)
        knobs = note.controls
        sound = np.sin(2 * np.pi * pitch_hz * time_s)
        sound += knobs["cutoff"] / 3200 * np.sin(4 * np.pi * pitch_hz * time_s)
        envelope = (1 - np.exp(-time_s / knobs["attack"])) * np.exp(-time_s / knobs["decay"])
        return (10 ** (knobs["level"] / 20) * envelope * sound).astype(np.float32)
