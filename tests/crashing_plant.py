"""A plant whose process ends when it plays a key above 90, and that is slow otherwise."""

import os
import time
from typing import ClassVar

import numpy as np

from mirrornet.controls import Control, ControlSpace
from mirrornet.plants.base import NotePlant

SPACE = ControlSpace(
    (
        Control("level", "dB", -40.0, 0.0, role="level"),
        Control("bright", "", 0.0, 1.0, scope="patch"),
    ),
    "crash",
)


class Crashing(NotePlant):
    name = "crashing"
    control_sets: ClassVar = {"crash": SPACE}

    def __init__(self, controls: str = "crash", sample_rate_hz: int = 16000):
        self.choose(controls, sample_rate_hz)

    def note_sound(self, note):
        if note.pitch_midi > 90:
            os._exit(7)
        time.sleep(0.05)
        length = round(
            (note.offset_s - note.onset_s + self.note_tail_s(note)) * self.sample_rate_hz
        )
        times_s = np.arange(length) / self.sample_rate_hz
        hz = 440 * 2 ** ((note.pitch_midi - 69) / 12)
        tone = np.sin(2 * np.pi * hz * times_s)
        tone += note.controls["bright"] * np.sin(4 * np.pi * hz * times_s)
        return (0.2 * 10 ** (note.controls["level"] / 20) * tone).astype(np.float32)
